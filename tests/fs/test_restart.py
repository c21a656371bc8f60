"""What is read after a stop, a kill and a rebuild: the same bytes, sizes, times and inode numbers."""

import os
import shutil

import pytest

import lib
from lib import command
from lib_daemon import pause


def fill(mount, first=0, n=150):
    """Events of several types and aggregates, transactions, ids, meta, declared and removed directories."""
    out = []
    for i in range(first, first + n):
        out.append(command(f"T{i % 7}", aggregate=f"order/{i % 23}", data={"n": i, "é": "x" * (i % 200)}, id=f"c-{i}",
                           meta={"tenant": f"t{i % 3}"}))
        if i % 5 == 0:
            out.append(
                lib.line([{"aggregate": f"item/{i % 11}", "type": "A"}, {"aggregate": f"bird {i % 3}/订单", "type": "B"},
                          {"aggregate": f"order/{i % 23}", "expectedVersion": "exists"}]))
    mount.append("", *out)
    mount.make(f"order/declared-{first}", f"empty/{first}")
    mount.ok(f"mkdir -p gone/{first} order/gone-{first} && rmdir gone/{first} gone order/gone-{first}")


def load(mount, n):
    """Many events, as fast as it goes."""
    n = lib.size(n)
    with mount.commands("", os.O_WRONLY) as c:
        for first in range(0, n, 50_000):
            c.write_all(lib.spread(min(50_000, n - first), first))


def differences(a, b):
    names = sorted(n for n in {*a, *b} if a.get(n) != b.get(n))
    return [(n, a.get(n, "missing")[:4], b.get(n, "missing")[:4]) for n in names[:5]]


def same(mount, before):
    """All of the tree is as before, but for the size of the directories' own attributes."""
    assert differences(before, mount.snapshot()) == []


@pytest.mark.parametrize("durability", ["commit", "fsync", "os"])
def test_everything_is_the_same_after_a_stop_and_a_kill(daemons, durability):
    """kill -9 loses nothing at any durability: what the kernel has, it keeps."""
    mount = daemons(options=[f"durability={durability}"]).start()
    for turn, again in enumerate((mount.restart, mount.crash, mount.crash, mount.restart, mount.crash)):
        fill(mount, turn * 150)
        before = mount.snapshot()
        assert len(before) > 200
        again()
        same(mount, before)
    mount.stop()
    done = mount.verify()
    assert done.rc == 0 and "sound" in done.out, done
    mount.start()


@pytest.mark.timeout(200)
def test_a_rebuild_gives_the_same_bytes(mount):
    """Derived data made anew: with a tail only, with tables on disk, and after a kill. No byte of the tree differs, and
    none of the log's."""
    fill(mount)
    before = mount.snapshot()

    def rebuilt():
        done = mount.rebuild()
        assert done.rc == 0, done
        done = mount.verify()
        assert done.rc == 0, done
    mount.stop()
    rebuilt()
    mount.start()
    same(mount, before)
    load(mount, 300_000)
    log, ids = mount.read("log.ndjson"), {
        p: os.stat(mount.path(p)).st_ino
        for p in ("many/5", "many/5/events", "order/3")
    }
    streams = {i: mount.read(f"many/{i}/events.ndjson") for i in range(0, 997, 50)}
    for end in (mount.kill9, mount.stop):
        end()
        rebuilt()
        mount.start()
        assert mount.read("log.ndjson") == log
        assert {i: mount.read(f"many/{i}/events.ndjson") for i in streams} == streams
        assert {p: os.stat(mount.path(p)).st_ino for p in ids} == ids
        assert mount.status()["events"] == log.count(b"\n")


def test_a_rebuild_that_was_killed_is_done_again(mount):
    load(mount, 300_000)
    log = mount.read("log.ndjson")
    mount.stop()
    for i in range(4):
        process = lib.start([lib.esfsctl(), "rebuild", mount.store])
        pause((0.02 + 0.15 * i) * lib.SLOW)
        lib.kill_group(process)
    mount.start()
    assert mount.read("log.ndjson") == log
    assert mount.append("", command(aggregate="many/5"))[0]["status"] == "appended"
    mount.stop()
    assert mount.verify().rc == 0
    mount.start()


def test_a_copy_of_a_stopped_store_is_a_store(mount, daemons, place):
    fill(mount)
    before = mount.snapshot()
    mount.stop()
    shutil.copytree(mount.store, os.path.join(place, "copy"))
    other = daemons(store=os.path.join(place, "copy")).start()
    same(other, before)
    mount.start()
    fill(mount, 150)
    same(other, before)


def test_versions_positions_and_times_go_on_after_a_restart(mount):
    for turn in range(6):
        mount.append("", *[command(aggregate="order/1")] * 10)
        (mount.restart, mount.crash)[turn % 2]()
    events = mount.log_events()
    assert [int(e["position"], 16) for e in events] == list(range(1, 61))
    assert mount.version("order/1") == 60


def test_a_restart_without_changes_writes_no_event_and_keeps_the_id(mount):
    mount.append("", command(aggregate="order/1"))
    text, store = mount.read("log.ndjson"), lib.strict(mount.read(".esfs/config.json"))["store_id"]
    for _ in range(5):
        mount.restart()
    assert mount.read("log.ndjson") == text
    assert lib.strict(mount.read(".esfs/config.json"))["store_id"] == store


def test_the_tools_show_what_the_mount_shows(mount):
    fill(mount)
    log, stream, kind = (mount.read(n) for n in ("log.ndjson", "order/3/events.ndjson", "item/log.ndjson"))
    status = mount.status()
    for end in (mount.stop, mount.kill9):
        end()

        def told(*argv):
            done = lib.run([lib.esfsctl(), *argv])
            assert done.rc == 0, done
            return done.out.encode()
        assert told("cat", mount.store) == log
        assert told("cat", mount.store, "order/3") == stream
        assert told("cat", mount.store, "item") == kind
        assert lib.strict(told("stat", mount.store))["position"] == status["position"]
        assert lib.run([lib.esfsctl(), "cat", mount.store, "order/nope"]).rc == 1
        assert lib.run([lib.esfsctl(), "cat", mount.store, "nope"]).rc == 1
        mount.start()


@pytest.mark.timeout(200)
def test_a_start_after_half_a_million_events_is_quick(mount):
    import time
    load(mount, 500_000)

    def seconds(end):
        end()
        begin = time.monotonic()
        mount.start()
        mount.append("", command(aggregate="many/1"))
        return time.monotonic() - begin
    assert seconds(mount.stop) < 2 * lib.SLOW
    assert seconds(mount.kill9) < 4 * lib.SLOW
