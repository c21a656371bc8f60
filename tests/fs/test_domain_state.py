"""State and time travel: views/state.json, stream.ndjson and at/ are the fold of the events, at every version, after
every kind of restart; shapes and digits of JSON go through Lua unharmed."""

import datetime
import filecmp
import json
import os
import random
import shutil
import threading
import time

import pytest

import lib
import lib_domain
from lib import line
from lib_domain import (accepted, account, account_fold, check_accounts, opened, refused, send, shown, started, state,
                        state_bytes)


@pytest.fixture
def bank(daemons, place):
    mount = started(daemons, place, "bank")
    opened(mount, "a", "b")
    return mount


def busy(mount, name, n, seed=1):
    """n commands of all kinds for one account, not all of which are accepted."""
    chance = random.Random(seed)
    kinds = [lambda: ("Deposit", {"amount": chance.randrange(1, 90)}),
             lambda: ("Withdraw", {"amount": chance.randrange(1, 90)}),
             lambda: ("Tag", {"tag": f"t{chance.randrange(9)}"}),
             lambda: ("List", {"n": chance.randrange(4)}),
             lambda: ("SetIban", {"iban": f"{name}-{chance.randrange(9)}"} if chance.random() < 0.7 else {}),
             lambda: ("Note", {"x": chance.random(), "i": chance.randrange(1 << 62), "n": None, "e": []})]
    outcomes = set()
    with mount.commands(f"account/{name}") as c:
        for _ in range(n):
            kind, data = chance.choice(kinds)()
            try:
                c.write_all(line({"type": kind, "data": data}))
            except OSError:
                pass
            outcomes.add(c.results()[-1]["status"])
    assert "appended" in outcomes
    return outcomes


# --- current when the write returns

def test_state_is_there_from_the_beginning(bank):
    bank.make("account/new")
    assert state(bank, "account/new") == account("new")
    assert state(bank, "account/new", 0) == account("new")
    assert bank.read("account/new/stream.ndjson") == b""
    assert bank.ok("ls account/new; ls account/new/views") == \
        "commands\nevents\nevents.ndjson\nstream.ndjson\nversion\nviews\nstate.json"


def test_state_is_current_when_the_write_returns(bank):
    for i in range(300):
        accepted(bank, "account/a", "Deposit", {"amount": 1 + i % 3})
        assert state(bank, "account/a") == account_fold(bank.events("account/a"))
        assert bank.ok("cat account/a/version") == str(state(bank, "account/a")["moves"] + 1) if i % 50 == 0 else True


def test_state_is_current_for_every_writer_beside_others(bank):
    """Each sees its own command in the state as soon as its write returns, whatever the others do."""
    faults = []

    def work(n):
        for i in range(lib.size(60, 15)):
            tag = f"{n}-{i}"
            accepted(bank, "account/a", "Tag", {"tag": tag})
            tags = state(bank, "account/a")["tags"]
            if tag not in tags or [t for t in tags if t.startswith(f"{n}-")] != [f"{n}-{k}" for k in range(i + 1)]:
                faults.append((tag, tags))
    threads = [threading.Thread(target=work, args=(n,)) for n in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert not faults, faults[0]
    check_accounts(bank)


def test_an_open_descriptor_does_not_mix_two_states(bank):
    """What is read in pieces is one state, of some moment."""
    accepted(bank, "account/a", "Values", {"n": 4000})
    stop = threading.Event()

    def work():
        while not stop.is_set():
            send(bank, "account/a", "Tag", {"tag": "x" * 50})
    writer = threading.Thread(target=work)
    writer.start()
    try:
        for _ in range(20):
            fd = os.open(bank.path("account/a/views/state.json"), os.O_RDONLY)
            text = b""
            while piece := os.read(fd, 997):
                text += piece
            os.close(fd)
            tags = lib.strict(text)["tags"]
            assert tags[:4000] == [f"v{i + 1}" for i in range(4000)] and set(tags[4000:]) <= {"x" * 50}
    finally:
        stop.set()
        writer.join()


# --- shapes and digits

SHAPES = [
    b'{"a":[],"o":{},"n":null,"t":true,"f":false,"s":""}', b'{}', b'{"x":{"y":{}},"z":[[],{},[null],[[]]]}',
    b'{"i":[0,1,-1,9007199254740993,-9007199254740993,9223372036854775807,-9223372036854775808]}',
    b'{"big":[18446744073709551615,9223372036854775808,-9223372036854775809,123456789012345678901234567890]}',
    b'{"f":[1.0,1.10,0.1,-0.5,1e3,1E3,1e+3,1e-3,1.50e2,100000000000000000000.0,0.30000000000000004,-0.0,-0,5e-324]}',
    b'{"z":1,"a":2,"m":{"y":1,"b":2,"c":{"2":1,"1":2}},"A":3}', b'{"1":1,"2":2,"10":3,"":4}',
    '{"é":"ü","日本":"語"}'.encode(),
    b'{"s":["a b","\\"","\\\\","/","\\n\\t","\\u0000","\\u001f"]}', b'{"deep":' + b'[' * 50 + b']' * 50 + b'}',
    b'{"array":{"array":1},"__index":1,"null":"null","nil":[null,null],"n":{"n":null}}',
]


@pytest.mark.parametrize("data", SHAPES, ids=range(len(SHAPES)))
def test_what_a_decider_passes_on_keeps_its_bytes(bank, data):
    text = b'{"type":"Note","data":' + data + b'}\n'
    with bank.commands("account/a") as c:
        c.write_all(text)
    assert lib.data_bytes(bank.read("account/a/events/0000000002-Noted.json")) == data
    assert lib.data_bytes(bank.lines("account/a/stream.ndjson")[-1]) == data
    in_state = b'"2":' + data + b"}"
    assert in_state in state_bytes(bank, "account/a")
    accepted(bank, "account/a", "Values", {"n": 120})  # and again, from a state that was stored
    bank.crash()
    assert in_state in state_bytes(bank, "account/a")
    assert in_state in state_bytes(bank, "account/a", 2)


def test_a_number_that_is_taken_by_itself_is_one_of_lua(daemons, place):
    """Into a state or a view; what a decider makes of a command, and what is passed on whole, keeps its digits."""
    mount = lib_domain.started(daemons, place, files={
        "aggregates/order.lua": lib_domain.order(
            "E = { evolve = function(s, e) s.n, s.big, s.whole = e.data.n, e.data.big, e.data end }",
            'P = { decide = function(s, c) return event("E", { n = c.data.n, big = c.data.big }) end }'),
        "views/v.lua": 'return { on = { E = function(v, e) v.n, v.big, v.whole = e.data.n, e.data.big, e.data end } }'})
    data, big = b'{"n":1.10,"big":123456789012345678901234}', b'1.2345678901234569e+23'
    with mount.commands() as c:
        c.write_all(b'{"aggregate":"order/1","type":"P","data":' + data + b'}')
    event = mount.read("order/1/events.ndjson")
    assert b'"n":1.10' in event and b'"big":123456789012345678901234' in event
    mount.read(".esfs/barrier")
    for text in mount.read("order/1/views/state.json"), mount.read("views/v/all.json"):
        alone, whole = text.split(b'"whole":')
        assert b'"n":1.1,' in alone and b'"big":' + big in alone
        assert b'"n":1.10' in whole and b'"big":123456789012345678901234' in whole


def any_text(chance):
    """A string as JSON, of all planes of Unicode."""
    chars = [chr(chance.choice([chance.randrange(32, 127), chance.randrange(0xa0, 0xd7ff),
                                chance.randrange(0x10000, 0x10ffff)])) for _ in range(chance.randrange(6))]
    return json.dumps("".join(chars), ensure_ascii=False)


def any_value(chance, depth=0):
    """JSON, minified."""
    kind = chance.randrange(9 if depth < 4 else 6)
    if kind == 0:
        return chance.choice(["null", "true", "false"])
    if kind == 1:
        return str(chance.randrange(-(1 << 63), 1 << 63))
    if kind == 2:
        return repr(chance.random() * 10**chance.randrange(-20, 20))
    if kind == 3:
        return chance.choice(["0", "-0", "1.0", "1.50", "1e5", "1E-7", "0.1", "123456789012345678901234567890",
                              "-1.10e+2", "3.0e0", "100", "1e22", "1e21", "123456.789e3"])
    if kind == 4:
        return any_text(chance)
    if kind == 5:
        return chance.choice(["[]", "{}", '""'])
    if kind in (6, 7):
        return "[" + ",".join(any_value(chance, depth + 1) for _ in range(chance.randrange(5))) + "]"
    names = {chance.choice(["a", "b", "zz", "1", "2", "n", "é", ""]) + str(chance.randrange(9)) for _ in range(4)}
    return "{" + ",".join(f'"{name}":{any_value(chance, depth + 1)}' for name in names) + "}"


def test_any_json_goes_through_unharmed(daemons, place):
    """Through a decider into the event, from there into the state, and from a state that was stored."""
    seed = int(os.environ.get("ESFS_SEED", random.randrange(100_000)))
    print("ESFS_SEED:", seed)
    chance = random.Random(seed)
    bank = started(daemons, place, "bank", options=["snapshot_every=20"])
    opened(bank, "a")
    documents = [('{"v":' + any_value(chance) + "}").encode() for _ in range(lib.size(1500, 300))]
    with bank.commands("account/a") as c:
        c.write_all(b"".join(b'{"type":"Note","data":' + d + b"}\n" for d in documents))
    for document, text in zip(documents, bank.lines("account/a/events.ndjson")[1:], strict=True):
        assert lib.data_bytes(text) == document
    notes = sorted((str(n), document) for n, document in enumerate(documents, 2))
    expected = b'"notes":{' + b",".join(b'"%s":%s' % (n.encode(), d) for n, d in notes) + b"}"
    assert expected in state_bytes(bank, "account/a")
    bank.crash()
    assert expected in state_bytes(bank, "account/a")


def test_white_space_between_is_left_out(bank):
    with bank.commands("account/a") as c:
        c.write_all(b'{"type":"Note", "data" : { "a" : [ 1.0 , 2 ],\n "b":\t{ } } }')
    assert lib.data_bytes(bank.lines("account/a/events.ndjson")[-1]) == b'{"a":[1.0,2],"b":{}}'


COUNTER = """return {
  initial = function() return { sum = decimal("0.00"), int = 9007199254740993, list = array {}, map = {} } end,
  commands = {
    Add = { decide = function(s, cmd)
      return event("Added", { by = cmd.data.by, shown = decimal(cmd.data.by), was = s.sum, int = s.int }) end },
    Third = { decide = function(s) return event("Added", { by = decimal("1") / decimal("3") }) end },
    Order = { decide = function(s, cmd)
      local d = cmd.data
      d.new, d.b, d.also = 1, nil, { z = 1, a = 2, m = 3 }
      return event("Kept", d) end },
    Kind = { decide = function(s, cmd)
      local d = cmd.data
      return event("Kept", { null = d.n == null, has = { has(d.n), has(d.none), has(d.f) }, int = math.type(d.i),
        float = math.type(d.x), sum = d.i + 1, half = d.i / 2, floor = d.i // 2, len = #d.list }) end },
  },
  events = {
    Added = { evolve = function(s, e) s.sum = s.sum + decimal(e.data.by); s.int = s.int + 1 end },
    Kept = { evolve = function(s, e) s.kept = e.data end },
  },
}
"""


def test_money_is_exact_and_keeps_its_scale(daemons, place):
    mount = started(daemons, place, files={"aggregates/counter.lua": COUNTER},
                    options=["snapshot_every=3"])
    mount.make("counter/1")
    total = 0
    for i, by in enumerate(["0.10", "0.20", "12345678901234567890.05", "-0.35", "1.10", "0.9", "100", "0.005"]):
        accepted(mount, "counter/1", "Add", {"by": by})
        data = lib.data_bytes(mount.lines("counter/1/events.ndjson")[-1])
        assert b'"shown":' + by.encode() + b"," in data, data
        total += round(float(by) * 1000) if len(by) < 10 else 12345678901234567890050
        if i == 3:
            mount.crash()
    assert b'"sum":12345678901234567992.005' in state_bytes(mount, "counter/1"), state_bytes(mount, "counter/1")
    assert total == 12345678901234567992005
    assert b'"sum":0.30' in state_bytes(mount, "counter/1", 2)
    assert b'"int":9007199254741001' in state_bytes(mount, "counter/1")
    assert "not exact" in refused(mount, "counter/1", "Third", {}, "EIO")["detail"]


def test_members_that_lua_adds_come_last_and_sorted(daemons, place):
    mount = started(daemons, place, files={"aggregates/counter.lua": COUNTER})
    accepted(mount, "counter", "Order", {"z": 1, "b": 2, "a": 3}, aggregate="1")
    expected = b'{"z":1,"a":3,"also":{"a":2,"m":3,"z":1},"new":1}'
    assert lib.data_bytes(mount.lines("counter/1/events.ndjson")[-1]) == expected
    assert b'"kept":' + expected in state_bytes(mount, "counter/1")


def test_kinds_of_values_are_told_apart_in_lua(daemons, place):
    mount = started(daemons, place, files={"aggregates/counter.lua": COUNTER})
    with mount.commands("counter") as c:
        result = c.ask(b'{"aggregate":"1","type":"Kind",'
                       b'"data":{"n":null,"f":false,"i":9007199254740993,"x":1.0,"list":[]}}')
    assert result["status"] == "appended", result
    assert mount.events("counter/1")[0]["data"] == {
        "null": True, "has": [False, False, True], "int": "integer", "float": "float", "sum": 9007199254740994,
        "half": 4503599627370496.5, "floor": 4503599627370496, "len": 0}


# --- time travel

def test_every_version_has_the_state_it_had(bank):
    assert busy(bank, "a", 400) == {"appended", "rejected"}
    events = bank.events("account/a")
    assert len(events) > 250, "over snapshots"
    order = list(range(len(events) + 1))
    random.Random(2).shuffle(order)
    for v in order:
        assert state(bank, "account/a", v) == account_fold(events[:v], "a"), v
        assert bank.read("account/a/at", str(v), "stream.ndjson") == bank.read("account/a/at", str(v), "events.ndjson")
    assert state_bytes(bank, "account/a", len(events)) == state_bytes(bank, "account/a")
    for name in ("state.json", "stream.ndjson"):
        for when in (str(len(events) + 1), "2999-01-01", "x", "-1"):
            assert lib.error_of(os.stat, bank.path("account/a/at", when, name)) == "ENOENT"


def shifted(text, micros):
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") + datetime.timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_times_have_the_state_they_had(bank):
    for i in range(20):
        accepted(bank, "account/a", "List", {"n": 1 + i % 3})
        accepted(bank, "account/b", "Tag", {"tag": "b"})
    events = bank.events("account/a")
    for n, e in enumerate(events, 1):
        assert state(bank, "account/a", e["time"]) == account_fold(events[:n])
        assert state(bank, "account/a", shifted(e["time"], -1)) == account_fold(events[:n - 1], "a")
    for when in ("1970-01-01", "9999d-ago", events[0]["time"][:10], "1h-ago"):
        assert state(bank, "account/a", when) == account("a")
        assert bank.read("account/a/at", when, "stream.ndjson") == b""
    assert state(bank, "account/a", "0s-ago") == account_fold(events)


def test_ranges_have_a_stream_and_no_state(bank):
    accepted(bank, "account/a", "Values", {"n": 9})
    lines = bank.lines("account/a/events.ndjson")
    assert bank.lines("account/a/at/3..5/stream.ndjson") == lines[2:5]
    assert lib.error_of(os.stat, bank.path("account/a/at/3..5/state.json")) == "ENOENT"
    assert sorted(os.listdir(bank.path("account/a/at/3..5"))) == ["events.ndjson", "stream.ndjson"]
    assert sorted(os.listdir(bank.path("account/a/at/3"))) == ["events.ndjson", "state.json", "stream.ndjson"]


def test_the_past_does_not_move(bank):
    busy(bank, "a", 100)
    v = bank.version("account/a")
    before = {w: state_bytes(bank, "account/a", w) for w in (0, 1, v // 2, v)}
    busy(bank, "a", 300, seed=7)
    assert {w: state_bytes(bank, "account/a", w) for w in before} == before


# --- what is made from the log is the same whenever it is made

@pytest.mark.parametrize("every", [1, 7, 100, 1000000])
def test_state_and_stream_are_the_same_after_everything(daemons, place, every):
    bank = started(daemons, place, "bank", options=[f"snapshot_every={every}", "states=64K"])
    opened(bank, *"abcd")
    for i, name in enumerate("abcd"):
        busy(bank, name, lib.size(330, 150), seed=i)
    names = [f"account/{n}" for n in "abcd"]
    before = shown(bank, *names, every=13)
    check_accounts(bank)

    def tree():
        return {name: what for name, what in bank.snapshot().items() if not name.startswith("schemas")}
    whole = tree()

    def same(when):
        assert shown(bank, *names, every=13) == before, when
        assert tree() == whole, when
    bank.restart()
    same("after a restart")
    bank.crash()
    same("after a kill")
    bank.stop()
    done = bank.rebuild()
    assert done.rc == 0, done
    done = bank.verify()
    assert done.rc == 0, done
    bank.start()
    same("after a rebuild")
    bank.options = [bank.domain.option, "snapshot_every=3"]
    bank.restart()
    same("with other snapshots")
    text = bank.domain.get("aggregates/account.lua")
    bank.domain.edit("aggregates/account.lua", "a.moves = a.moves + 1 end,\n    }", "a.moves = a.moves + 2 end,\n    }")
    assert lib_domain.reload(bank) is None
    for name in names:
        events = bank.events(name)
        expected = account_fold(events)
        expected["moves"] += sum(e["type"] == "Deposited" for e in events)
        assert state(bank, name) == expected
        half = len(events) // 2
        expected = account_fold(events[:half])
        expected["moves"] += sum(e["type"] == "Deposited" for e in events[:half])
        assert state(bank, name, half) == expected
        bank.append(name, {"type": "Tag", "data": {"tag": "new"}})
        assert state(bank, name)["moves"] == account_fold(events)["moves"] + \
            sum(e["type"] == "Deposited" for e in events)
    bank.domain.put("aggregates/account.lua", text)
    bank.crash()
    for name in names:
        assert state(bank, name) == account_fold(bank.events(name))
    check_accounts(bank)
    for (name, where), content in before.items():
        if where[0] == "at":
            assert bank.read(name, *map(str, where)) == content


def test_schemas_keep_their_time(bank):
    """What backup tools go by."""
    names = bank.ok("find schemas").splitlines()
    before = {name: os.stat(bank.path(name)).st_mtime_ns for name in names}
    assert len(names) > 7
    bank.restart()
    assert {name: os.stat(bank.path(name)).st_mtime_ns for name in names} == before
    bank.crash()
    assert {name: os.stat(bank.path(name)).st_mtime_ns for name in names} == before


def test_a_mount_without_the_domain_shows_the_events_as_they_are(daemons, place):
    bank = started(daemons, place, "bank")
    opened(bank, "a")
    text = bank.read("account/a/events.ndjson")
    bank.options = []
    bank.restart()
    assert bank.read("account/a/events.ndjson") == text
    assert lib.error_of(os.stat, bank.path("account/a/views")) == "ENOENT"
    assert bank.read("schemas/account/Opened/1.json").startswith(b"{")
    bank.options = [bank.domain.option]
    bank.restart()
    assert state(bank, "account/a") == account_fold(bank.events("account/a"))


def test_large_states_are_no_burden(bank):
    """Megabytes of state: commands stay quick, the store does not grow by a state each time."""
    n, tag = lib.size(40_000, 4000), "x" * 200
    with bank.commands("account/a") as c:
        for _ in range(n // 1000):
            c.write_all(line({"type": "Tag", "data": {"tag": tag}}) * 1000)
            c.results()
    began = time.monotonic()
    for _ in range(100):
        accepted(bank, "account/a", "Tag", {"tag": tag})
    assert time.monotonic() - began < lib.limit(3), "100 commands"
    assert state(bank, "account/a")["tags"] == [tag] * (n + 100)
    bank.crash()
    accepted(bank, "account/a", "Tag", {"tag": "end"})
    assert state(bank, "account/a")["tags"][-2:] == [tag, "end"]
    events = os.stat(bank.path("log.ndjson")).st_size
    stored = sum(os.stat(os.path.join(top, name)).st_size for top, _, names in os.walk(bank.store) for name in names)
    assert stored < 4 * events + (80 << 20), (stored, events)


def test_events_from_before_the_domain_are_folded_too(daemons, place):
    bank = lib_domain.prepared(daemons, place, "bank")
    options, bank.options = bank.options, []
    bank.start()
    bank.append("", *[{"aggregate": "account/a", "type": kind, "data": data} for kind, data in
                      [("Tagged", {"tag": "old"}), ("Withdrawn", {"amount": 7}), ("Tagged", {"tag": "older"})]])
    bank.restart(options)
    assert state(bank, "account/a") == account_fold(bank.events("account/a")) == {
        "id": "a", "balance": -7, "moves": 1, "tags": ["old", "older"], "notes": {}}
    accepted(bank, "account/a", "Tag", {"tag": "new"})
    assert bank.version("account/a") == 4
    check_accounts(bank)


# --- tools that copy

def test_sizes_are_exact(bank):
    busy(bank, "a", 200)
    for where in ("views", "at/0", "at/50", "at/3..9", "at/0s-ago", "."):
        for name in ("state.json", "stream.ndjson"):
            path = bank.path("account/a", where, name)
            if os.path.exists(path):
                assert os.stat(path).st_size == len(open(path, "rb").read()), path
    found = bank.ok("find . -type f -name '*.json*' -size +0 | while read -r f; do"
                    " [ $(stat -c %s $f) = $(wc -c < $f) ] || echo $f; done; echo end")
    assert found == "end"
    assert bank.snapshot(), "asserts the sizes of all"


@pytest.mark.parametrize("tool", ["tar", "rsync", "cp"])
def test_a_whole_mount_is_copied(bank, place, tool):
    lib.need(tool)
    for i, name in enumerate("ab"):
        busy(bank, name, 150, seed=i)
    copy = os.path.join(place, "copy")
    os.mkdir(copy)
    done = bank.sh({"tar": f"tar cf - --exclude=.esfs . | tar xf - -C {copy}",
                    "rsync": f"rsync -a --exclude=.esfs ./ {copy}/",
                    "cp": f"cp -a account schemas log.ndjson {copy}/"}[tool], timeout=60)
    assert (done.rc, done.err) == (0, ""), done
    for top, _, files in os.walk(bank.mnt):
        for name in files:
            path = os.path.join(top, name)
            other = os.path.join(copy, os.path.relpath(path, bank.mnt))
            if name != "commands" and ".esfs" not in path and os.path.exists(other):
                assert filecmp.cmp(path, other, shallow=False), path
    for name in ("account/a/views/state.json", "account/b/stream.ndjson", "schemas/account/Opened/1.json"):
        assert os.path.getsize(os.path.join(copy, name)) > 0
    if tool == "rsync":
        again = bank.ok(f"rsync -a --itemize-changes --exclude=.esfs ./ {copy}/", timeout=60)
        assert [t for t in again.splitlines() if t.startswith(">f")] == []
    shutil.rmtree(copy, ignore_errors=True)


def test_state_has_the_time_of_the_last_event(bank):
    accepted(bank, "account/a", "Tag", {"tag": "x"})
    last = lib.event_time_ns(bank.events("account/a")[-1])
    for name in ("views/state.json", "stream.ndjson", "at/2/state.json", "at/2/stream.ndjson"):
        st = os.stat(bank.path("account/a", name))
        assert st.st_mtime_ns == last, name
    first = lib.event_time_ns(bank.events("account/a")[0])
    assert os.stat(bank.path("account/a/at/1/state.json")).st_mtime_ns == first


def test_nothing_of_it_can_be_written(bank):
    for name in ("views/state.json", "stream.ndjson", "at/1/state.json", "views"):
        path = bank.path("account/a", name)
        assert lib.error_of(os.open, path, os.O_WRONLY) in ("EACCES", "EPERM", "EISDIR", "EROFS")
        assert lib.error_of(os.unlink, path) in ("EPERM", "EACCES", "EISDIR", "EROFS")
        assert lib.error_of(os.rename, path, bank.path("account/a/x")) in ("EPERM", "EACCES", "EROFS")
    assert lib.error_of(os.mkdir, bank.path("account/a/views/x")) in ("EPERM", "EACCES", "EROFS")
    assert json.loads(bank.read("account/a/views/state.json"))["owner"] == "owner of a"
