"""A mount with a domain: what deciders make of commands, one by one, in transactions, again by id, and what `unique`
rules refuse."""

import errno
import json
import os
import re
import shlex
import threading

import pytest

import lib
import lib_domain
from lib import line
from lib_domain import accepted, account_fold, check_accounts, opened, order, refused, send, started, state


UUID_8 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


@pytest.fixture
def bank(daemons, place):
    """The bank, with accounts a and b open."""
    mount = started(daemons, place, "bank")
    opened(mount, "a", "b")
    return mount


def small(daemons, place, events="", commands="", rest="", **files):
    return started(daemons, place, files={"aggregates/order.lua": order(events, commands, rest), **files})


def types(mount, aggregate):
    return [e["type"] for e in mount.events(aggregate)]


# --- what there is

def test_the_types_are_those_of_the_domain(bank):
    assert bank.ok("ls") == "account\ncommands\nconsumers\nlog.ndjson\nqueries\nrejections.ndjson\nschemas\nviews"
    assert lib.error_of(os.mkdir, bank.path("order")) in ("EPERM", "EACCES")
    assert "order" in refused(bank, "", "Open", {"owner": "x"}, "EINVAL", aggregate="order/1")["detail"]
    assert lib_domain.loaded(bank)["types"] == ["account"]
    assert not os.path.exists(bank.path("order"))


def test_a_type_is_there_before_its_first_aggregate(daemons, place):
    mount = started(daemons, place, files={"aggregates/a.lua": lib_domain.EMPTY,
                                           "aggregates/b.lua": order("", "Do = { decide = function() end }")})
    assert mount.ok("ls -d a b; ls a; cat a/log.ndjson | wc -c") == "a\nb\ncommands\nlog.ndjson\nrejections.ndjson\n0"
    os.mkdir(mount.path("b/1"))
    assert mount.version("b/1") == 0 and state(mount, "b/1") == {}
    assert refused(mount, "b/1", "A", errno="EINVAL")["detail"] == 'b has no command "A"'


def test_commands_say_what_their_reader_may_send(daemons, place):
    made = order("", "Do = { schema = 'Do.1', decide = function() end },"
                     "Undo = { allow = { users = { 'nobody' } }, decide = function() end }")
    mount = started(daemons, place, files={"aggregates/a.lua": made, "schemas/a/commands/Do.1.json": '{"type":"object"}',
                                           "aggregates/b.lua": order("", "Go = { decide = function() end }")})
    os.mkdir(mount.path("a/1"))
    of_a = {"a": {"Do": {"schema": "/schemas/a/commands/Do/1.json"}}}
    for scope, found in ("a/1", of_a), ("a", of_a), ("b", {"b": {"Go": {}}}), (".", {**of_a, "b": {"Go": {}}}):
        assert json.loads(mount.ok(f"cat {scope}/commands"))["commands"] == found, scope
    assert mount.ok("cat .$(jq -r .commands.a.Do.schema a/1/commands)") == '{"type":"object"}'


def test_two_types_may_have_events_of_one_name(daemons, place):
    made = order('Created = { evolve = function(s, e) s.as = "%s" end }',
                 'Create = { decide = function() return event("Created", {}) end }')
    mount = started(daemons, place, files={"aggregates/a.lua": made % "a", "aggregates/b.lua": made % "b"})
    mount.append("", *[{"aggregate": f"{kind}/1", "type": "Create"} for kind in "ab"])
    assert (state(mount, "a/1"), state(mount, "b/1")) == ({"as": "a"}, {"as": "b"})


# --- events of a command

@pytest.mark.parametrize("kind", ["Values", "List"])
def test_a_command_may_become_any_number_of_events(bank, kind):
    versions = bank.version("account/a")
    for n in (0, 1, 2, 3, 50):
        result = accepted(bank, "account/a", kind, {"n": n}, id=f"{kind}-{n}", correlationid="flow")
        versions += n
        assert (result["version"], len(result["events"])) == (versions, n)
        if n:
            events = bank.events("account/a")[-n:]
            assert result["events"] == [e["id"] for e in events]
            assert result["position"] == events[-1]["position"]
            assert [e["data"]["tag"] for e in events] == [f"{kind[0].lower()}{i + 1}" for i in range(n)]
            assert {(e["commandid"], e["causationid"], e["correlationid"]) for e in events} == \
                {(f"{kind}-{n}", f"{kind}-{n}", "flow")}
    check_accounts(bank)


def test_events_of_many_commands_keep_the_log_in_order(bank):
    many = [{"aggregate": f"account/{'ab'[i % 2]}", "type": "Values", "data": {"n": i % 4}} for i in range(200)]
    results = bank.append("", *many)
    assert [len(r["events"]) for r in results] == [i % 4 for i in range(200)]
    events = check_accounts(bank)
    assert [e["id"] for e in events[2:]] == [i for r in results for i in r["events"]]


def test_a_refusal_gives_its_reason_and_leaves_nothing(bank):
    before = bank.read("log.ndjson")
    result = refused(bank, "account/a", "Withdraw", {"amount": 5}, id="w")
    assert (result["error"], result["detail"]) == ("rejected", "the balance is 0, not 5")
    assert (result["aggregate"], result["commandid"]) == ("account/a", "w")
    for scope in ("", "account"):
        told = bank.rejections(scope)[-1]
        assert told["detail"] == result["detail"] and told["errno"] == "EPERM"
        assert told["uid"] == os.geteuid() and told["aggregate"] == "account/a"
    assert bank.read("log.ndjson") == before
    assert bank.fails("""echo '{"type":"Withdraw","data":{"amount":5}}' > account/a/commands""",
                      "Operation not permitted")
    accepted(bank, "account/a", "Deposit", {"amount": 5})
    accepted(bank, "account/a", "Withdraw", {"amount": 5}, id="w")  # one that was refused is not remembered


def test_a_write_stops_at_the_refusal_and_keeps_what_came_before(bank):
    good = line({"type": "Deposit", "data": {"amount": 2}})
    bad = line({"type": "Withdraw", "data": {"amount": 9}})
    with bank.commands("account/a") as c:
        assert c.write(good + good + bad + good) == 2 * len(good)
        assert lib.error_of(c.write, bad + good) == "EPERM"
    assert bank.version("account/a") == 3 and state(bank, "account/a")["balance"] == 4


def test_what_a_decider_is_told(bank):
    accepted(bank, "account/a", "Told", {"x": 1}, id="c1", correlationid="flow", meta={"tenant": "acme", "n": 7})
    told = bank.events("account/a")[-1]
    data = told["data"]
    assert {k: data[k] for k in ("aggregate", "type", "id", "version", "correlationid", "data", "meta", "uid")} == \
        {"aggregate": "account/a", "type": "Told", "id": "c1", "version": 1, "correlationid": "flow", "data": {"x": 1},
         "meta": {"tenant": "acme", "n": 7}, "uid": os.geteuid()}
    assert data["time"] == told["time"] and os.getegid() in data["gids"] and (told["tenant"], told["n"]) == ("acme", 7)


def test_derived_ids_are_the_command_s_own(bank):
    def uuids(aggregate, **members):
        accepted(bank, aggregate, "Told", {}, **members)
        return bank.events(aggregate)[-1]["data"]["uuids"]
    one, two = uuids("account/a", id="c1"), uuids("account/a", id="c2")
    other, none, again = uuids("account/b", id="c1"), uuids("account/a"), uuids("account/a")
    for made in (one, two, other, none, again):
        assert made[0] == made[2] != made[1]
        for text in made:
            assert UUID_8.fullmatch(text), text
    assert len({u for made in (one, two, other, none, again) for u in made}) == 10


def test_derived_ids_are_the_same_when_a_refused_command_comes_again(daemons, place):
    mount = small(daemons, place, "", "Say = { decide = function(_, cmd) reject(cmd.uuid(1)) end }")
    mount.make("order/1")
    said = {refused(mount, "order/1", "Say", {}, id="c")["detail"] for _ in range(3)}
    mount.crash()
    assert {refused(mount, "order/1", "Say", {}, id="c")["detail"]} == said and len(said) == 1


def test_evolve_is_told_of_the_whole_event(daemons, place):
    mount = small(daemons, place, """Done = { evolve = function(s, e)
          local seen = {}
          for name, value in pairs(e) do seen[name] = value end
          s[tostring(e.version)] = seen end }""",
                  'Do = { decide = function(_, cmd) return event("Done", cmd.data), event("Done", {}) end }')
    accepted(mount, "order", "Do", {"x": [1]}, aggregate="1", id="c", traceparent="t", meta={"tenant": "acme"})
    one = state(mount, "order/1")["1"]
    e = mount.events("order/1")[0]
    for name in ("id", "source", "type", "subject", "time", "version", "position", "commandid", "correlationid",
                 "causationid", "traceparent", "uid", "data"):
        assert one[name] == e[name], name
    assert one["meta"] == {"tenant": "acme"} and one["aggregate"] == "order/1"
    # folded before the commit, or from the log: the same
    text = lib_domain.state_bytes(mount, "order/1")
    mount.crash()
    assert lib_domain.state_bytes(mount, "order/1") == text


# --- what deciders see

def test_get_reads_another_aggregate(bank):
    accepted(bank, "account/a", "Deposit", {"amount": 10})
    accepted(bank, "account/a", "Send", {"to": "b", "amount": 4})
    assert types(bank, "account/a")[-2:] == ["Withdrawn", "Sent"]
    assert refused(bank, "account/a", "Send", {"to": "nobody", "amount": 4})["detail"] == "account nobody is not open"
    assert not os.path.exists(bank.path("account/nobody")), "to be looked at does not make one"
    bank.append("account/b", {"type": "Deposit", "data": {"amount": 3}})
    accepted(bank, "account/a", "Send", {"to": "b", "amount": 1})
    assert bank.events("account/a")[-1]["data"] == {"to": "b", "seen": 3}
    accepted(bank, "account/a", "Send", {"to": "a", "amount": 1})
    assert bank.events("account/a")[-1]["data"]["seen"] == 5, "itself, before the command"


@pytest.mark.parametrize("name", ["account", "account/", "/a", "nothing/1", "account/.x", "account/a/b", ""])
def test_get_of_what_cannot_be_is_an_error_with_words(bank, name):
    bank.domain.edit("aggregates/account.lua", "Tag = {",
                     'Get = { decide = function(_, cmd, get) get(cmd.data.name) end },\n    Tag = {')
    assert lib_domain.reload(bank) is None
    result = refused(bank, "account/a", "Get", {"name": name}, "EIO")
    assert "get" in result["detail"] and "account.lua" in result["detail"], result


def test_decisions_see_what_came_before_in_the_same_write(bank):
    results = bank.append("", *[{"aggregate": "account/c", "type": kind, "data": data} for kind, data in [
        ("Open", {"owner": "x"}), ("Deposit", {"amount": 5}), ("Withdraw", {"amount": 5}), ("Deposit", {"amount": 1}),
        ("Send", {"to": "a", "amount": 1})]])
    assert [r["version"] for r in results] == [1, 2, 3, 4, 6]
    result = bank.append("account/c", {"type": "Deposit", "data": {"amount": 1}},
                         {"type": "Withdraw", "data": {"amount": 1}}, {"type": "Tag", "data": {"tag": "end"}})
    assert result[-1]["version"] == 9
    check_accounts(bank)


def test_decisions_see_what_came_before_in_the_same_transaction(bank):
    done = send(bank, "", "Tag")  # without an aggregate: refused, nothing is left of it
    assert done["status"] == "rejected"
    with bank.commands() as c:
        result = c.ask([
            {"aggregate": "account/c", "type": "Open", "data": {"owner": "x"}},
            {"aggregate": "account/c", "type": "Deposit", "data": {"amount": 5}},
            {"aggregate": "account/a", "type": "Deposit", "data": {"amount": 2}},
            {"aggregate": "account/a", "type": "Send", "data": {"to": "c", "amount": 2}},
            {"aggregate": "account/c", "type": "Withdraw", "data": {"amount": 5}},
        ])
    assert result["status"] == "appended", result
    assert bank.events("account/a")[-1]["data"] == {"to": "c", "seen": 5}, "get() sees what is staged"
    assert [m["version"] for m in result["commands"]] == [1, 2, 2, 4, 3]
    check_accounts(bank)


def test_a_transaction_with_a_refused_member_leaves_no_trace(bank):
    bank.append("account/a", {"type": "SetIban", "data": {"iban": "A"}}, {"type": "Deposit", "data": {"amount": 5}})
    before = bank.snapshot()
    bad_ones = [
        ({"aggregate": "account/b", "type": "Withdraw", "data": {"amount": 1}}, "EPERM"),
        ({"aggregate": "account/b", "type": "SetIban", "data": {"iban": "N"}}, "ENOTUNIQ"),
        ({"aggregate": "account/b", "type": "Dance"}, "EINVAL"),
        ({"aggregate": "account/b", "type": "Deposit", "data": {"amount": 0}}, "EINVAL"),
        ({"aggregate": "account/b", "type": "Tag", "data": {"tag": "t"}, "expectedVersion": 9}, "ESTALE"),
        ({"aggregate": "account/b", "type": "Send", "data": {"to": {}, "amount": 1}}, "EIO"),
    ]
    for bad, errno_name in bad_ones:
        with bank.commands() as c:
            result = c.ask([
                {"aggregate": "account/a", "type": "Withdraw", "data": {"amount": 5}, "id": "w"},
                {"aggregate": "account/n", "type": "Open", "data": {"owner": "x", "iban": "N"}, "id": "o"},
                {"aggregate": "account/a", "type": "SetIban", "data": {}, "id": "s"},
                bad,
            ])
        assert (result["errno"], result.get("index"), result.get("aggregate")) == (errno_name, 3, "account/b"), result
        assert bank.snapshot() == before
        assert refused(bank, "account/b", "SetIban", {"iban": "A"}, "ENOTUNIQ")["detail"].endswith("account/a")
    assert not os.path.exists(bank.path("account/n"))
    # neither ids nor values nor states were taken
    accepted(bank, "account/b", "SetIban", {"iban": "N"}, id="o")
    accepted(bank, "account/a", "Withdraw", {"amount": 5}, id="w")
    bank.crash()
    check_accounts(bank)


def test_state_is_changed_by_evolve_alone(bank):
    bank.domain.edit("aggregates/account.lua", "Tag = {", """
    Meddle = { decide = function(account, cmd, get)
      account.balance = 1000000; account.tags[1] = "mine"; account.notes.x = {}; account.owner = nil
      local other = get("account/b"); other.owner = "me"; other.tags[1] = "mine"
      reject("so it seems: " .. account.balance .. other.owner) end },
    Meddle2 = { decide = function(account, cmd)
      account.balance = 7
      cmd.data.x.y = 1
      return event("Noted", cmd.data) end },
    Tag = {""")
    assert lib_domain.reload(bank) is None
    before = [lib_domain.state_bytes(bank, f"account/{name}") for name in "ab"]
    for _ in range(2):
        assert refused(bank, "account/a", "Meddle")["detail"] == "so it seems: 1000000me"
        assert [lib_domain.state_bytes(bank, f"account/{name}") for name in "ab"] == before
    accepted(bank, "account/a", "Meddle2", {"x": {"a": 1}})
    assert state(bank, "account/a")["balance"] == 0
    assert refused(bank, "account/a", "Withdraw", {"amount": 1})["detail"] == "the balance is 0, not 1"
    check_accounts(bank)


def test_a_decision_may_look_at_thousands_of_aggregates(daemons, place):
    """More than live states may take."""
    mount = started(daemons, place, options=["states=64K"], files={"aggregates/order.lua": order(
        "E = { evolve = function(s, e) s.x = e.data.x end }",
        """Put = { decide = function(_, cmd) return event("E", cmd.data) end },
        Sum = { decide = function(_, cmd, get)
          local n = 0
          for i = 1, cmd.data.n do n = n + #get("order/" .. i).x end
          return event("E", { x = tostring(n) }) end }""")})
    n = lib.size(3000, 300)
    mount.append("order", *[{"type": "Put", "aggregate": str(i + 1), "data": {"x": "y" * 1000}} for i in range(n)])
    accepted(mount, "order", "Sum", {"n": n}, aggregate="sum")
    assert state(mount, "order/sum") == {"x": str(n * 1000)}
    with mount.commands() as c:
        result = c.ask([{"aggregate": f"order/{i % n + 1}", "type": "Put", "data": {"x": str(i)}} for i in range(2 * n)]
                       + [{"aggregate": "order/sum", "type": "Sum", "data": {"n": n}}])
    assert result["status"] == "appended" and len(result["commands"]) == 2 * n + 1
    assert state(mount, "order/sum") == {"x": str(sum(len(str(i)) for i in range(n, 2 * n)))}
    for i in (0, 1, n - 1):
        assert state(mount, f"order/{i + 1}") == {"x": str(n + i)}
    mount.crash()
    assert state(mount, "order/1") == {"x": str(n)}


# --- ids and versions

@pytest.mark.parametrize("n", [0, 1, 3])
def test_a_command_sent_again_gives_its_first_result(bank, n):
    command = {"type": "Values", "data": {"n": n}, "id": "c"}
    first = bank.append("account/a", command)[0]
    accepted(bank, "account/a", "Tag", {"tag": "between"})
    log = bank.read("log.ndjson")

    def again():
        with bank.commands("account/a") as c:
            assert c.ask({**command, "expectedVersion": 77}) == {**first, "duplicate": True}
            assert c.ask(command) == {**first, "duplicate": True}
        assert refused(bank, "account/a", "Values", {"n": n + 1}, "EEXIST", id="c")
        assert refused(bank, "account/a", "List", {"n": n}, "EEXIST", id="c")
        assert bank.read("log.ndjson") == log
    again()
    bank.restart()
    again()
    bank.crash()
    again()


def test_a_transaction_sent_again_gives_its_first_result(bank):
    members = [{"aggregate": f"account/{name}", "type": "Values", "data": {"n": n}, "id": f"t{n}"}
               for name, n in [("a", 3), ("b", 0), ("b", 1)]]
    with bank.commands() as c:
        first = c.ask(members)
        assert [len(m["events"]) for m in first["commands"]] == [3, 0, 1]
        log = bank.read("log.ndjson")
        assert [m["events"] for m in c.ask(members)["commands"]] == [m["events"] for m in first["commands"]]
    assert bank.read("log.ndjson") == log
    with bank.commands() as c:
        result = c.ask([members[0], {**members[1], "id": "new"}])
        assert result["errno"] == "EEXIST", result
    assert bank.read("log.ndjson") == log


def test_a_duplicate_is_told_before_its_decider_is_asked(bank):
    """What it would say now does not matter: the first time counts."""
    accepted(bank, "account/a", "Deposit", {"amount": 5})
    first = accepted(bank, "account/a", "Withdraw", {"amount": 5}, id="w")
    assert accepted(bank, "account/a", "Withdraw", {"amount": 5}, id="w") == {**first, "duplicate": True}
    refused(bank, "account/a", "Withdraw", {"amount": 5}, id="w2")


def test_versions_count_events_not_commands(bank):
    accepted(bank, "account/a", "Values", {"n": 3}, expectedVersion=1)
    for wrong in (0, 1, 2, 3, 5):
        result = refused(bank, "account/a", "Tag", {"tag": "x"}, "ESTALE", expectedVersion=wrong)
        assert result["detail"] == f"account/a is at version 4, not {wrong}"
    accepted(bank, "account/a", "Values", {"n": 0}, expectedVersion=4)
    results = bank.append("account/a", *[{"type": "List", "data": {"n": 3}, "expectedVersion": 4 + 3 * i}
                                         for i in range(5)])
    assert [r["version"] for r in results] == [7, 10, 13, 16, 19]
    accepted(bank, "account", "Values", {"n": 0}, aggregate="none-yet", expectedVersion="none")
    refused(bank, "account", "Values", {"n": 1}, "ESTALE", aggregate="none-yet", expectedVersion="exists")


def test_a_version_is_checked_before_the_decider_is_asked(bank):
    refused(bank, "account/a", "Withdraw", {"amount": 5}, "ESTALE", expectedVersion=9)
    refused(bank, "account/a", "Withdraw", {"amount": 5}, "EPERM", expectedVersion=1)


# --- unique rules

def iban(mount, name, value, **members):
    return send(mount, "account", "SetIban", {} if value is None else {"iban": value}, aggregate=name, **members)


def held(mount, name, value, by):
    result = iban(mount, name, value)
    said = f"iban {json.dumps(value, ensure_ascii=False)} is held by account/{by}"
    assert (result["errno"], result["detail"]) == ("ENOTUNIQ", said), result


@pytest.mark.parametrize("then", ["nothing", "restart", "crash", "rebuild", "reload"])
def test_a_value_is_held_once_and_can_be_had_when_it_is_free(bank, then):
    for name in "abc":
        assert iban(bank, name, f"I{name}")["status"] == "appended"
    assert iban(bank, "a", None)["status"] == "appended"
    assert iban(bank, "a", "Ia2")["status"] == "appended"
    assert iban(bank, "c", "Ic")["status"] == "appended", "its own once more"
    if then == "rebuild":
        bank.stop()
        assert bank.rebuild().rc == 0
        bank.start()
    elif then == "reload":
        assert lib_domain.reload(bank) is None
    elif then != "nothing":
        getattr(bank, then)()
    held(bank, "b", "Ia2", "a")
    held(bank, "a", "Ib", "b")
    held(bank, "new", "Ic", "c")
    assert not os.path.exists(bank.path("account/new"))
    bank.fails("""echo '{"type":"SetIban","data":{"iban":"Ib"}}' > account/a/commands""", "Name not unique on network")
    assert iban(bank, "new", "Ia")["status"] == "appended"
    held(bank, "a", "Ia", "new")
    check_accounts(bank)


def test_values_are_swapped_in_a_transaction_only(bank):
    for name in "abc":
        iban(bank, name, f"I{name}")

    def swap(*pairs):
        with bank.commands() as c:
            return c.ask([{"aggregate": f"account/{n}", "type": "SetIban", "data": {"iban": v}} for n, v in pairs])
    assert swap(("a", "Ib"))["errno"] == "ENOTUNIQ"
    assert swap(("a", "Ib"), ("b", "Ia"))["status"] == "appended"
    assert swap(("a", "Ic"), ("b", "Ib"), ("c", "Ia"))["status"] == "appended"
    assert swap(("a", "X"), ("b", "X"))["errno"] == "ENOTUNIQ"
    assert swap(("a", "X"), ("b", "X"), ("b", "Y"))["status"] == "appended", "the end of a transaction counts"
    assert swap(("c", "Ib"), ("a", "Z"))["status"] == "appended", "what b had is free"
    held(bank, "c", "Z", "a")
    check_accounts(bank)
    bank.crash()
    held(bank, "c", "Z", "a")
    assert iban(bank, "d", "Ic")["status"] == "appended"


def test_values_are_free_again_when_a_transaction_is_refused(bank):
    iban(bank, "a", "I")
    with bank.commands() as c:
        result = c.ask([{"aggregate": "account/a", "type": "SetIban", "data": {}},
                        {"aggregate": "account/b", "type": "SetIban", "data": {"iban": "I"}},
                        {"aggregate": "account/b", "type": "Withdraw", "data": {"amount": 1}}])
    assert result["errno"] == "EPERM"
    held(bank, "b", "I", "a")


def test_values_of_any_kind_are_told_apart(bank):
    values = ["1", "", "é", "x" * 60, " 1", "1 "]
    for i, value in enumerate(values):
        assert iban(bank, f"n{i}", value)["status"] == "appended"
    for i, value in enumerate(values):
        held(bank, "other", value, f"n{i}")
    assert iban(bank, "n0", None)["status"] == "appended"
    iban(bank, "long", "y" * 500)
    said = iban(bank, "other", "y" * 500)["detail"]
    assert said.endswith("is held by account/long"), f"the holder is to be named: {said}"
    for i in range(3):  # none at all is no value: as many as like
        bank.append("account", {"aggregate": f"z{i}", "type": "SetIban", "data": {"iban": None}})


def test_a_new_rule_is_checked_against_all_that_is_stored(bank):
    text = bank.domain.get("aggregates/account.lua")
    without = text.replace("unique = { iban = function(account) return account.iban end },", "")
    assert without != text
    bank.domain.put("aggregates/account.lua", without)
    assert lib_domain.reload(bank) is None
    for name in "ab":
        assert iban(bank, name, "same")["status"] == "appended"
    bank.domain.put("aggregates/account.lua", text)
    assert lib_domain.reload(bank) is not None
    said = lib_domain.last_error(bank)["error"]
    assert "account/a" in said and "account/b" in said and "iban" in said and "same" in said, said
    assert iban(bank, "c", "same")["status"] == "appended", "what ran before goes on"
    bank.stop()
    refusal = bank.refused()
    assert "account/a" in refusal.err or "account/b" in refusal.err, refusal
    bank.domain.put("aggregates/account.lua", without)
    bank.start()
    for name in "bc":
        assert iban(bank, name, None)["status"] == "appended"
    bank.domain.put("aggregates/account.lua", text)
    assert lib_domain.reload(bank) is None
    held(bank, "b", "same", "a")


def test_a_rule_is_kept_by_writers_at_the_same_time(bank):
    """Ten writers want the same twenty values: each is had by one."""
    told = [[] for _ in range(10)]

    def work(n):
        for i in range(20):
            told[n].append(iban(bank, f"w{n}-{i}", f"V{i}")["status"])
    threads = [threading.Thread(target=work, args=(n,)) for n in range(10)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert [sum(told[n][i] == "appended" for n in range(10)) for i in range(20)] == [1] * 20
    check_accounts(bank)


# --- what runs before the commit

def test_an_event_that_cannot_be_folded_is_not_stored(daemons, place):
    mount = small(daemons, place, "Bad = { evolve = function(s, e) s.n = s.missing.x end }, Good = {}",
                  'Do = { decide = function() return event("Good", {}), event("Bad", {}) end }',
                  "unique = { u = function(s) return s.u.v end }, initial = function() return { u = {} } end,")
    mount.make("order/1")
    result = refused(mount, "order/1", "Do", {}, "EIO")
    assert "aggregates/order.lua:1" in result["detail"] and mount.version("order/1") == 0
    told = lib_domain.last_error(mount)
    assert told["file"] == "aggregates/order.lua" and "evolve" in told["what"] and told["command"] == "Do", told


def test_a_rule_that_fails_refuses_the_command(daemons, place):
    mount = small(daemons, place, "Set = { evolve = function(s, e) s.u = e.data.u end }",
                  'Set = { decide = function(_, cmd) return event("Set", cmd.data) end }',
                  "unique = { u = function(s) return s.u.v end }, initial = function() return { u = {} } end,")
    accepted(mount, "order", "Set", {"u": {"v": 1}}, aggregate="1")
    refused(mount, "order", "Set", {"u": 7}, "EIO", aggregate="1")
    refused(mount, "order", "Set", {"u": {"v": "x" * 100_000}}, "EIO", aggregate="1")
    assert mount.version("order/1") == 1 and state(mount, "order/1") == {"u": {"v": 1}}
    refused(mount, "order", "Set", {"u": {"v": 1}}, "ENOTUNIQ", aggregate="2")


def test_what_breaks_the_size_of_a_command_is_no_matter_for_its_events(bank):
    """One command may make more text than it brought."""
    result = accepted(bank, "account/a", "Values", {"n": 5000})
    assert len(result["events"]) == 5000 and bank.version("account/a") == 5001
    assert state(bank, "account/a") == account_fold(bank.events("account/a"))


def test_errno_rows_as_bash_prints_them(bank):
    for aggregate, command, said in [
        ("a", {"type": "Withdraw", "data": {"amount": 5}}, errno.EPERM),
        ("a", {"type": "Dance"}, errno.EINVAL),
        ("a", {"type": "Deposit", "data": {}}, errno.EINVAL),
        ("a", {"type": "Withdraw", "data": {}}, errno.EIO),
    ]:
        bank.fails(f"echo {shlex.quote(json.dumps(command))} > account/{aggregate}/commands", os.strerror(said))


def test_what_an_initial_state_says_is_held_by_nobody(daemons, place):
    """An aggregate without events has never been decided on; what it gives up is not another's."""
    mount = small(daemons, place, "Named = { evolve = function(s, e) s.name = e.data.name end }, Touched = {}",
                  'Name = { decide = function(_, cmd) return event("Named", cmd.data) end }, '
                  'Touch = { decide = function() return event("Touched", {}) end }',
                  "unique = { name = function(s) return s.name end }, initial = function(id) return { name = id } end,")
    accepted(mount, "order", "Touch", {}, aggregate="b")
    refused(mount, "order", "Name", {"name": "b"}, "ENOTUNIQ", aggregate="a")
    accepted(mount, "order", "Name", {"name": "c"}, aggregate="b")
    accepted(mount, "order", "Name", {"name": "b"}, aggregate="a")
    refused(mount, "order", "Name", {"name": "b"}, "ENOTUNIQ", aggregate="d")
    mount.make("order/e")
    mount.stop()
    assert mount.rebuild().rc == 0
    mount.start()
    refused(mount, "order", "Name", {"name": "b"}, "ENOTUNIQ", aggregate="d")
    accepted(mount, "order", "Name", {"name": "e"}, aggregate="d")


def test_a_result_with_more_events_than_a_line_holds_tells_their_number(bank):
    result = accepted(bank, "account/a", "Values", {"n": 30_000})
    assert "events" not in result and result["event_count"] == 30_000 and result["version"] == 30_001


def test_tar_of_an_idle_mount_has_nothing_to_say(bank):
    done = bank.sh("tar cf /dev/null .")
    assert (done.rc, done.err) == (0, ""), done


NAMED = """return {{
  unique = {{ name = function(s) return s.name end }},
  commands = {{ Name = {{ decide = function(_, cmd) return event("Named", cmd.data) end }} }},
  events = {{ Named = {{ {schema} evolve = function(s, e) {evolve} end }} }},
}}
"""


def test_an_evolve_that_fails_on_what_is_stored_is_refused_and_harms_nothing(daemons, place):
    good = NAMED.format(schema="", evolve="s.name = e.data.name")
    mount = lib_domain.started(daemons, place, files={"aggregates/order.lua": good})
    accepted(mount, "order", "Name", {"name": "x"}, aggregate="1")
    mount.domain.put("aggregates/order.lua", NAMED.format(schema="", evolve="s.name = e.data.no.name"))
    mount.fails("echo > .esfs/reload", os.strerror(errno.EINVAL))
    assert "order/1" in lib_domain.last_error(mount)["error"]
    refused(mount, "order", "Name", {"name": "x"}, "ENOTUNIQ", aggregate="2")
    mount.domain.put("aggregates/order.lua", good)
    mount.ok("echo > .esfs/reload")
    refused(mount, "order", "Name", {"name": "x"}, "ENOTUNIQ", aggregate="2")


def test_what_cannot_be_folded_keeps_its_unique_values(daemons, place):
    evolve = "s.name = e.data.name"
    one = {"schemas/order/Named.1.json": {"type": "object"}}
    mount = lib_domain.started(daemons, place, files={
        "aggregates/order.lua": NAMED.format(schema='schema = "Named.1",', evolve=evolve), **one})
    accepted(mount, "order", "Name", {"name": "x"}, aggregate="1")
    mount.domain.put("schemas/order/Named.2.json", {"type": "object"})
    mount.domain.put("aggregates/order.lua", NAMED.format(
        schema='schema = "Named.2", upcast = { [1] = function() error("no way") end },', evolve=evolve))
    mount.ok("echo > .esfs/reload")
    assert lib.error_of(mount.read, "order/1/views/state.json") == "EIO"
    for _ in range(2):
        refused(mount, "order", "Name", {"name": "x"}, "ENOTUNIQ", aggregate="2")
        mount.crash()
    mount.domain.put("aggregates/order.lua", NAMED.format(
        schema='schema = "Named.2", upcast = { [1] = function(d) return d end },', evolve=evolve))
    mount.ok("echo > .esfs/reload")
    refused(mount, "order", "Name", {"name": "x"}, "ENOTUNIQ", aggregate="2")
    assert state(mount, "order/1") == {"name": "x"}
