"""consumers/NAME/.status.json: each member says what it should, and changes when it should."""

import os
import select
import subprocess
import sys

import lib
from lib import error_of
from lib_consumers import Follower, Reading, ack, append, configure, consumer, hexa, lag, nack, pending, status

MEMBERS = ["consumer", "group", "position", "lag_events", "lag_seconds", "readers", "waiting", "in_hand", "parked",
           "retry", "skipped"]


def figures(path, *names):
    found = status(path)
    return tuple(found[name] for name in names)


def move(path, position, *shelves):
    """From one directory of parked/ to the next."""
    for was, to in zip(shelves, shelves[1:]):
        os.rename(os.path.join(path, "parked", was, hexa(position) + ".json"),
                  os.path.join(path, "parked", to, hexa(position) + ".json"))


def test_a_new_one(mount):
    path = consumer(mount, "billing")
    found = status(path)
    assert list(found) == MEMBERS
    assert found == {"consumer": "billing", "group": False, "position": hexa(0), "lag_events": 0, "lag_seconds": 0,
                     "readers": 0, "waiting": 0, "in_hand": 0, "parked": 0, "retry": 0, "skipped": 0}
    assert ".status.json" not in os.listdir(path)
    file = os.path.join(path, ".status.json")
    with open(file, "rb") as f:
        assert os.stat(file).st_size == len(f.read())
    assert error_of(os.unlink, file) == error_of(os.open, file, os.O_WRONLY) == error_of(os.truncate, file, 0) == "EPERM"


def test_position_lag_and_hand(mount):
    path = consumer(mount, "c")
    append(mount, *["order/1"] * 5)
    position_and_lag = "position", "lag_events", "in_hand"
    assert figures(path, *position_and_lag) == (hexa(0), 5, 0)
    with Follower(path) as f:
        f.events(3)  # it has read as many as fit into one read
        assert figures(path, *position_and_lag) == (hexa(0), 5, 5)
        ack(path, hexa(2))
        assert figures(path, *position_and_lag) == (hexa(2), 3, 3)
        append(mount, "order/1")
        assert figures(path, *position_and_lag) == (hexa(2), 4, 3)
    assert figures(path, *position_and_lag) == (hexa(2), 4, 3), "it can still be acknowledged"
    mount.crash()
    assert figures(path, *position_and_lag) == (hexa(2), 4, 0)
    assert pending(path) == [3, 4, 5, 6]
    ack(path, "seek " + hexa(5))
    assert figures(path, *position_and_lag) == (hexa(5), 1, 0)
    assert pending(path) == [6]
    ack(path, hexa(6))
    assert figures(path, *position_and_lag) == (hexa(6), 0, 0) and lag(path) == 0


def test_seconds(mount):
    """Since the first event that is left was appended."""
    path = consumer(mount, "c")
    append(mount, "order/1")
    first = lib.wait_until(lambda: status(path)["lag_seconds"], 10, "time to pass")
    assert lib.wait_until(lambda: status(path)["lag_seconds"] > first, 10, "time to pass")
    lib.wait_until(lambda: status(path)["lag_seconds"] > 0.3, 10, "time to pass")
    append(mount, "order/1")
    pending(path)
    before = status(path)["lag_seconds"]
    ack(path, hexa(1))
    after = status(path)["lag_seconds"]
    assert 0 < after < before, "the second one is younger"
    nack(path, hexa(2), "no")
    assert status(path)["lag_seconds"] == 0
    append(mount, "order/1")
    pending(path)
    ack(path, hexa(3))
    assert figures(path, "lag_events", "lag_seconds") == (0, 0)
    move(path, 2, "", "retry")
    assert status(path)["lag_seconds"] > after, "what is to be given again is left"


def test_shelves(mount):
    path = consumer(mount, "c")
    append(mount, *["order/1"] * 4)
    shelves = "parked", "retry", "skipped", "lag_events", "in_hand"
    pending(path)
    assert figures(path, *shelves) == (0, 0, 0, 4, 4)
    for position in 1, 2, 3:
        nack(path, hexa(position), "no")
    assert figures(path, *shelves) == (3, 0, 0, 1, 1)
    move(path, 1, "", "retry")
    move(path, 2, "", "retry", "skipped")
    assert figures(path, *shelves) == (1, 1, 1, 2, 1), "what is to be given again is in nobody's hand"
    mount.restart()
    assert figures(path, *shelves) == (1, 1, 1, 2, 0)
    assert pending(path) == [1, 4]
    assert figures(path, *shelves) == (1, 1, 1, 2, 2)
    ack(path, hexa(1))
    assert figures(path, *shelves) == (1, 0, 1, 1, 1)
    ack(path, "seek " + hexa(0))
    assert figures(path, *shelves) == (1, 0, 1, 2, 0), "also what was acknowledged after a retry comes again"


def test_readers_and_who_waits(mount):
    path = consumer(mount, "c")
    readers = "readers", "waiting"
    assert figures(path, *readers) == (0, 0)
    with Follower(path) as a, Follower(path, os.O_RDONLY | os.O_NONBLOCK) as b:
        assert figures(path, *readers) == (2, 0)
        with open(os.path.join(path, "pending"), "rb"):
            assert figures(path, *readers) == (2, 0), "one that follows nothing"
        reading = Reading(a.fd)
        lib.wait_until(lambda: figures(path, *readers) == (2, 1), 10, "the read to wait")
        append(mount, "order/1")
        reading.comes()
        lib.wait_until(lambda: figures(path, *readers) == (2, 0), 10, "nobody to wait")
        b.there()
        poll = select.poll()
        poll.register(b.fd, select.POLLIN)
        assert poll.poll(50) == [] and figures(path, *readers) == (2, 1), "who has polled waits too"
        append(mount, "order/1")
        assert poll.poll(lib.limit(10000)) and figures(path, *readers) == (2, 0)
    lib.wait_until(lambda: figures(path, *readers) == (0, 0), 10, "the descriptors to be closed")


def by_reader(path):
    return {one["pid"]: (one["in_hand"], one["waiting"]) for one in status(path)["by_reader"]}


HOLDER = """
import os, sys
fd = os.open(sys.argv[1], os.O_RDWR)
for line in sys.stdin:
    what = line.split()
    if what[0] == "ack":
        os.write(fd, what[1].encode() + b"\\n")
        print("done", flush=True)
    else:
        print(len(os.read(fd, int(what[1])).splitlines()), flush=True)
"""


class Holder:
    """A process that reads a group's `follow` and says what it is done with, when it is told to."""

    def __init__(self, path):
        self.process = lib.start([sys.executable, "-c", HOLDER, os.path.join(path, "follow")], stdin=subprocess.PIPE,
                                 stdout=subprocess.PIPE, text=True, bufsize=1)
        self.pid = self.process.pid

    def told(self, words):
        self.ask(words)
        return self.process.stdout.readline().strip()

    def ask(self, words):
        self.process.stdin.write(words + "\n")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        lib.kill_group(self.process)
        self.process.stdin.close()
        self.process.stdout.close()


def test_a_group_shows_who_has_what_in_hand(mount):
    path = consumer(mount, "mail", group=True)
    assert list(status(path)) == [*MEMBERS, "by_reader"] and figures(path, "group", "by_reader") == (True, [])
    append(mount, *["order/1", "order/2"] * 3)
    one_line = len(mount.lines("log.ndjson")[0]) + 1
    with Holder(path) as a, Holder(path) as b:
        lib.wait_until(lambda: status(path)["readers"] == 2, 10, "both to be there")
        assert by_reader(path) == {a.pid: (0, False), b.pid: (0, False)}
        assert a.told(f"read {one_line}") == "1" and b.told(f"read {4 * one_line}") == "3"
        found = status(path)
        assert by_reader(path) == {a.pid: (1, False), b.pid: (3, False)}
        assert all(one["uid"] == os.geteuid() for one in found["by_reader"])
        assert (found["in_hand"], found["lag_events"], found["position"]) == (4, 6, hexa(0))
        assert b.told(f"ack {hexa(4)}") == "done"
        assert figures(path, "in_hand", "lag_events", "position") == (3, 5, hexa(0)), "it waits for the first"
        assert a.told(f"ack {hexa(1)}") == "done"
        assert figures(path, "in_hand", "lag_events", "position") == (2, 4, hexa(1))
        nack(path, hexa(2), "no")
        assert figures(path, "in_hand", "parked", "lag_events") == (1, 1, 3)
        assert a.told("read 65536") == "2"
        assert by_reader(path) == {a.pid: (2, False), b.pid: (1, False)}
        b.ask("read 4096")
        lib.wait_until(lambda: by_reader(path)[b.pid] == (1, True), 10, "it to wait")
        assert figures(path, "readers", "waiting") == (2, 1)
        lib.kill_group(a.process)  # what it had goes to the other
        lib.wait_until(lambda: by_reader(path) == {b.pid: (3, False)}, 10, "the other to have all")
        ack(path, "seek " + hexa(0))
        assert by_reader(path) == {b.pid: (0, False)} and figures(path, "in_hand", "lag_events") == (0, 5)
    lib.wait_until(lambda: status(path)["by_reader"] == [], 10, "all to be closed")
    configure(path)
    assert list(status(path)) == MEMBERS and status(path)["group"] is False


def test_what_is_removed_shows_nothing(mount):
    path = consumer(mount, "c")
    fd = os.open(os.path.join(path, ".status.json"), os.O_RDONLY)
    os.rmdir(path)
    assert error_of(os.read, fd, 4096) == "ESTALE"
    os.close(fd)
    assert error_of(status, path) == "ENOENT"


def test_a_read_only_mount_shows_it(mount):
    path = consumer(mount, "c")
    append(mount, "order/1", "order/1")
    pending(path)
    nack(path, hexa(1), "no")
    move(path, 1, "", "skipped")
    mount.restart(["ro"])
    assert figures(path, "position", "lag_events", "skipped") == (hexa(0), 1, 1)
