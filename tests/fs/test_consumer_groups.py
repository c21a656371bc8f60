"""Groups of consumers: several descriptors of `follow` share the work, each event is one descriptor's until it is
acknowledged there, and those of an aggregate are one descriptor's at a time."""

import json
import os
import random
import select
import signal
import subprocess
import sys
import time

import pytest

import lib
from lib import command, error_of
from lib_consumers import Follower, Reading, ack, configure, consumer, cursor, nack, pending, positions, read, waiting, write

WORKER = """
import json, os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
text, batch = b"", int(sys.argv[2])
while True:
    piece = os.read(fd, 1 if batch == 1 else 2000)
    if not piece:
        break
    text += piece
    *lines, text = text.split(b"\\n")
    done = []
    for line in lines:
        e = json.loads(line)
        print(json.dumps([int(e["position"], 16), e["source"], e["version"]]), flush=True)
        done.append(e["position"])
    if done:
        os.write(fd, ("\\n".join(done) + "\\n").encode())
        print(json.dumps(["acked", *done]), flush=True)
"""
"""Handles what it is given, says so, acknowledges it, and says that too."""


class Worker:
    def __init__(self, path, batch=1):
        self.process = lib.start([sys.executable, "-c", WORKER, os.path.join(path, "follow"), str(batch)],
                                 stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=0)
        self.handled, self.acknowledged, self.rest = [], set(), b""
        os.set_blocking(self.process.stdout.fileno(), False)

    def collect(self):
        """Takes in what it has said so far."""
        while not self.process.stdout.closed and (piece := self.process.stdout.read()):
            self.rest += piece
        *lines, self.rest = self.rest.split(b"\n")
        for line in lines:
            said = json.loads(line)
            if said[0] == "acked":
                self.acknowledged.update(int(p, 16) for p in said[1:])
            else:
                self.handled.append(tuple(said))
        return self.handled

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.collect()
        self.process.stdout.close()


@pytest.fixture
def workers():
    made = []

    def make(path, batch=1):
        made.append(Worker(path, batch))
        return made[-1]
    yield make
    for w in made:
        if w.process.poll() is None:
            w.kill()


def group(mount, name="g", **config):
    return consumer(mount, name, group=True, **config)


def spread(mount, n, over):
    mount.append("", *[command(aggregate=f"order/{i % over}", data={"n": i}) for i in range(n)])


def test_two_share_and_one_is_killed(mount, workers):
    path, n = group(mount), lib.size(600, 200)
    a, b = workers(path), workers(path, batch=2)
    lib.wait_until(lambda: waiting(a.process, b.process) == 2, 30, "both to wait")

    def both_have_work():
        spread(mount, 11, over=11)
        return len(a.collect()) > 20 and len(b.collect()) > 20
    lib.wait_until(both_have_work, 30)
    spread(mount, n, over=11)
    a.kill()
    spread(mount, n, over=11)
    total = int(mount.ok("wc -l < log.ndjson"))
    lib.wait_until(lambda: cursor(path) == total, 60, "all to be acknowledged")
    b.collect()
    seen = {p for p, _, _ in a.handled + b.handled}
    assert seen == set(range(1, total + 1)), "each is handled"
    twice = {p for p, _, _ in a.handled} & {p for p, _, _ in b.handled}
    assert not twice & a.acknowledged, "what was acknowledged is not given again"
    for w in (a, b):
        last = {}
        for _, source, version in w.handled:
            assert version > last.get(source, 0), "an aggregate's events come in order"
            last[source] = version


def test_opening(mount):
    path = group(mount)
    follow = os.path.join(path, "follow")
    for flags in (os.O_RDONLY, os.O_WRONLY):
        assert error_of(os.open, follow, flags) == "EINVAL"
    spread(mount, 2, over=2)
    with Follower(path, os.O_RDWR) as f:
        first = f.event()
        assert error_of(configure, path) == "EBUSY"
        assert error_of(ack, path, first["position"]) == "EINVAL", "on its own descriptor"
        assert pending(path) == [1, 2]
        assert error_of(f.ack, f"{99:016x}") == "EINVAL"
        assert f.ack(first["position"]) == 17
        assert cursor(path) == 1
        assert error_of(f.ack, first["position"]) == "EINVAL", "done already"
        # two in one write, the second one refused: those before it stand
        second = f.event()["position"]
        assert os.write(f.fd, f"{second}\n{first['position']}\n".encode()) == 16
        assert cursor(path) == 2
        with Follower(path, os.O_RDWR) as other:
            spread(mount, 1, over=1)
            third = f.event()["position"]
            assert error_of(other.ack, third) == "EINVAL", "another's"
        assert os.write(f.fd, f"{third}\n00".encode()) == 19
        fd, f.fd = f.fd, -1
        assert error_of(os.close, fd) == "EBADMSG"
    configure(path)
    assert oct(os.stat(follow).st_mode & 0o777) == "0o440"


def test_the_loop_of_a_group(mount):
    lib.need("jq")
    path = group(mount)
    spread(mount, 3, over=3)
    loop = """exec 3<> consumers/g/follow
              while read -r event <&3; do
                jq -r .position <<<"$event" >&3 || break
                jq -r .position <<<"$event"
              done"""
    with lib.running(["bash", "-c", loop], cwd=mount.mnt, stdout=subprocess.PIPE, text=True) as process:
        assert [int(process.stdout.readline(), 16) for _ in range(3)] == [1, 2, 3]
    assert cursor(path) == 3


def test_one_thread_acknowledges_while_another_waits(mount):
    """On one descriptor: the kernel would keep the write waiting for the read, were it an ordinary file."""
    path = group(mount)
    spread(mount, 1, over=1)
    with Follower(path, os.O_RDWR) as f:
        position = f.event()["position"]
        reading = Reading(f.fd)
        assert reading.waits()
        assert f.ack(position) == 17
        assert cursor(path) == 1 and reading.is_alive()
        spread(mount, 1, over=1)
        assert positions(reading.comes()) == [2]


def test_what_nobody_acknowledged_comes_again(mount):
    path = group(mount)
    spread(mount, 6, over=2)
    with Follower(path, os.O_RDWR) as f:
        events = f.events(4)
        f.ack(*[e["position"] for e in events if e["source"] == "/order/1"])
        assert cursor(path) == 0
        mount.kill9()
    mount.start()
    with Follower(path, os.O_RDWR) as f:
        assert [int(e["position"], 16) for e in f.events(4)] == [1, 3, 5, 6]


def test_what_was_acknowledged_ahead_does_not_come_again(mount):
    path = group(mount)
    spread(mount, 12, over=3)
    with Follower(path, os.O_RDWR | os.O_NONBLOCK) as f:
        assert f.there() == list(range(1, 13))
        assert f.ack(*[f"{p:016x}" for p in range(2, 8)]) == 6 * 17
    with Follower(path, os.O_RDWR | os.O_NONBLOCK) as f:
        assert f.there() == [1, 8, 9, 10, 11, 12], "the last reader had gone"
        f.ack(*[f"{p:016x}" for p in range(8, 13)])
        mount.kill9()
    mount.start()
    assert cursor(path) == 0
    with Follower(path, os.O_RDWR | os.O_NONBLOCK) as f:
        assert f.there() == [1]
        f.ack(f"{1:016x}")
        assert cursor(path) == 12


def test_one_event_wakes_one_of_those_who_poll(mount):
    path = group(mount)
    followers = [Follower(path, os.O_RDWR | os.O_NONBLOCK) for _ in range(5)]
    fds = [f.fd for f in followers]
    assert select.select(fds, [], [], 0.05)[0] == []
    assert select.select([], fds, [], lib.limit(5))[1] == fds, "positions may be written at any time"
    spread(mount, 1, over=1)
    ready = select.select(fds, [], [], lib.limit(10))[0]
    time.sleep(0.1)
    assert select.select(fds, [], [], 0)[0] == ready and len(ready) == 1
    owner = followers[fds.index(ready[0])]
    owner.close()
    fds.remove(ready[0])
    ready = select.select(fds, [], [], lib.limit(10))[0]
    assert len(ready) == 1, "it has gone to another"
    for f in followers:
        f.close()


def test_parking_in_a_group(mount):
    path = group(mount)
    spread(mount, 3, over=1)
    with Follower(path, os.O_RDWR) as f, Follower(path, os.O_RDWR) as other:
        first, second, third = (e["position"] for e in f.events(3))
        nack(path, second, "no")
        assert error_of(f.ack, second) == "EINVAL"
        f.ack(first)
        assert cursor(path) == 2
        f.ack(third)
        assert cursor(path) == 3
        reading = Reading(other.fd)
        assert reading.waits()
        mount.ok(f"mv consumers/g/parked/{second}.json consumers/g/parked/retry/")
        assert positions(reading.comes()) == [2]
        assert error_of(f.ack, second) == "EINVAL"
        other.ack(second)
    assert os.listdir(os.path.join(path, "parked/retry")) == []
    write(os.path.join(path, "ack"), "seek " + "0" * 16)
    assert pending(path) == [1, 2, 3] and read(os.path.join(path, "lag")) == "3\n"


@pytest.mark.timeout(400)
def test_a_long_day(mount, workers):
    """Readers come and are killed, the daemon is killed, events keep coming: each is handled, in the order of its
    aggregate, and what was acknowledged below the cursor is never given again."""
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    dice = random.Random(seed)
    path, total = group(mount), 0
    alive, everybody, floor = [], [], 0
    for _ in range(lib.size(60, 15)):
        turn = dice.random()
        if turn < 0.45 or not alive:
            spread(mount, (n := dice.randrange(1, 80)), over=13)
            total += n
        if turn > 0.3 and len(alive) < 4:
            alive.append(workers(path, batch=dice.choice([1, 2])))
            everybody.append((alive[-1], floor))
        if turn > 0.7 and alive:
            alive.pop(dice.randrange(len(alive))).kill()
        if turn > 0.93:
            mount.kill9()
            for w in alive:
                w.process.wait(lib.limit(10))
                w.collect()
            alive.clear()
            mount.start()
            floor = cursor(path)
        time.sleep(0.05 * lib.SLOW)
    if not alive:
        alive.append(workers(path))
        everybody.append((alive[-1], floor))
    lib.wait_until(lambda: cursor(path) == total, 60, "all to be acknowledged")
    seen = set()
    for w, begun in everybody:
        last = {}
        for position, source, version in w.collect():
            assert position > begun, "below the cursor that a crash had left"
            assert version > last.get(source, 0), "out of order"
            last[source] = version
            seen.add(position)
    assert seen == set(range(1, total + 1))
