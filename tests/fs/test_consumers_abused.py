"""Consumers that are treated badly: names, configs and bytes of any kind, readers that are stopped, removed, crowded, and
everything at once."""

import errno
import os
import random
import resource
import select
import signal
import subprocess
import threading
import time

import pytest

import lib
import lib_domain
from lib import command, error_of
from lib_consumers import (Follower, Reading, ack, append, configure, consumer, cursor, hexa, lag, nack, pending,
                           positions, read, remove, waiting, write)


# --- names

@pytest.mark.parametrize("name", ["a b", "größe", "-rf", "*", "%2F", "'\"", "follow", "consumers", "1", "a" * 128, "é" * 64])
def test_names_that_are_names(mount, name):
    path = consumer(mount, name, types=["order"])
    append(mount, "order/1", "stock/1")
    assert pending(path) == [1]
    ack(path, hexa(1))
    mount.restart()
    assert os.listdir(mount.path("consumers")) == [name] and cursor(path) == 1
    os.rmdir(path)


@pytest.mark.parametrize("name", [b".", b"..", b".a", b"$a", b"a\nb", b"a\x7f", b"\xff", b"\xc0\x80", b"\xed\xa0\x80",
                                  b"a" * 129, "é".encode() * 65, b"a" * 255])
def test_names_that_are_none(mount, name):
    path = mount.path("consumers").encode() + b"/" + name
    wanted = ("EEXIST",) if name in (b".", b"..") else ("EINVAL", "ENAMETOOLONG")
    assert error_of(os.mkdir, path) in wanted
    assert os.listdir(mount.path("consumers")) == []


# --- bytes

def test_configs_as_large_as_they_may_be(mount):
    path = consumer(mount, "c")
    append(mount, "order/1")
    types = [f"type{i}" for i in range(999)]
    configure(path, types=[*types, "order"])
    assert pending(path) == [1]
    mount.restart()
    assert lib.strict(read(os.path.join(path, "config.json")))["types"] == [*types, "order"]
    config = os.path.join(path, "config.json")
    for bad in ('{"types":["' + "x" * 129 + '"]}', '{"types":' + "[" * 5000 + "]" * 5000 + "}", '{"types":["\\u0000"]}',
                '{"from":"' + "0" * 4000 + '"}', '{"types":[' + ",".join(['"a"'] * 20_000) + "]}",
                '{"\\u0000":1}', "[" * 60_000, '{"types":[null]}', '{"group":null}', b'{"types":["\xff"]}'):
        assert error_of(write, config, bad) in ("EINVAL", "EBADMSG", "EMSGSIZE"), bad[:60]
    assert pending(path) == [1]


def garbage(dice):
    """Bytes that look like something, or not; no object ends."""
    pieces = [b"\n", b" ", b"seek", b"seek ", b"{", b"]", b'"', b"\x00", b"\xff", b'{"position":"', b'"reason":', b"0" * 15,
              b"f" * 16, b"0" * 17, b'{"types":[', b'"group":true', b"\\u0000", b"-1", b"1e999", bytes(dice.randrange(256) for _ in range(9))]
    return b"".join(dice.choice(pieces) for _ in range(dice.randrange(1, 40)))


def test_garbage_is_refused_and_harms_nothing(mount):
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    dice = random.Random(seed)
    append(mount, "order/1", "order/2")
    path, group = consumer(mount, "c"), consumer(mount, "g", group=True)
    assert pending(path) == [1, 2]
    kept = [read(os.path.join(p, "config.json")) for p in (path, group)]
    files = [os.path.join(path, name) for name in ("ack", "nack", "config.json")]
    files += [os.path.join(group, name) for name in ("ack", "nack", "config.json", "follow")]
    for _ in range(lib.size(400, 60)):
        file, data = dice.choice(files), garbage(dice)
        fd = os.open(file, os.O_RDWR if file.endswith("follow") else os.O_WRONLY)
        for begin in range(0, len(data), step := dice.choice([1, 7, 10_000])):
            said = error_of(os.write, fd, data[begin:begin + step])
            assert said in (None, "EINVAL", "EBADMSG", "EMSGSIZE", "EBUSY"), (said, data)
        assert error_of(os.close, fd) in (None, "EBADMSG", "EINVAL")
    assert [read(os.path.join(p, "config.json")) for p in (path, group)] == kept
    assert cursor(path) == cursor(group) == 0
    ack(path, hexa(2))
    with Follower(group, os.O_RDWR) as f:
        f.ack(*[e["position"] for e in f.events(2)])
    assert cursor(path) == cursor(group) == 2


def test_a_byte_at_a_time(mount):
    """An object may come so. A position may not: shells do not look at what close says, so what is too short for one is
    refused in the write."""
    append(mount, "order/1", "order/2", "order/3")
    path = consumer(mount, "c")
    assert pending(path) == [1, 2, 3]
    for name, text in (("nack", f'{{"position":"{hexa(2)}","reason":"ä"}}\n'), ("config.json", '{"types":["order"]}')):
        fd = os.open(os.path.join(path, name), os.O_WRONLY)
        for c in text.encode():
            assert os.write(fd, bytes([c])) == 1
        os.close(fd)
    assert lib.strict(read(os.path.join(path, "config.json")))["types"] == ["order"]
    fd = os.open(os.path.join(path, "ack"), os.O_WRONLY)
    assert error_of(os.write, fd, b"0") == "EINVAL"
    assert os.write(fd, f"{hexa(1)}\n00".encode()) == 19 and os.write(fd, hexa(3)[2:].encode()) == 14
    os.close(fd)
    assert cursor(path) == 3 and pending(path) == []


# --- readers

@pytest.mark.parametrize("reader", ["exec cat", "exec bash -c 'while read -r e; do echo \"$e\"; done'",
                                    "exec dash -c 'while read -r e; do echo \"$e\"; done'"])
def test_a_reader_is_stopped_and_goes_on(mount, reader):
    """Ctrl-Z and fg: the kernel ends the read with EINTR."""
    path = consumer(mount, "c")
    with lib.running(["sh", "-c", f"{reader} < consumers/c/follow"], cwd=mount.mnt, stdout=subprocess.PIPE) as process:
        for n in range(1, 6):
            lib.wait_until(lambda: waiting(process) == 1, what="the reader to wait")
            process.send_signal(signal.SIGSTOP)
            lib.wait_until(lambda: open(f"/proc/{process.pid}/stat").read().split(") ")[1][0] == "T", what="it to stop")
            if n % 2:
                append(mount, "order/1")
            process.send_signal(signal.SIGCONT)
            if not n % 2:
                append(mount, "order/1")
            assert positions(process.stdout.readline()) == [n]
    assert len(pending(path)) == 5


def test_rmdir_under_a_group(mount):
    path = consumer(mount, "g", group=True)
    append(mount, "order/1", "order/1", "order/2")
    with Follower(path, os.O_RDWR) as holder, Follower(path, os.O_RDWR) as idle, Follower(path, os.O_RDWR | os.O_NONBLOCK) as polled:
        first = holder.events(3)[0]["position"]
        reading, poll = Reading(idle.fd), select.poll()
        poll.register(polled.fd, select.POLLIN)
        assert reading.waits() and poll.poll(0) == []
        os.rmdir(path)
        assert reading.comes() == b""
        assert poll.poll(lib.limit(10) * 1000) and os.read(polled.fd, 100) == b""
        assert error_of(holder.ack, first) == "ESTALE"
        again = consumer(mount, "g", group=True)
        assert error_of(holder.ack, first) == "ESTALE" and cursor(again) == 0
        with Follower(again, os.O_RDWR) as f:
            assert [int(e["position"], 16) for e in f.events(3)] == [1, 2, 3]


def test_thousands_of_descriptors(mount):
    """Each of those that follow for themselves has the event; in the group one has."""
    alone, together = lib.size(3000, 300), lib.size(500, 50)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard < alone + together + 100:
        pytest.skip(f"no more than {hard} descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, alone + together + 100), hard))
    path, group = consumer(mount, "c"), consumer(mount, "g", group=True)
    followers = [Follower(path, os.O_NONBLOCK) for _ in range(alone)]
    members = [Follower(group, os.O_RDWR | os.O_NONBLOCK) for _ in range(together)]
    with select.epoll() as epoll:
        for f in [*followers, *members]:
            epoll.register(f.fd, select.EPOLLIN)
        assert epoll.poll(0) == []
        append(mount, "order/1")
        lib.wait_until(lambda: len(epoll.poll(0.1, alone + together)) == alone + 1, 30, "all to be told")
        assert sum(f.there() == [1] for f in followers) == alone
        assert sum(f.there() == [1] for f in members) == 1
        # whoever has it goes, and another one has it; those that go with nothing change nothing
        for f in members[:-1]:
            f.close()
        assert members[-1].there() in ([], [1])
        assert members[-1].ack(hexa(1)) == 17
    for f in [*followers, *members]:
        f.close()
    assert cursor(group) == 1
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


# --- everything at once

def test_acks_race_with_appends(mount):
    """Several who follow and acknowledge for one consumer, seeks in between, while others append."""
    path, batches = consumer(mount, "c"), lib.size(40, 10)
    faults, done = [], threading.Event()

    def produce(n):
        for _ in range(batches):
            mount.append("", *[command(aggregate=f"order/{n}-{i}") for i in range(5)])

    def consume(f):
        with f:
            while not done.is_set():
                if not select.select([f.fd], [], [], 0.05)[0]:
                    continue
                for position in f.there():
                    said = error_of(ack, path, hexa(position))
                    if said not in (None, "EINVAL"):  # another one has acknowledged more, or has gone back
                        faults.append(said)

    def go_back():
        dice = random.Random(1)
        while not done.is_set():
            write(os.path.join(path, "ack"), "seek " + hexa(dice.randrange(cursor(path) + 1)))
            time.sleep(0.02)
    consumers = [threading.Thread(target=consume, args=(Follower(path, os.O_NONBLOCK),)) for _ in range(3)]
    producers = [threading.Thread(target=produce, args=(n,)) for n in range(3)]
    back = threading.Thread(target=go_back)
    for t in [*consumers, *producers, back]:
        t.start()
    for t in producers:
        t.join()
    done.set()
    for t in [*consumers, back]:
        t.join()
    total = len(mount.log_events())
    assert not faults and total == 15 * batches
    at = cursor(path)
    assert pending(path) == list(range(at + 1, total + 1)), "nothing behind the cursor is lost"
    ack(path, hexa(total))
    assert lag(path) == 0
    mount.restart()
    assert cursor(path) == total


def test_consumers_come_and_go_while_they_are_used(mount):
    faults, done = [], threading.Event()
    usual = {"ENOENT", "EEXIST", "ESTALE", "EINVAL", "EBUSY", "ENOTEMPTY", None}

    def churn(n):
        dice = random.Random(n)
        while not done.is_set():
            path = mount.path("consumers", f"c{dice.randrange(3)}")
            what = dice.randrange(6)
            said = error_of(os.mkdir, path) if what < 2 else error_of(remove, path) if what == 2 else \
                error_of(lambda: configure(path, group=dice.random() < 0.5)) if what == 3 else \
                error_of(lambda: ack(path, hexa(1))) if what == 4 else error_of(lambda: nack(path, hexa(2), "no"))
            if said not in usual:
                faults.append((what, said))

    def follow(n):
        dice = random.Random(n)
        while not done.is_set():
            try:
                with Follower(mount.path("consumers", f"c{dice.randrange(3)}"),
                              dice.choice([os.O_RDWR, os.O_RDONLY]) | os.O_NONBLOCK) as f:
                    select.select([f.fd], [], [], 0.01)
                    f.there()
            except OSError as e:
                # a file that may be written to and one that may not take turns under this name
                if errno.errorcode[e.errno] not in {*usual, "EPERM", "EACCES"}:
                    faults.append(e)
    crowd = [threading.Thread(target=churn, args=(n,)) for n in range(3)]
    crowd += [threading.Thread(target=follow, args=(n,)) for n in range(3)]
    for t in crowd:
        t.start()
    for n in range(lib.size(300, 50)):
        append(mount, f"order/{n % 7}")
    done.set()
    for t in crowd:
        t.join()
    assert not faults
    mount.restart()
    for name in os.listdir(mount.path("consumers")):
        remove(mount.path("consumers", name))
    assert len(pending(consumer(mount, "after"))) == lib.size(300, 50)


def test_a_reload_under_those_who_wait(daemons, place):
    """They go on; what was opened stays open."""
    handlers = ('commands = { A = { decide = function(s, c) return event("A", {}) end } }, '
                'events = { A = { evolve = function() end } }')
    mount = lib_domain.started(daemons, place, files={"aggregates/order.lua": f"return {{ {handlers} }}"})
    path, group = consumer(mount, "c"), consumer(mount, "g", group=True, types=["order"])
    with Follower(path) as a, Follower(group, os.O_RDWR) as b:
        reads = [Reading(a.fd), Reading(b.fd)]
        assert all(r.waits() for r in reads)
        mount.domain.put("aggregates/stock.lua", f"return {{ {handlers} }}")
        assert lib_domain.reload(mount) is None
        assert all(r.is_alive() for r in reads)
        append(mount, "stock/1")
        assert positions(reads[0].comes()) == [1] and reads[1].waits()
        append(mount, "order/1")
        assert positions(reads[1].comes()) == [2]
        mount.domain.put("aggregates/stock.lua", "this is not Lua")
        assert lib_domain.reload(mount) is not None
        assert a.event()["source"] == "/order/1"


# --- what a consumer is told, over kills

class Model:
    """What a consumer must know, of a log with `total` events."""

    def __init__(self, total):
        self.total, self.cursor = total, 0
        self.parked = self.again = self.done = self.skipped = frozenset()

    def pending(self):
        aside = self.parked | self.again | self.done | self.skipped
        return sorted(self.again | {p for p in range(self.cursor + 1, self.total + 1) if p not in aside})

    def known(self):
        return self.cursor, self.parked, self.again, self.skipped, self.pending()

    def __eq__(self, other):
        return self.known() == other.known()

    def after(self, what, p):
        """What it knows when it has been told."""
        m = Model(self.total)
        m.__dict__.update(self.__dict__)
        if what == "seek" or what == "ack" and p not in self.again:
            m.cursor = p
            m.done = frozenset(q for q in m.done if q > p and what == "ack")
        elif what == "nack":
            m.parked, m.again = m.parked | {p}, m.again - {p}
        elif what == "retry":
            m.parked, m.again = m.parked - {p}, m.again | {p}
        elif what == "skip":
            m.parked, m.again, m.skipped = m.parked - {p}, m.again - {p}, m.skipped | {p}
        else:  # ack of one that is given again
            m.again = m.again - {p}
            m.done = m.done | ({p} if p > m.cursor else set())
        return m

    def choice(self, dice):
        """Something that it can be told."""
        given = self.pending()
        ways = [("seek", range(self.total + 1))]
        ways += [(what, given) for what in ("ack", "nack")] * 3 if given else []
        ways += [(what, sorted(self.parked)) for what in ("retry", "skip")] if self.parked else []
        what, among = dice.choice(ways)
        return what, dice.choice(among[:12])


def tell(path, what, p):
    if what == "ack":
        ack(path, hexa(p))
    elif what == "seek":
        ack(path, "seek " + hexa(p))
    elif what == "nack":
        nack(path, hexa(p), "no")
    else:
        parked = os.path.join(path, "parked")
        os.rename(f"{parked}/{hexa(p)}.json", f"{parked}/{'retry' if what == 'retry' else 'skipped'}/{hexa(p)}.json")


def seen(path, total):
    m = Model(total)
    m.cursor = cursor(path)
    m.parked, m.again, m.skipped = (
        frozenset(int(name[:16], 16) for name in os.listdir(os.path.join(path, where)) if name.endswith(".json"))
        for where in ("parked", "parked/retry", "parked/skipped"))
    given = pending(path)
    m.done = frozenset(range(m.cursor + 1, total + 1)) - set(given) - m.parked - m.skipped
    assert sorted(given) == m.pending() and len(set(given)) == len(given)
    return m


@pytest.mark.timeout(300)
def test_what_it_was_told_is_kept_over_kills(mount):
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    dice, total = random.Random(seed), 40
    mount.append("", lib.spread(total))
    path, known, told = consumer(mount, "c"), Model(total), 0
    for _ in range(int(os.environ.get("ESFS_CONSUMERS_CYCLES", 0)) or lib.size(12, 3)):
        timer = threading.Timer(dice.uniform(0.05, 0.4) * lib.SLOW, mount.kill9)
        timer.start()
        what = None
        try:
            while True:
                pending(path)  # what is acknowledged must have been given
                what = known.choice(dice)
                tell(path, *what)
                known, what, told = known.after(*what), None, told + 1
        except OSError as e:
            assert e.errno in (errno.ENOTCONN, errno.ECONNABORTED, errno.EIO, errno.ENOENT), (what, e)
        timer.join()
        mount.start()
        now = seen(path, total)
        assert now == known or what and now == known.after(*what), (what, vars(now), vars(known))
        known = now
    assert told > 20
