"""Command ids: the same command again is done once, for ever."""

import pytest

import lib
from lib import command, numbered


def same(first, again):
    """`again` is the result of a duplicate of what gave `first`."""
    assert first["status"] == again["status"] == "appended"
    assert again.get("duplicate") is True and "duplicate" not in first
    assert [again[k] for k in ("aggregate", "version", "position", "commandid", "events")] == \
        [first[k] for k in ("aggregate", "version", "position", "commandid", "events")]
    return True


def same_transaction(first, again):
    assert "duplicate" not in str(first) and len(first["commands"]) == len(again["commands"])
    assert again.get("duplicate") or all(c.get("duplicate") for c in again["commands"])
    for a, b in zip(first["commands"], again["commands"]):
        assert [a[k] for k in ("aggregate", "version", "position", "events")] == \
            [b[k] for k in ("aggregate", "version", "position", "events")]
    return True


def ask(mount, value, scope="order/1"):
    with mount.commands(scope) as c:
        return c.ask(value)


@pytest.fixture
def order(mount):
    mount.make("order/1", "order/2")
    return mount


# --- what the same content is

def test_a_duplicate_has_the_first_result(order):
    first = ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}})
    order.append("order/1", numbered(5))
    assert same(first, ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}}))
    assert order.version("order/1") == 6


def test_a_duplicate_in_the_same_write_is_one(order):
    results = order.append("order/1", command(id="x") + command(id="x"))
    assert same(*results) and order.version("order/1") == 1


def test_the_version_does_not_matter_to_a_duplicate(order):
    first = ask(order, {"type": "B", "id": "c-1", "expectedVersion": 0})
    for expected in (0, "none", 99, "exists"):
        assert same(first, ask(order, {"type": "B", "id": "c-1", "expectedVersion": expected}))


@pytest.mark.parametrize("text", [b'{ "id" : "c-1",\n "data" : { "a" : [ 1 , 2 ] , "b" : "x y" } , "type" : "B" }',
                                  b'{"type":"B","id":"\\u0063-1","data":{"a":[1,2],"b":"x y"}}',
                                  b'{"type":"\\u0042","id":"c-1","data":{"a":[1,2],"b":"x y"}}'])
def test_content_is_compared_minified(order, text):
    first = ask(order, b'{"type":"B","id":"c-1","data":{"a":[1,2],"b":"x y"}}')
    assert same(first, ask(order, text))


def test_only_type_and_data_are_content(order):
    first = ask(order, {"type": "B", "id": "c-1"})
    for more in ({"meta": {"a": "b"}}, {"correlationid": "k"}, {"causationid": "k"}, {"traceparent": "t"},
                 {"data": {}}):
        assert same(first, ask(order, {"type": "B", "id": "c-1", **more}))
    assert order.version("order/1") == 1


@pytest.mark.parametrize("data", ['{"a":1.0}', '{"a":"1"}', '{"a":1,"b":2}', "{}", '{"a":01}'.replace("01", "10")])
def test_other_data_under_a_known_id_is_refused(order, data):
    ask(order, b'{"type":"B","id":"c-1","data":{"a":1}}')
    refused = ask(order, f'{{"type":"B","id":"c-1","data":{data}}}'.encode())
    assert (refused["status"], refused["errno"]) == ("rejected", "EEXIST")
    assert order.version("order/1") == 1


def test_another_type_under_a_known_id_is_refused(order):
    ask(order, {"type": "B", "id": "c-1"})
    assert ask(order, {"type": "C", "id": "c-1"})["errno"] == "EEXIST"


def test_ids_belong_to_their_aggregate(order):
    ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}})
    assert "duplicate" not in ask(order, {"type": "B", "id": "c-1", "data": {"a": 2}}, "order/2")
    assert order.version("order/2") == 1


def test_a_refused_command_is_not_remembered(order):
    assert ask(order, {"type": "A", "id": "c-1", "expectedVersion": 5})["errno"] == "ESTALE"
    assert ask(order, {"type": "A", "id": "c-1", "dat": 5})["errno"] == "EINVAL"
    result = ask(order, {"type": "Other", "id": "c-1"})
    assert result["status"] == "appended" and "duplicate" not in result


def test_an_id_that_a_refused_transaction_named_is_free(order):
    refused = ask(order, [{"type": "A", "id": "c-1"}, {"type": "A", "expectedVersion": 9}])
    assert refused["errno"] == "ESTALE"
    assert "duplicate" not in ask(order, {"type": "Other", "id": "c-1"})


def test_ids_may_be_of_any_text(order):
    for name in ("a b", "é订单😀", '"\\/', "x" * 256, "../..", "$", "."):
        first = ask(order, {"type": "A", "id": name})
        assert first["commandid"] == name
        assert same(first, ask(order, {"type": "A", "id": name}))


# --- transactions

TWO = [{"aggregate": "order/1", "type": "A", "id": "t-1"}, {"aggregate": "order/2", "type": "B", "id": "t-2"}]


def test_a_transaction_known_as_a_whole_is_a_duplicate(order):
    first = ask(order, TWO, "")
    order.append("order/1", command())
    assert same_transaction(first, ask(order, TWO, ""))
    assert (order.version("order/1"), order.version("order/2")) == (2, 1)


def test_a_known_transaction_is_a_duplicate_whatever_it_checks(order):
    first = ask(order, [{"aggregate": "order/3", "expectedVersion": 0}, *TWO], "")
    order.append("", command(aggregate="order/3"))
    again = ask(order, [{"aggregate": "order/3", "expectedVersion": 0}, *TWO], "")
    assert again["status"] == first["status"] == "appended"
    assert (order.version("order/1"), order.version("order/2")) == (1, 1)


def test_a_transaction_of_which_some_is_known_is_refused(order):
    ask(order, TWO[0], "")
    for transaction in (TWO, TWO[::-1]):
        assert ask(order, transaction, "")["errno"] == "EEXIST"
    assert (order.version("order/1"), order.version("order/2")) == (1, 0)


def test_a_known_transaction_with_other_content_is_refused(order):
    ask(order, TWO, "")
    assert ask(order, [TWO[0], {**TWO[1], "data": {"x": 1}}], "")["errno"] == "EEXIST"
    assert (order.version("order/1"), order.version("order/2")) == (1, 1)


def test_a_transaction_that_names_an_id_twice_is_refused(order):
    assert ask(order, [TWO[0], TWO[0]], "")["errno"] == "EEXIST"
    ask(order, TWO, "")
    assert ask(order, [TWO[0], TWO[0]], "")["errno"] == "EEXIST", "known or not"
    assert order.version("order/1") == 1


def test_the_same_id_for_two_aggregates_in_one_transaction_is_fine(order):
    both = [{"aggregate": "order/1", "type": "A", "id": "same"}, {"aggregate": "order/2", "type": "A", "id": "same"}]
    first = ask(order, both, "")
    assert same_transaction(first, ask(order, both, ""))
    assert (order.version("order/1"), order.version("order/2")) == (1, 1)


# --- for ever

def test_ids_are_known_after_a_remount_and_a_kill(order):
    first, both = ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}}), ask(order, TWO, "")
    for again in (order.restart, order.crash, order.crash, order.restart):
        again()
        assert same(first, ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}}))
        assert same_transaction(both, ask(order, TWO, ""))
        assert ask(order, {"type": "B", "id": "c-1", "data": {"a": 2}})["errno"] == "EEXIST"
    assert order.version("order/1") == 2


@pytest.mark.timeout(240)
def test_ids_are_known_after_half_a_million_later_events(order):
    """Long out of every window in memory: they come from disk, before and after a restart, a kill and a rebuild."""
    first, both = ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}}), ask(order, TWO, "")
    with order.commands("order/2") as c:
        for start in range(0, 600_000, 50_000):
            c.write_all(numbered(50_000, first=start))

    def still():
        assert same(first, ask(order, {"type": "B", "id": "c-1", "data": {"a": 1}}))
        assert same_transaction(both, ask(order, TWO, ""))
        assert ask(order, {"type": "B", "id": "c-1", "data": {"a": 2}})["errno"] == "EEXIST"
        assert order.version("order/1") == 2
    still()
    order.restart()
    still()
    order.crash()
    still()
    order.stop()
    done = order.rebuild()
    assert done.rc == 0, done
    order.start()
    still()
    assert order.version("order/2") == 600_001


def test_many_ids_in_random_order_are_all_found_again(order):
    """Each of 20,000 ids once more, after a restart: nothing is appended, every first result comes back."""
    n = lib.size(20_000)
    with order.commands("order/1") as c:
        first = []
        for start in range(0, n, 1000):
            c.write_all(b"".join(
                command(id=f"id-{i * 7919 % n}", data={"n": i}) for i in range(start, min(n, start + 1000))))
            first += c.results()
    order.restart()
    with order.commands("order/1") as c:
        for start in range(0, n, 1000):
            c.write_all(b"".join(
                command(id=f"id-{i * 7919 % n}", data={"n": i}) for i in range(start, min(n, start + 1000))))
            again = c.results()
            assert all(same(a, b) for a, b in zip(first[start:], again)) and len(again) == min(1000, n - start)
    assert order.version("order/1") == n


def test_a_rename_of_a_declared_aggregate_forgets_nothing_else(order):
    """rmdir and mkdir of another aggregate do not touch the ids of this one."""
    first = ask(order, {"type": "A", "id": "c-1"})
    order.ok("rmdir order/2 && mkdir order/2 && rmdir order/2")
    assert same(first, ask(order, {"type": "A", "id": "c-1"}))
