"""expectedVersion in all its forms."""

import pytest

import lib
from lib import command, line


@pytest.fixture
def tree(mount):
    """order/1 at 1, order/3 at 3, order/0 declared, order/9 not there."""
    mount.make("order/0")
    mount.append("", *[command(aggregate="order/1"), command(aggregate="order/3") * 3])
    return mount


def outcome(mount, value, scope=""):
    with mount.commands(scope) as c:
        result = c.ask(value)
    return result["status"] if result["status"] == "appended" else result["errno"]


@pytest.mark.parametrize("aggregate, expected, says", [
    ("order/3", 3, "appended"), ("order/3", 2, "ESTALE"), ("order/3", 4, "ESTALE"), ("order/3", 0, "ESTALE"),
    ("order/3", "any", "appended"), ("order/3", "exists", "appended"), ("order/3", "none", "ESTALE"),
    ("order/0", 0, "appended"), ("order/0", 1, "ESTALE"), ("order/0", "any", "appended"),
    ("order/0", "exists", "ESTALE"), ("order/0", "none", "appended"),
    ("order/9", 0, "appended"), ("order/9", 1, "ESTALE"), ("order/9", "any", "appended"),
    ("order/9", "exists", "ESTALE"), ("order/9", "none", "appended"),
    ("order/3", 2**64 - 1, "ESTALE"),
])
def test_the_version_that_is_expected_decides(tree, aggregate, expected, says):
    before = len(tree.lines("log.ndjson"))
    assert outcome(tree, {"aggregate": aggregate, "type": "A", "expectedVersion": expected}) == says
    assert len(tree.lines("log.ndjson")) == before + (says == "appended")


def test_a_conflict_says_which_version_it_is_at(tree):
    with tree.commands("order/3") as c:
        result = c.ask({"type": "A", "expectedVersion": 2})
    assert result["error"] == "conflict" and result["aggregate"] == "order/3"
    assert result["detail"] == "order/3 is at version 3, not 2"


def test_commands_of_one_write_see_each_other(tree):
    text = b"".join(command(aggregate="order/1", expectedVersion=n) for n in range(1, 50))
    assert {r["status"] for r in tree.append("", text)} == {"appended"}
    assert tree.version("order/1") == 50


def test_members_of_a_transaction_see_each_other(tree):
    assert outcome(tree, [{"aggregate": "order/1", "type": "A", "expectedVersion": n} for n in (1, 2, 3)]) == "appended"
    assert outcome(tree, [{"aggregate": "order/1", "type": "A", "expectedVersion": n} for n in (4, 4)]) == "ESTALE"
    assert outcome(tree, [{"aggregate": "order/9", "type": "A", "expectedVersion": "none"},
                          {"aggregate": "order/9", "type": "A", "expectedVersion": "exists"}]) == "appended"
    assert (tree.version("order/1"), tree.version("order/9")) == (4, 2)


@pytest.mark.parametrize("aggregate, expected, says", [
    ("order/3", 3, "appended"),
    ("order/3", 2, "ESTALE"),
    ("order/3", "exists", "appended"),
    ("order/3", "none", "ESTALE"),
    ("order/0", "exists", "ESTALE"),
    ("order/0", 0, "appended"),
    ("order/9", "none", "appended"),
    ("order/9", 5, "ESTALE"),
])
@pytest.mark.parametrize("first", [True, False])
def test_a_member_without_a_type_only_checks(tree, aggregate, expected, says, first):
    check, act = {"aggregate": aggregate, "expectedVersion": expected}, {"aggregate": "order/1", "type": "T"}
    before = tree.read("log.ndjson")
    assert outcome(tree, [check, act] if first else [act, check]) == says
    added = tree.read("log.ndjson")[len(before):]
    assert added.count(b"\n") == (says == "appended")
    if aggregate == "order/9":
        tree.fails("ls order/9", "No such file")
    assert tree.version("order/1") == 1 + (says == "appended")


def test_a_check_below_its_aggregate_needs_no_name(tree):
    assert outcome(tree, [{"expectedVersion": 3}, {"type": "A"}], "order/3") == "appended"
    assert outcome(tree, [{"expectedVersion": 3}, {"type": "A"}], "order/3") == "ESTALE"
    assert outcome(tree, [{"aggregate": "3", "expectedVersion": 4}, {"aggregate": "1", "type": "A"}],
                   "order") == "appended"


def test_nothing_of_a_refused_transaction_stays(tree):
    before = tree.snapshot()
    members = [{"aggregate": f"order/{i}", "type": "T"} for i in range(100)]
    for at in (0, 50, 99):
        bad = [*members[:at], {"aggregate": "order/3", "type": "T", "expectedVersion": 99}, *members[at:]]
        with tree.commands() as c:
            assert c.ask(bad)["index"] == at
        assert tree.snapshot() == before


def test_of_racing_writers_who_expect_the_same_version_one_wins(tree):
    """Each round ten descriptors send the same expectation; versions never skip, and nine are refused."""
    import concurrent.futures as futures
    tree.make("race/1")
    channels = [tree.commands("race/1") for _ in range(10)]
    try:
        with futures.ThreadPoolExecutor(10) as pool:
            for version in range(lib.size(50, 5)):
                said = list(pool.map(lambda c: c.ask({"type": "A", "expectedVersion": version})["status"], channels))
                assert said.count("appended") == 1 and said.count("rejected") == 9
                assert tree.version("race/1") == version + 1
    finally:
        for c in channels:
            c.close()


def test_a_conflict_names_the_first_member_that_failed(tree):
    with tree.commands() as c:
        result = c.ask([{"aggregate": "order/3", "expectedVersion": 3}, {"aggregate": "order/1", "expectedVersion": 7},
                        {"aggregate": "order/0", "type": "A", "expectedVersion": 7}])
    assert (result["index"], result["aggregate"]) == (1, "order/1")
    assert line(result).count(b"detail") == 1
