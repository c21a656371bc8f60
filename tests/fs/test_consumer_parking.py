"""Events that a consumer could not handle: parked, given again, passed over."""

import os
import threading

import lib
from lib import error_of
from lib_consumers import (Follower, Reading, ack, append, configure, consumer, cursor, hexa, lag, nack, pending,
                           positions, read, remove, write)


def test_parking(mount):
    path = consumer(mount, "c")
    parked = os.path.join(path, "parked")
    append(mount, *["order/1"] * 4)
    assert pending(path) == [1, 2, 3, 4]
    nack(path, hexa(2), "no such customer\n")
    nack(path, hexa(3), "€")
    assert error_of(nack, path, hexa(9), "") == "EINVAL"
    assert error_of(write, os.path.join(path, "nack"), "{}") == "EINVAL"
    names = sorted(n for n in os.listdir(parked) if n.endswith(".json"))
    assert names == [hexa(2) + ".json", hexa(3) + ".json"]
    shown = lib.strict(read(os.path.join(parked, names[0])))
    assert list(shown) == ["position", "time", "uid", "reason", "event"]
    assert shown["reason"] == "no such customer\n" and shown["uid"] == os.geteuid()
    assert shown["event"] == mount.events("order/1")[1]
    first = os.stat(os.path.join(parked, names[0]))
    assert first.st_size == len(read(os.path.join(parked, names[0])))
    assert first.st_ino != os.stat(os.path.join(parked, names[1])).st_ino
    assert pending(path) == [1, 4]
    ack(path, hexa(4))
    mount.restart()
    assert os.stat(os.path.join(parked, names[0])).st_ino == first.st_ino
    assert pending(path) == []

    # given again, and there it stays until it is done
    with Follower(path) as f:
        reading = Reading(f.fd)
        assert reading.waits()
        mount.ok(f"mv consumers/c/parked/{names[0]} consumers/c/parked/retry/")
        assert positions(reading.comes()) == [2]
    assert os.listdir(os.path.join(parked, "retry")) == [names[0]]
    assert not os.path.exists(os.path.join(parked, names[0]))
    assert pending(path) == [2]
    ack(path, hexa(2))
    assert os.listdir(os.path.join(parked, "retry")) == [] and cursor(path) == 4

    # done with
    assert error_of(os.rename, os.path.join(parked, names[1]), os.path.join(parked, "skipped", "x")) == "EPERM"
    assert error_of(os.unlink, os.path.join(parked, names[1])) == "EPERM"
    mount.ok(f"mv consumers/c/parked/{names[1]} consumers/c/parked/skipped/")
    assert sorted(os.listdir(parked)) == ["retry", "skipped"] and os.listdir(os.path.join(parked, "skipped")) == names[1:]
    mount.restart()
    assert sorted(os.listdir(parked)) == ["retry", "skipped"] and pending(path) == []
    assert os.listdir(os.path.join(parked, "skipped")) == names[1:]


def test_what_was_passed_over_can_be_seen(mount):
    path = consumer(mount, "c")
    parked, skipped = os.path.join(path, "parked"), os.path.join(path, "parked", "skipped")
    append(mount, *["order/1"] * 4)
    assert pending(path) == [1, 2, 3, 4]
    for position in 2, 3, 4:
        nack(path, hexa(position), f"because of {position}")
    names = [hexa(position) + ".json" for position in (2, 3, 4)]
    first = lib.strict(read(os.path.join(parked, names[0])))
    ino = os.stat(os.path.join(parked, names[0])).st_ino
    mount.ok(f"mv consumers/c/parked/{names[0]} consumers/c/parked/skipped/")
    mount.ok(f"mv consumers/c/parked/{names[2]} consumers/c/parked/retry/")
    mount.ok(f"mv consumers/c/parked/retry/{names[2]} consumers/c/parked/skipped/")

    def look():
        assert sorted(os.listdir(parked)) == [names[1], "retry", "skipped"]
        assert sorted(os.listdir(skipped)) == [names[0], names[2]] and os.listdir(os.path.join(parked, "retry")) == []
        found = {name: (read(os.path.join(skipped, name)), os.stat(os.path.join(skipped, name))) for name in os.listdir(skipped)}
        return {name: (text, st.st_ino, st.st_size, st.st_mtime_ns) for name, (text, st) in found.items()}
    was = look()
    text, number, size, mtime = was[names[0]]
    told = lib.strict(text)
    assert list(told) == ["position", "time", "uid", "reason", "event"] and size == len(text) and number == ino
    assert {**told, "time": first["time"]} == first and told["time"] > first["time"]
    assert lib.event_time_ns(told) == mtime
    one = os.path.join(skipped, names[0])
    for target in (parked, os.path.join(parked, "retry"), path):
        assert error_of(os.rename, one, os.path.join(target, names[0])) == "EPERM", target
    assert error_of(os.unlink, one) == error_of(os.truncate, one, 0) == error_of(os.open, one, os.O_WRONLY) == "EPERM"
    assert error_of(nack, path, hexa(2), "once more") == "EINVAL"
    for name in (names[1], hexa(1) + ".json", "x"):
        assert error_of(os.stat, os.path.join(skipped, name)) == "ENOENT"
    for again in mount.crash, mount.restart:
        again()
        assert look() == was and pending(path) == [1]

    # for good, whatever is done with the cursor
    ack(path, "seek " + hexa(4))
    ack(path, "seek " + hexa(0))
    assert pending(path) == [1] and lag(path) == 1 and look() == was
    ack(path, "seek " + hexa(4))
    configure(path, group=True)
    ack(path, "seek " + hexa(0))
    with Follower(path, os.O_RDWR | os.O_NONBLOCK) as f:
        assert f.there() == [1]
        f.ack(hexa(1))
        assert cursor(path) == 4 and lag(path) == 0
    mount.ok(f"mv consumers/c/parked/{names[1]} consumers/c/parked/skipped/")

    # and goes with the consumer
    os.rmdir(path)
    path = consumer(mount, "c")
    for _ in range(2):
        assert os.listdir(skipped) == [] and pending(path) == [1, 2, 3, 4]
        mount.restart()


def test_several_parked_events_are_moved_by_one_command(mount):
    path = consumer(mount, "c")
    append(mount, *["order/1"] * 3)
    for position in pending(path):
        nack(path, hexa(position), "x")
    for to in ("retry", "skipped"):
        mount.ok(f"cd consumers/c/parked && mv {'retry/' if to == 'skipped' else ''}*.json {to}/ 2>&1")
    assert sorted(os.listdir(os.path.join(path, "parked", "skipped"))) == [f"{hexa(p)}.json" for p in (1, 2, 3)]
    assert pending(path) == []


def test_mv_does_not_complain_of_a_reader_that_is_quick(mount):
    """It looks for what it has moved into retry/, and that is done with already."""
    path = consumer(mount, "g", group=True)
    n = lib.size(100, 30)
    mount.append("", lib.spread(n))

    def work():
        while e := f.event():
            f.ack(e["position"])
    with Follower(path, os.O_RDWR) as f:
        for e in f.events(n):
            nack(path, e["position"], "no")
        worker = threading.Thread(target=work, daemon=True)
        worker.start()
        assert mount.ok("mv consumers/g/parked/*.json consumers/g/parked/retry/ 2>&1", timeout=60) == ""
        lib.wait_until(lambda: lag(path) == 0, 10, "all to be done")
        one = os.path.join(path, "parked", "retry", hexa(1) + ".json")
        assert os.listdir(os.path.join(path, "parked", "retry")) == [] and read(one) == ""
        assert error_of(os.rename, one, os.path.join(path, "parked", "skipped", hexa(1) + ".json")) == "ENOENT"
        os.rmdir(path)
        worker.join(lib.limit(10))
        assert not worker.is_alive()


def test_what_has_left_retry_is_not_found_there(mount):
    """mv would ask whether to replace it, on a terminal, and not move it with -n."""
    path = consumer(mount, "c")
    append(mount, "order/1")
    parked, name = os.path.join(path, "parked"), hexa(1) + ".json"
    retried = os.path.join(parked, "retry", name)
    assert pending(path) == [1]
    for _ in range(2):
        nack(path, hexa(1), "no")
        assert not os.path.exists(retried)
        mount.ok(f"mv -n consumers/c/parked/{name} consumers/c/parked/retry/")
        assert os.path.exists(retried) and not os.path.exists(os.path.join(parked, name))
        assert pending(path) == [1]
    os.rename(retried, os.path.join(parked, "skipped", name))
    assert not os.path.exists(retried)


def test_rmdir_with_parked_events(mount):
    path = consumer(mount, "c")
    append(mount, "order/1")
    assert pending(path) == [1] and lag(path) == 1
    nack(path, hexa(1), "x")
    assert lag(path) == 0
    mount.fails("rmdir consumers/c", "Directory not empty")
    assert "skipped/" in lib.strict(mount.lines(".esfs/errors.ndjson")[-1])["error"]
    mount.ok(f"mv consumers/c/parked/{hexa(1)}.json consumers/c/parked/retry/")
    mount.fails("rmdir consumers/c", "Directory not empty")
    assert pending(path) == [1] and lag(path) == 1, "given again is not done"
    ack(path, hexa(1))
    assert lag(path) == 0
    os.rmdir(path)


def test_parked_events_are_listed_whole(mount):
    n = lib.size(1200, 600)
    mount.append("", lib.spread(n))
    path = consumer(mount, "c")
    wanted = pending(path)
    write(os.path.join(path, "nack"), b"".join(lib.line({"position": hexa(p)}) for p in wanted))
    assert mount.ok("ls consumers/c/parked | grep -c json") == str(n)
    assert mount.ok("ls -l consumers/c/parked | grep -c json", timeout=60) == str(n)
    for p in wanted:
        os.rename(os.path.join(path, "parked", hexa(p) + ".json"), os.path.join(path, "parked", "skipped", hexa(p) + ".json"))
    assert mount.ok("ls consumers/c/parked | grep -c json || true") == "0"
    assert mount.ok("ls consumers/c/parked/skipped | grep -c json") == str(n)
    assert mount.ok("ls -l consumers/c/parked/skipped | grep -c json", timeout=60) == str(n)
    mount.crash()
    assert mount.ok("ls consumers/c/parked/skipped | grep -c json") == str(n)
    assert pending(path) == []
    remove(path)
    mount.restart()
    assert os.listdir(mount.path("consumers")) == []
