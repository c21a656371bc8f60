"""kill -9 under load, again and again on the same store.

Sixteen writers send single commands, batches and transactions over several aggregates, and keep a list of what was
acknowledged. After each kill the store is mounted again, and each writer settles by its ids what was under way. At the
end every acknowledged event must be there at its version, once, in order, and nothing half of a transaction.

ESFS_CYCLES or --cycles: how many kills."""

import json
import os
import random
import signal
import sys
import time

import pytest

import lib
from lib import command, line
from lib_daemon import is_mounted, pause

WRITERS = 16


def cycles(config):
    wanted = config.getoption("--cycles") or int(os.environ.get("ESFS_CYCLES", 0))
    return wanted or lib.size(200, 10)


class Writer:
    """One of the sixteen: a process of its own, told "go" or "end" over a pipe, that answers with one line of JSON."""

    def __init__(self, mount, number):
        self.mount, self.number = mount, number
        self.random = random.Random(number)
        self.next = 0          # number of the next command
        self.pending = None    # the values whose outcome is not known
        self.versions = {}     # aggregate -> version as acknowledged
        self.acknowledged = [] # [aggregate, version, position, n, transaction]
        self.faults = []

    # --- in the child

    def names(self):
        return [f"own/{self.number}", f"a/{self.number}", f"b/{self.number}", f"c/{self.number}"]

    def value(self, name, transaction=None):
        self.next += 1
        # a large one from time to time, so that chunks and blocks of all sizes are cut
        pad = "x" * self.random.choice([0, 0, 10, 100, 1000, 20_000])
        return {"aggregate": name, "type": "A", "id": f"{self.number}-{self.next}",
                "data": {"w": self.number, "n": self.next, "t": transaction, "pad": pad}}

    def values(self):
        """What one write holds: a command, a batch, a transaction, or a mixture."""
        own, a, b, c = self.names()
        kind = self.random.randrange(4)
        if kind == 0:
            return [{**self.value(own), "expectedVersion": self.versions.get(own, 0)}]
        if kind == 1:
            return [self.value(own) for _ in range(self.random.randrange(1, 30))]
        first = self.next + 1
        transaction = [self.value(name, first) for name in (a, b, c)[:self.random.randrange(2, 4)]]
        if kind == 2:
            return [transaction]
        return [self.value(own), transaction, self.value(a)]

    def note(self, value, result):
        """A result line says that a value is in the store."""
        if result["status"] != "appended":
            self.faults.append(["refused", result])
            return
        for sent, told in zip(value if isinstance(value, list) else [value],
                              result["commands"] if isinstance(value, list) else [result]):
            if told["aggregate"] != sent["aggregate"] or len(told["events"]) != 1:
                self.faults.append(["another result", sent["aggregate"], told])
            expected = self.versions.get(sent["aggregate"], 0) + 1
            if told["version"] != expected:
                self.faults.append([sent["aggregate"], "version", told["version"], "expected", expected, result])
            self.versions[sent["aggregate"]] = told["version"]
            self.acknowledged.append(
                [sent["aggregate"], told["version"], told["position"], sent["data"]["n"], sent["data"]["t"]])

    def send(self, channel, values):
        """One write, and the results it gives. The values are pending until their results are read."""
        self.pending = list(values)
        try:
            channel.write_all(b"".join(line(v) for v in values))
        finally:
            for result in channel.results():
                self.note(self.pending.pop(0), result)

    def cycle(self):
        """Settles what was pending, then writes until the mount dies."""
        try:
            with self.mount.commands() as c:
                if self.pending:
                    self.send(c, [{**v, "expectedVersion": "any"} if isinstance(v, dict) else v for v in self.pending])
                while True:
                    self.send(c, self.values())
        except OSError as e:
            return e.errno

    def check_versions(self):
        """Right after the mount: nothing acknowledged is missing."""
        for name, version in self.versions.items():
            try:
                there = self.mount.version(name)
            except FileNotFoundError:
                if not is_mounted(self.mount.mnt):
                    return  # killed before this writer came to look: this is the bare mountpoint
                there = 0
            except OSError:
                return  # killed again already
            if there < version:
                self.faults.append([name, "is at", there, "acknowledged", version])

    def settle(self):
        with self.mount.commands() as c:
            if self.pending:
                self.send(c, [{**v, "expectedVersion": "any"} if isinstance(v, dict) else v for v in self.pending])

    def serve(self, commands, answers):
        for text in commands:
            if text == "go\n":
                self.check_versions()
                self.cycle()
            else:
                self.check_versions()
                self.settle()
            told = {"faults": self.faults, "n": len(self.acknowledged)}
            if text == "end\n":
                told.update(acknowledged=self.acknowledged, pending=bool(self.pending))
            answers.write(json.dumps(told) + "\n")
            answers.flush()

    # --- in the parent

    def fork(self):
        read_commands, write_commands = os.pipe()
        read_answers, write_answers = os.pipe()
        self.pid = os.fork()
        if self.pid == 0:
            try:
                signal.signal(signal.SIGALRM, signal.SIG_DFL)
                os.close(write_commands)
                os.close(read_answers)
                self.serve(os.fdopen(read_commands, "r"), os.fdopen(write_answers, "w"))
                os._exit(0)
            except BaseException as e:  # noqa: whatever it is, the parent must hear of it
                print(f"writer {self.number}: {e!r}", file=sys.stderr, flush=True)
                os._exit(1)
        os.close(read_commands)
        os.close(write_answers)
        self.commands, self.answers = os.fdopen(write_commands, "w"), os.fdopen(read_answers, "r")

    def tell(self, word):
        self.commands.write(word + "\n")
        self.commands.flush()

    def answer(self):
        text = self.answers.readline()
        assert text, f"writer {self.number} has died"
        told = json.loads(text)
        assert told["faults"] == [], told["faults"][:3]
        return told

    def put_away(self):
        self.commands.close()
        self.answers.close()
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def writers(mount):
    made = [Writer(mount, n) for n in range(WRITERS)]
    for w in made:
        w.fork()
    yield made
    for w in made:
        w.put_away()


def check(events, acknowledged):
    """The log against what the writers were told."""
    by_position = {e["position"]: e for e in events}
    known = set()
    for name, version, position, n, _ in acknowledged:
        e = by_position.get(position)
        assert e, f"{name} version {version} was acknowledged at {position}, and is lost"
        assert (e["source"], e["version"], e["data"]["n"]) == (f"/{name}", version, n), e
        assert position not in known, "acknowledged twice"
        known.add(position)
    assert set(by_position) == known, "an event that nobody was told of"
    last = {}
    for e in events:
        assert last.get(e["source"], 0) < e["data"]["n"], "out of order, or twice"
        last[e["source"]] = e["data"]["n"]


def check_transactions(events, acknowledged):
    """Members of a transaction lie side by side, all that were acknowledged together."""
    by_position = {e["position"]: e for e in events}
    sizes = {}
    for _, _, position, _, transaction in acknowledged:
        writer = by_position[position]["data"]["w"]
        sizes[writer, transaction] = sizes.get((writer, transaction), 0) + 1
    i = 0
    while i < len(events):
        data = events[i]["data"]
        if data["t"] is None:
            i += 1
            continue
        run = i
        while run < len(events) and (events[run]["data"]["w"], events[run]["data"]["t"]) == (data["w"], data["t"]):
            run += 1
        members = [e["data"]["n"] for e in events[i:run]]
        assert len(members) == sizes[data["w"], data["t"]] >= 2, f"half of a transaction at {events[i]['position']}"
        assert members == list(range(data["t"], data["t"] + len(members))), members
        i = run


@pytest.mark.timeout(1100)
def test_every_acknowledged_event_survives_every_kill(mount, writers, request):
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    moments = random.Random(seed)
    n = cycles(request.config)
    for cycle in range(n):
        for w in writers:
            w.tell("go")
        pause(moments.uniform(0.05, 0.3) * lib.SLOW)
        mount.kill9()
        told = [w.answer() for w in writers]
        mount.start()
        if cycle % 50 == 49:
            assert min(t["n"] for t in told) > 0, "every writer gets something done"
    for w in writers:
        w.tell("end")
    told = [w.answer() for w in writers]
    assert not any(t["pending"] for t in told)
    acknowledged = [a for t in told for a in t["acknowledged"]]
    events = mount.log_events()
    assert len(events) > n * WRITERS / 4, "there was a load"
    check(events, acknowledged)
    check_transactions(events, acknowledged)
    mount.stop()
    done = mount.verify(timeout=100)
    assert done.rc == 0, done
    done = mount.rebuild()
    assert done.rc == 0, done
    mount.start()
    assert len(mount.lines("log.ndjson")) == len(events)


def test_a_kill_during_the_start_loses_nothing(mount):
    """Killed at any moment of catching up, more than once in a row."""
    n = lib.size(40_000)
    mount.append("", lib.spread(n, over=50))
    text = mount.read("log.ndjson")
    for i in range(lib.size(25, 5)):
        mount.kill9()
        mount.spawn()
        pause(i * 0.004 * lib.SLOW)
    mount.kill9()
    mount.start()
    assert mount.read("log.ndjson") == text
    mount.stop()
    assert mount.verify().rc == 0
    mount.start()


def test_a_kill_while_tables_are_written_loses_nothing(mount):
    """Heavy load, so that windows are ingested and logs are switched while the process is killed."""
    acknowledged = 0
    text = command(aggregate="order/1", data={"x": "y" * 500}) * 1800
    for i in range(lib.size(6, 2)):
        pid = os.fork()
        if pid == 0:
            try:
                while True:
                    with mount.commands("", os.O_WRONLY) as c:
                        c.write_all(text)
            except OSError:
                os._exit(0)
        pause((0.4 + 0.17 * i) * lib.SLOW)
        acknowledged = mount.version("order/1") if os.path.exists(mount.path("order/1")) else 0
        mount.kill9()
        os.waitpid(pid, 0)
        mount.start()
        there = mount.version("order/1")
        assert there >= acknowledged
        acknowledged = there
    assert mount.ok("wc -l < log.ndjson", timeout=60) == str(acknowledged)
    mount.stop()
    done = mount.verify(timeout=100)
    assert done.rc == 0, done
    mount.start()
