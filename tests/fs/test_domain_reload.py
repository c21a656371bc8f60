"""Loading a domain again while it is at work: all of it or nothing, and no command is lost, or half of one domain and
half of another."""

import contextlib
import os
import signal
import stat
import threading
import time

import pytest

import lib
import lib_domain
from lib import line
from lib_daemon import wait_for_process_end
from lib_domain import (accepted, account_fold, accounts_of, check_accounts, loaded, opened, order, refused, reload,
                        send, started, state, stream)


@pytest.fixture
def bank(daemons, place):
    mount = started(daemons, place, "bank")
    opened(mount, "a", "b")
    return mount


def saying(letter, more=""):
    """A domain that writes its letter into all it makes."""
    return f"""local letter = require("letter")
return {{
  initial = function() return {{ said = array {{}} }} end,
  commands = {{
    Say = {{ decide = function(_, cmd)
      return event("Said", {{ letter = letter, lib = "{letter}", n = cmd.data.n }}) end }},
    Twice = {{ decide = function(_, cmd)
      return event("Said", {{ letter = letter, lib = "{letter}", n = cmd.data.n }}),
        event("Said", {{ letter = letter, lib = "{letter}", n = cmd.data.n }}) end }},
  }},
  events = {{ Said = {{ evolve = function(s, e) s.said[#s.said + 1] = e.data.letter {more} end }} }},
}}
"""


def put_letter(domain, letter, more=""):
    domain.put("lib/letter.lua", f'return "{letter}"\n')
    domain.put("aggregates/order.lua", saying(letter, more))


@pytest.fixture
def letters(daemons, place):
    mount = lib_domain.prepared(daemons, place)
    put_letter(mount.domain, "a")
    return mount.start()


@pytest.mark.parametrize("way", ["file", "signal"])
def test_a_changed_domain_is_in_force_after_a_reload(letters, way):
    accepted(letters, "order", "Say", {"n": 1}, aggregate="1")
    put_letter(letters.domain, "b")
    accepted(letters, "order/1", "Say", {"n": 2})
    if way == "file":
        letters.ok("echo > .esfs/reload")
    else:
        letters.process.send_signal(signal.SIGHUP)
        lib.wait_until(lambda: accepted(letters, "order/1", "Say", {"n": 0}) and
                       letters.events("order/1")[-1]["data"]["letter"] == "b", 10)
    accepted(letters, "order/1", "Say", {"n": 3})
    told = [(e["data"]["letter"], e["data"]["lib"]) for e in letters.events("order/1")]
    assert told[:2] == [("a", "a")] * 2 and told[-1] == ("b", "b") and set(told) == {("a", "a"), ("b", "b")}
    assert state(letters, "order/1")["said"] == [a for a, _ in told]


def test_config_shows_what_is_loaded(letters):
    one = loaded(letters)
    assert one["directory"] == letters.domain.path and one["types"] == ["order"] and len(one["hash"]) >= 32
    put_letter(letters.domain, "b")
    assert loaded(letters) == one
    assert reload(letters) is None
    two = loaded(letters)
    assert two["hash"] != one["hash"] and {**two, "hash": 0} == {**one, "hash": 0}
    letters.restart()
    assert loaded(letters) == two
    letters.domain.put("aggregates/order.lua", "return {")
    assert reload(letters) == "EINVAL" and loaded(letters) == two
    put_letter(letters.domain, "a")
    assert reload(letters) is None and loaded(letters) == one
    letters.domain.put("lib/letter.lua", 'return "a" -- as before\n')
    assert reload(letters) is None and loaded(letters)["hash"] != one["hash"]


def test_the_trigger_can_only_be_written(letters, daemons, place):
    path = letters.path(".esfs/reload")
    assert "reload" in os.listdir(letters.path(".esfs"))
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o200
    assert letters.ok("grep -r nothing-at-all .esfs; echo $?") in ("1", "2")
    other = daemons().start()
    assert lib.error_of(os.stat, other.path(".esfs/reload")) == "ENOENT"
    assert "reload" not in os.listdir(other.path(".esfs"))
    other.process.send_signal(signal.SIGHUP)
    other.append("", lib.command(aggregate="order/1"))
    assert other.alive()


def test_a_relative_directory_is_found_by_a_daemon_in_the_background(letters, place):
    """Which has left the directory that it was started in."""
    letters.stop()
    option = "domain=" + os.path.relpath(letters.domain.path, place)
    done = lib.run([lib.esfs(), letters.store, letters.mnt, "-o", option], cwd=place)
    assert done.rc == 0, done
    pid = letters.status()["pid"]
    try:
        put_letter(letters.domain, "b")
        assert reload(letters) is None
        accepted(letters, "order", "Say", {"n": 1}, aggregate="1")
        assert letters.events("order/1")[0]["data"]["lib"] == "b"
        assert loaded(letters)["directory"] == letters.domain.path
    finally:
        assert lib.run(["fusermount3", "-u", letters.mnt]).rc == 0
    wait_for_process_end(pid)


def test_new_types_and_commands_come_and_empty_ones_go(bank):
    bank.domain.put("aggregates/order.lua", order("", "Do = { decide = function() end }"))
    assert lib.error_of(os.stat, bank.path("order")) == "ENOENT"
    assert reload(bank) is None
    os.mkdir(bank.path("order/1"))
    accepted(bank, "order/1", "Do")
    bank.domain.edit("aggregates/order.lua", "Do =", "Other =")
    assert reload(bank) is None
    refused(bank, "order/1", "Do", errno="EINVAL")
    accepted(bank, "order/1", "Other")
    bank.domain.put("aggregates/empty.lua", lib_domain.EMPTY)
    assert reload(bank) is None and os.path.isdir(bank.path("empty"))
    bank.domain.remove("aggregates/empty.lua")
    assert reload(bank) is None
    refused(bank, "", "A", errno="EINVAL", aggregate="empty/1")
    assert loaded(bank)["types"] == ["account", "order"]


FAULTS = {
    "syntax": ("aggregates/z.lua", "return {\n  commands = }\n", "EINVAL", "aggregates/z.lua:2"),
    "library": ("lib/letter.lua", "error('no letter')", "EINVAL", "no letter"),
    "member": ("aggregates/z.lua", "return { comands = {} }", "EINVAL", "comands"),
    "schema": ("schemas/order/Said.1.json", '{"type":"objekt"}', "EINVAL", "Said.1.json"),
    "loop": ("aggregates/z.lua", "while true do end", "EINVAL", "aggregates/z.lua"),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("way", ["file", "signal"])
def test_a_domain_with_a_fault_changes_nothing(letters, fault, way):
    name, text, errno_name, words = FAULTS[fault]
    accepted(letters, "order", "Say", {"n": 1}, aggregate="1")
    before = loaded(letters)
    put_letter(letters.domain, "b")
    letters.domain.put(name, text)
    n = len(lib_domain.errors(letters))
    if way == "file":
        assert reload(letters) == errno_name
    else:
        letters.process.send_signal(signal.SIGHUP)
    lib.wait_until(lambda: len(lib_domain.errors(letters)) == n + 1, 20, "a line in errors.ndjson")
    told = lib_domain.last_error(letters)
    assert words in told["error"] and told["time"].endswith("Z"), told
    lib.wait_until(lambda: words in letters.log(), 10, "the fault in the log")
    accepted(letters, "order/1", "Say", {"n": 2})
    assert {e["data"]["lib"] for e in letters.events("order/1")} == {"a"} and loaded(letters) == before
    assert state(letters, "order/1")["said"] == ["a", "a"]
    letters.fails("echo > .esfs/reload", "Invalid argument")
    letters.stop()
    assert words in letters.refused().err
    put_letter(letters.domain, "b")
    if name not in ("lib/letter.lua",):
        letters.domain.remove(name)
    if fault == "schema":
        os.rmdir(os.path.join(letters.domain.path, "schemas/order"))
    letters.start()
    accepted(letters, "order/1", "Say", {"n": 3})
    assert letters.events("order/1")[-1]["data"]["lib"] == "b"


def test_a_directory_that_is_gone_is_told_and_harms_nothing(letters):
    away = letters.domain.path + "-away"
    os.rename(letters.domain.path, away)
    assert reload(letters) == "ENOENT"
    assert letters.domain.path in lib_domain.last_error(letters)["error"]
    accepted(letters, "order", "Say", {"n": 1}, aggregate="1")
    os.rename(away, letters.domain.path)
    assert reload(letters) is None


# --- while others write

class Saying(threading.Thread):
    """A writer on descriptors of its own: single commands, batches of pairs and transactions, all numbered."""

    def __init__(self, mount, number):
        super().__init__()
        self.mount, self.number, self.n, self.results, self.faults = mount, number, 0, [], []
        self.stop = threading.Event()

    def next(self, kind, name):
        self.n += 1
        return {"aggregate": f"order/{name}", "type": kind, "data": {"n": self.n}, "id": f"{self.number}-{self.n}"}

    def run(self):
        try:
            with self.mount.commands() as c:
                while not self.stop.is_set():
                    values = [self.next("Say", self.number), self.next("Twice", "all"),
                              [self.next("Say", self.number), self.next("Twice", "both")]]
                    c.write_all(b"".join(line(v) for v in values))
                    for value, result in zip(values, c.results(), strict=True):
                        assert result["status"] == "appended", result
                        for one, told in zip(value if isinstance(value, list) else [value],
                                             result.get("commands", [result])):
                            self.results.append((one["data"]["n"], told["events"]))
        except (OSError, AssertionError) as e:
            self.faults.append(e)


@contextlib.contextmanager
def writing(mount, n=6):
    writers = [Saying(mount, i) for i in range(n)]
    for w in writers:
        w.start()
    try:
        yield writers
    finally:
        for w in writers:
            w.stop.set()
        for w in writers:
            w.join()
    for w in writers:
        assert not w.faults, w.faults[0]


@contextlib.contextmanager
def reading(mount):
    """A reader of all that is folded, which never fails and never sees two domains in one file."""
    stop, faults, n = threading.Event(), [], [0]

    def work():
        names = ["views/state.json", "stream.ndjson", "at/1/state.json", "at/1..2/stream.ndjson",
                 "at/0s-ago/state.json"]
        try:
            while not stop.is_set():
                for name in names:
                    text = mount.read("order/marks", name)
                    assert text.endswith(b"\n") and [lib.strict(t) for t in text.splitlines()]
                    n[0] += 1
                assert loaded(mount)["types"] == ["order"] and os.listdir(mount.path("schemas")) == []
        except (OSError, AssertionError, ValueError) as e:
            faults.append(e)
    readers = [threading.Thread(target=work) for _ in range(2)]
    for t in readers:
        t.start()
    try:
        yield
    finally:
        stop.set()
        for t in readers:
            t.join()
    assert not faults, faults[0]
    assert n[0] > 50


def check_said(mount, writers, others):
    """Every command once, whole, and of one domain; `others`: ids of events that are not theirs."""
    by_id = {e["id"]: e for e in mount.log_events()}
    told = [i for w in writers for _, ids in w.results for i in ids]
    assert len(told) == len(set(told)) and set(told) | set(others) == set(by_id), "acknowledged, and nothing else"
    for w in writers:
        assert [n for n, _ in w.results] == list(range(1, w.n + 1)) != []
        for n, ids in w.results:
            made = [by_id[i]["data"] for i in ids]
            kind = (n - 1) % 4
            assert len(ids) == (1, 2, 1, 2)[kind] and {d["n"] for d in made} == {n}
            if kind == 3:  # with the other one of its transaction
                made.append(by_id[w.results[n - 2][1][0]]["data"])
            assert len({d[k] for d in made for k in ("letter", "lib")}) == 1, made
    return by_id.values()


@pytest.mark.timeout(200)
def test_nothing_is_lost_while_it_is_reloaded_again_and_again(letters):
    accepted(letters, "order", "Twice", {"n": 0}, aggregate="marks")
    with reading(letters), writing(letters) as writers:
        for i in range(lib.size(40, 10)):
            put_letter(letters.domain, "ab"[i % 2])
            assert reload(letters) is None, lib_domain.errors(letters)[-1:]
            now = accepted(letters, "order", "Say", {"n": 0}, aggregate="marks")
            told = lib.strict(letters.lines("order/marks/events.ndjson")[-1])
            assert told["id"] == now["events"][0] and told["data"]["lib"] == "ab"[i % 2], "in force when it returns"
            if i % 5 == 2:  # one that is refused, between
                letters.domain.put("aggregates/order.lua", "return 7")
                assert reload(letters) == "EINVAL"
    events = check_said(letters, writers, [e["id"] for e in letters.events("order/marks")])
    assert {e["data"]["letter"] for e in events} == {"a", "b"}
    for name in ("all", "both", "marks", "0"):
        assert state(letters, f"order/{name}")["said"] == [e["data"]["letter"] for e in letters.events(f"order/{name}")]
    letters.crash()
    for name in ("all", "both", "marks", "0"):
        assert state(letters, f"order/{name}")["said"] == [e["data"]["letter"] for e in letters.events(f"order/{name}")]


@pytest.mark.timeout(200)
def test_appends_go_on_while_a_changed_evolve_is_folded_anew(letters):
    """The old domain serves until all is ready; what was appended meanwhile is in the new states too."""
    n = lib.size(30_000, 2000)
    with letters.commands() as c:
        for at in range(0, n, 1000):
            c.write_all(b"".join(b'{"aggregate":"order/%d","type":"Say","data":{"n":1}}\n' % (i % 700)
                                 for i in range(at, at + 1000)))
            c.results()
    with writing(letters, 3) as writers:
        put_letter(letters.domain, "b", 's.count = (s.count or 0) + 1; s.last = e.position')
        before = sum(w.n for w in writers)
        began = time.monotonic()
        assert reload(letters) is None, lib_domain.errors(letters)[-1:]
        took, during = time.monotonic() - began, sum(w.n for w in writers) - before
    assert during > 0 or took < 0.05, "nobody could write meanwhile"
    for name in ["all", "both", "0", "1", "2", *map(str, range(3, 700, 97))]:
        events = letters.events(f"order/{name}")
        assert state(letters, f"order/{name}") == {"said": [e["data"]["letter"] for e in events], "count": len(events),
                                                   "last": events[-1]["position"]}, name


def test_only_one_reload_runs_at_a_time(letters):
    accepted(letters, "order", "Say", {"n": 1}, aggregate="1")
    outcomes = []

    def work():
        for _ in range(10):
            outcomes.append(reload(letters))
    threads = [threading.Thread(target=work) for _ in range(4)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert set(outcomes) <= {None, "EBUSY"} and None in outcomes
    assert reload(letters) is None


@pytest.mark.timeout(200)
def test_a_kill_during_a_reload_leaves_a_whole_store(bank):
    """Whatever of the new states was written: after the kill they are right, with either domain."""
    for name in "ab":
        accepted(bank, f"account/{name}", "SetIban", {"iban": f"I{name}"})
    with bank.commands() as c:
        for at in range(lib.size(20, 4)):
            c.write_all(b"".join(b'{"aggregate":"account/%c","type":"Tag","data":{"tag":"%d"}}\n' % (b"ab"[i % 2], i)
                                 for i in range(1000)))
            c.results()
    text = bank.domain.get("aggregates/account.lua")
    for i in range(lib.size(8, 4)):
        bank.domain.put("aggregates/account.lua", text.replace("moves = 0", f"moves = {i + 1}"))
        writer = threading.Thread(target=lambda: reload(bank))
        writer.start()
        time.sleep(i * 0.01 * lib.SLOW)
        bank.kill9()
        writer.join()
        if i % 2:
            bank.domain.put("aggregates/account.lua", text)
        bank.start()
        for name in "ab":
            expected = account_fold(bank.events(f"account/{name}"))
            expected["moves"] += 0 if i % 2 else i + 1
            assert state(bank, f"account/{name}") == expected
        refused(bank, "account", "SetIban", {"iban": "Ia"}, "ENOTUNIQ", aggregate="c")
    bank.domain.put("aggregates/account.lua", text)
    assert reload(bank) is None
    check_accounts(bank)


def test_a_read_only_mount_has_the_domain_for_its_readers(bank):
    accepted(bank, "account/a", "Deposit", {"amount": 3})
    bank.options.append("ro")
    bank.restart()
    assert state(bank, "account/a")["balance"] == 3 and len(stream(bank, "account/a")) == 2
    assert lib.error_of(lambda: send(bank, "account/a", "Deposit", {"amount": 1})) in ("EROFS", "EACCES", "EPERM")
    assert loaded(bank)["types"] == ["account"]
    assert accounts_of(bank.log_events())["a"] == state(bank, "account/a")
