"""Views while everything happens at once: domains are loaded again and again, views come and go, are rebuilt, renamed
upon, read and listed, and writers never stop. In the end they are what the log makes.

ESFS_STORM_SECONDS: how long each of it goes on; twice as long in a slow build."""

import contextlib
import ctypes
import errno
import os
import random
import signal
import subprocess
import sys
import threading
import time

import pytest

import lib
from lib_bank_views import VIEWS, check, files, rebuild, settle, status
from lib_domain import opened, reload, started

SECONDS = float(os.environ.get("ESFS_STORM_SECONDS", 4)) * min(lib.SLOW, 2)
ACCOUNTS = 60


class Storm:
    """Threads that do something until the end; what fails in one fails the test."""

    def __init__(self, seconds=SECONDS):
        self.end, self.counts = time.monotonic() + seconds, {}
        self.threads, self.faults, self.closing = [], [], []

    def goes_on(self):
        return time.monotonic() < self.end and not self.faults

    def add(self, what, *arguments, pause=0.0):
        name = f"{what.__name__}{len(self.threads)}"

        def run():
            n = 0
            try:
                while self.goes_on():
                    what(*arguments)
                    n += 1
                    if pause:
                        time.sleep(pause)
            except BaseException as e:  # pylint: disable=broad-except
                self.faults.append((name, repr(e)))
            self.counts[name] = n
        self.threads.append(threading.Thread(target=run))
        return self

    def rage(self):
        for t in self.threads:
            t.start()
        for t in self.threads:
            t.join()
        for close in self.closing:
            close()
        print(self.counts)
        assert not self.faults, self.faults
        assert all(self.counts.values()), self.counts


class Writer:
    def __init__(self, mount, seed, many=40):
        self.mount, self.random, self.many = mount, random.Random(seed), many
        self.channel = mount.commands()

    def write(self):
        r, deposits = self.random, []
        for _ in range(r.randrange(1, self.many)):
            deposits.append(lib.line({"aggregate": f"account/a{r.randrange(ACCOUNTS)}", "type": "Deposit",
                                      "data": {"amount": r.randrange(1, 40)}}))
        self.channel.write_all(b"".join(deposits))
        self.channel.results()


def bank(daemons, place, files=VIEWS):
    mount = started(daemons, place, "bank", files=files)
    opened(mount, *(f"a{n}" for n in range(ACCOUNTS)))
    settle(mount)
    return mount


@pytest.mark.timeout(300)
@pytest.mark.skipif(lib.SLOW > 1, reason="a sanitizer makes views slower than writers, which come first")
def test_a_rebuild_ends_while_writers_never_pause(daemons, place):
    mount = bank(daemons, place)
    storm = Storm()
    writers = [Writer(mount, n, 400) for n in range(4)]
    took = []

    def rebuild_all():
        began = time.monotonic()
        for view in ("kinds", "balances", "rich", "by_moves"):
            rebuild(mount, view)
        settle(mount, f"barrier@{lib.limit(20)}s", timeout=60)
        took.append(time.monotonic() - began)
    for w in writers:
        storm.add(w.write).closing.append(w.channel.close)
    storm.add(rebuild_all)
    storm.rage()
    print([f"{t:.2f}" for t in took])
    settle(mount)
    check(mount)


def reload_any(mount):
    """Another reload may be under way."""
    assert reload(mount) in (None, "EBUSY")


def put(mount, name, text):
    """All of it at once, for whoever loads the domain meanwhile."""
    mount.domain.put(".new", text)
    os.replace(os.path.join(mount.domain.path, ".new"), os.path.join(mount.domain.path, name))


def read_all(mount, view):
    """Whatever a tool meets is whole, or it is not there any more."""
    top = mount.path("views", view)
    for at, dirs, names in os.walk(top):
        for name in names:
            path = os.path.join(at, name)
            try:
                if os.path.islink(path):
                    assert os.readlink(path).startswith("../../"), path
                elif name.endswith(".json"):
                    with open(path, "rb") as f:
                        lib.strict(f.read())
            except (FileNotFoundError, NotADirectoryError):
                pass
            except OSError as e:
                if e.errno != errno.ESTALE:
                    raise


def look_at(mount):
    """A barrier says what it waited for; the list of views is the domain's."""
    said = settle(mount, f"barrier@{lib.limit(20)}s", timeout=60)
    assert said["halted"] == {}, said


@pytest.mark.timeout(300)
def test_a_reload_every_ten_milliseconds(daemons, place):
    """Of the same domain, of another text of a view, of another text of the type; readers never see a view half made."""
    mount = bank(daemons, place)
    storm, n = Storm(), [0]
    lock = threading.Lock()
    text = mount.domain.get("aggregates/account.lua")

    def change():
        with lock:
            n[0] += 1
            name = sorted(VIEWS)[n[0] % len(VIEWS)]
            if n[0] % 3 == 1:
                put(mount, name, VIEWS[name] + f"-- {n[0]}\n")
            elif n[0] % 17 == 0:
                put(mount, "aggregates/account.lua", text + f"-- {n[0]}\n")
            reload_any(mount)
    for w in (Writer(mount, n) for n in range(2)):
        storm.add(w.write, pause=0.001).closing.append(w.channel.close)
    storm.add(change, pause=0.01)
    storm.add(reload_any, mount, pause=0.01)
    for view in ("kinds", "by_moves"):
        storm.add(read_all, mount, view, pause=0.01)
    storm.rage()
    assert settle(mount, timeout=100)["halted"] == {}
    check(mount)


@pytest.mark.timeout(300)
def test_views_that_come_and_go(daemons, place):
    mount = bank(daemons, place)
    storm, n = Storm(), [0]

    def come_and_go():
        name = sorted(VIEWS)[n[0] % len(VIEWS)]
        mount.domain.remove(name)
        reload_any(mount)
        assert os.path.basename(name)[:-4] not in os.listdir(mount.path("views"))
        put(mount, name, VIEWS[name])
        reload_any(mount)
        assert os.path.basename(name)[:-4] in os.listdir(mount.path("views"))
        n[0] += 1
    for w in (Writer(mount, n) for n in range(2)):
        storm.add(w.write, pause=0.001).closing.append(w.channel.close)
    storm.add(come_and_go)
    storm.add(look_at, mount)
    for view in ("kinds", "balances", "by_moves"):
        storm.add(read_all, mount, view, pause=0.01)
    storm.rage()
    assert settle(mount, timeout=100)["halted"] == {}
    check(mount)


@pytest.mark.timeout(300)
def test_rebuilds_upon_rebuilds(daemons, place):
    mount = bank(daemons, place)
    storm = Storm()
    for w in (Writer(mount, n) for n in range(2)):
        storm.add(w.write, pause=0.001).closing.append(w.channel.close)
    for view in ("kinds", "balances", "rich", "by_moves"):
        storm.add(rebuild, mount, view)
        storm.add(read_all, mount, view, pause=0.02)
        storm.add(status, mount, view, pause=0.005)
    storm.rage()
    assert settle(mount, timeout=100)["halted"] == {}
    check(mount)
    mount.restart()
    settle(mount)
    check(mount)


FRAGILE = """return {
  key = function(e) return e.subject end,
  init = function() return { notes = array{} } end,
  on = { Noted = function(view, e)
    if e.data.bad then error("a bad note") end
    view.notes[#view.notes + 1] = e.data.x
  end },
}
"""


def exchange(a, b):
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.renameat2(-100, os.fsencode(a), -100, os.fsencode(b), 2) < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


@pytest.mark.timeout(300)
def test_parked_events_moved_by_many_hands(daemons, place):
    """Right and wrong names, several times at once, while the view is rebuilt: what was skipped is out for good, what was
    not is in in the end."""
    mount = started(daemons, place, "bank", files={"views/notes.lua": FRAGILE})
    opened(mount, *(f"a{n}" for n in range(8)))
    n = 80
    mount.append("", *[{"aggregate": f"account/a{i % 8}", "type": "Note", "data": {"x": i, "bad": i % 10 == 0}}
                       for i in range(n)])
    settle(mount)
    top = mount.path("views/notes/.parked")
    names = sorted(name for name in os.listdir(top) if name.endswith(".json"))
    notes = {e["position"]: e for e in mount.log_events() if e["type"] == "Noted"}
    skipped = {name for name in names if notes[name[:16]]["data"]["bad"] and int(name[:16], 16) % 20 < 10}
    assert len(names) > 16 and skipped
    seeds, storm = iter(range(1000)), Storm()
    allowed = {None, "EBUSY", "EIO", "ENOENT", "EPERM", "EINTR"}

    def hands(r):
        name, other = r.choice(names), r.choice(names)
        said = lib.error_of(os.rename, f"{top}/{name}", f"{top}/retry/{name}")
        assert said in allowed, said
        wrong = [lib.error_of(os.rename, f"{top}/{name}", f"{top}/{target}")
                 for target in ("x.json", "retry/x.json", "skipped/0000000000000000.json", "../a1.json", "retry/" + name + "x")]
        if other != name:
            wrong += [lib.error_of(os.rename, f"{top}/{name}", f"{top}/retry/{other}"),
                      lib.error_of(exchange, f"{top}/{name}", f"{top}/{other}")]
        assert set(wrong) <= {"EPERM", "ENOENT"}, wrong
        assert lib.error_of(exchange, f"{top}/{name}", f"{top}/retry/{name}") in ("EPERM", "ENOENT", "EINVAL")
        assert lib.error_of(os.rename, f"{top}/retry", f"{top}/skipped") in ("EPERM", "EBUSY", "ENOTEMPTY")
        assert lib.error_of(os.unlink, f"{top}/{name}") in ("EPERM", "ENOENT")
        with contextlib.suppress(FileNotFoundError):
            with open(f"{top}/{name}", "rb") as f:
                assert lib.strict(f.read())["position"] == name[:16]

    def skip(r):
        name = r.choice(sorted(skipped))
        said = lib.error_of(os.rename, f"{top}/{name}", f"{top}/skipped/{name}")
        assert said in (None, "ENOENT", "EBUSY"), said
    for _ in range(3):
        storm.add(hands, random.Random(next(seeds)))
    for _ in range(2):
        storm.add(skip, random.Random(next(seeds)))
    storm.add(rebuild, mount, "notes", pause=0.05)
    storm.add(look_at, mount, pause=0.02)
    storm.rage()
    for name in skipped:
        lib.error_of(os.rename, f"{top}/{name}", f"{top}/skipped/{name}")
    mount.domain.edit("views/notes.lua", 'if e.data.bad then error("a bad note") end', "")
    for _ in range(2):
        assert reload(mount) is None
        assert settle(mount)["halted"] == {}
        expected = {}
        for position, e in notes.items():
            if f"{position}.json" not in skipped:
                expected.setdefault(e["subject"], []).append(e["data"]["x"])
        found = {k: lib.strict(v)["notes"] for k, v in files(mount, "notes").items()}
        assert found == expected
        assert [name for name in os.listdir(top) if name.endswith(".json")] == []
        assert set(os.listdir(f"{top}/skipped")) == skipped
        mount.crash()


@pytest.mark.timeout(300)
def test_fifty_views_at_once(daemons, place):
    more = {f"views/n{i}.lua": VIEWS["views/kinds.lua" if i % 2 else "views/balances.lua"] + f"-- {i}\n"
            for i in range(46)}
    mount = bank(daemons, place, {**VIEWS, **more})
    storm = Storm(2)
    for w in (Writer(mount, n) for n in range(2)):
        storm.add(w.write, pause=0.001).closing.append(w.channel.close)
    storm.add(look_at, mount)
    storm.add(lambda: rebuild(mount, f"n{random.randrange(46)}"), pause=0.02)
    storm.add(reload_any, mount, pause=0.1)
    storm.rage()
    assert settle(mount, timeout=100)["halted"] == {}
    found = check(mount)
    for i in range(46):
        assert files(mount, f"n{i}") == found["kinds" if i % 2 else "balances"], i


class Chaos:
    """Everything at once until the mount goes."""

    def __init__(self, mount, seed):
        self.mount, self.random = mount, random.Random(seed)
        self.threads = [threading.Thread(target=self.run, args=(what,)) for what in (
            self.write, self.write, self.rebuild, self.reload, self.read, self.barrier, self.look)]
        for t in self.threads:
            t.start()

    def run(self, what):
        with contextlib.suppress(OSError, AssertionError, ValueError):
            what()

    def write(self):
        with self.mount.commands() as c:
            while True:
                c.write_all(lib.line({"aggregate": f"account/a{self.random.randrange(ACCOUNTS)}", "type": "Deposit",
                                      "data": {"amount": 3}}) * 20)
                c.results()

    def rebuild(self):
        while True:
            rebuild(self.mount, self.random.choice(["kinds", "balances", "rich", "by_moves"]))
            time.sleep(self.random.uniform(0, 0.05))

    def reload(self):
        n = 0
        while True:
            n += 1
            name = self.random.choice(sorted(VIEWS))
            put(self.mount, name, VIEWS[name] + f"-- {n}\n")
            reload_any(self.mount)
            time.sleep(self.random.uniform(0, 0.05))

    def read(self):
        while True:
            os.listdir(self.mount.path("views"))
            read_all(self.mount, self.random.choice(["kinds", "balances", "rich", "by_moves"]))

    def barrier(self):
        while True:
            self.mount.read(".esfs/barrier@1s")

    def look(self):
        while True:
            status(self.mount, "kinds")
            os.listdir(self.mount.path("views/kinds/.parked"))

    def end(self):
        for t in self.threads:
            t.join(lib.limit(30))
        assert not any(t.is_alive() for t in self.threads), "somebody still waits for a mount that is gone"


@pytest.mark.timeout(400)
@pytest.mark.parametrize("how", ["term", "kill"])
def test_the_end_comes_in_the_middle_of_it(daemons, place, how):
    mount = bank(daemons, place)
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    moments = random.Random(seed)
    for cycle in range(lib.size(int(6 * SECONDS / 4), 2)):
        chaos = Chaos(mount, seed + cycle)
        time.sleep(moments.uniform(0.05, 0.6) * lib.SLOW)
        if how == "term":
            mount.process.terminate()
            mount.wait(40)
            mount.detach()
        else:
            mount.kill9()
        chaos.end()
        mount.start()
        assert settle(mount, timeout=100)["halted"] == {}
        check(mount)
    mount.stop()
    assert mount.verify(timeout=100).rc == 0
    mount.start()


def test_a_reader_that_stands_still_holds_up_nobody(daemons, place):
    """It has a file of a view open, has a listing half read, and is stopped: the view changes, is rebuilt and goes."""
    mount = bank(daemons, place)
    program = "import os, sys, time\nf = open(sys.argv[1], 'rb')\nf.read(3)\nd = os.scandir(sys.argv[2])\nnext(d)\n" \
              "print('ready', flush=True)\nsys.stdin.readline()\nrest = f.read()\nprint(len(rest))\n"
    reader = lib.start([sys.executable, "-c", program, mount.path("views/kinds/all.json"), mount.path("views/balances")],
                       stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert reader.stdout.readline() == b"ready\n"
    size = os.stat(mount.path("views/kinds/all.json")).st_size
    reader.send_signal(signal.SIGSTOP)
    try:
        mount.append("account/a1", *[{"type": "Deposit", "data": {"amount": 1}}] * 50)
        for view in ("kinds", "balances"):
            rebuild(mount, view)
        assert settle(mount)["halted"] == {}
        check(mount)
        for name in ("views/kinds.lua", "views/balances.lua"):
            mount.domain.remove(name)
        assert reload(mount) is None
        assert settle(mount)["halted"] == {}
        assert sorted(os.listdir(mount.path("views"))) == ["by_moves", "rich"]
    finally:
        reader.send_signal(signal.SIGCONT)
    out, _ = reader.communicate(b"\n", timeout=lib.limit(20))
    assert reader.returncode == 0 and int(out) == size - 3, "what it had opened stays what it was"
