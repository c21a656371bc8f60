"""Consumers: durable cursors as directories, `follow` that waits, acknowledgements."""

import errno
import fcntl
import os
import select
import signal
import stat
import subprocess
import threading
import time

import pytest

import lib
import lib_domain
from lib import command, error_of
from lib_consumers import (Follower, Reading, ack, append, configure, consumer, cursor, hexa, lag, nack, pending,
                           positions, read, threads, waiting, write)
from lib_user import user

NONE = "0" * 16


# --- the tree

def test_a_consumer_is_a_directory(mount):
    assert "consumers" in os.listdir(mount.mnt)
    assert os.listdir(mount.path("consumers")) == []
    path = consumer(mount, "billing")
    assert os.listdir(mount.path("consumers")) == ["billing"]
    assert sorted(os.listdir(path)) == ["ack", "config.json", "lag", "nack", "parked", "pending"], "follow is not listed"
    modes = {name: oct(os.stat(os.path.join(path, name)).st_mode & 0o7777)
             for name in [*os.listdir(path), "follow", ".status.json"]}
    assert modes == {"ack": "0o660", "config.json": "0o640", "lag": "0o440", "nack": "0o220", "parked": "0o550",
                     "pending": "0o440", "follow": "0o440", ".status.json": "0o440"}
    assert sorted(os.listdir(os.path.join(path, "parked"))) == ["retry", "skipped"]
    assert read(os.path.join(path, "config.json")) == '{"from":"start","types":[],"events":[],"group":false}\n'
    assert read(os.path.join(path, "ack")) == NONE + "\n"
    for name in ("ack", "config.json", "lag"):
        assert os.stat(os.path.join(path, name)).st_size == len(read(os.path.join(path, name)))
    configure(path, group=True)
    assert stat.S_IMODE(os.stat(os.path.join(path, "follow")).st_mode) == 0o660
    os.rmdir(path)
    assert os.listdir(mount.path("consumers")) == []
    assert error_of(os.rmdir, path) == "ENOENT"


def test_what_is_refused(mount):
    path = consumer(mount, "c")
    assert error_of(os.mkdir, path) == "EEXIST"
    assert error_of(os.mkdir, mount.path("consumers", ".c")) == "EINVAL"
    assert error_of(os.mkdir, mount.path("consumers", "c" * 129)) == "ENAMETOOLONG"
    assert error_of(os.mkdir, os.path.join(path, "sub")) == "EPERM"
    assert error_of(os.rmdir, os.path.join(path, "parked")) == "EPERM"
    assert error_of(os.unlink, os.path.join(path, "ack")) == "EPERM"
    assert error_of(os.rename, path, mount.path("consumers", "d")) == "EPERM"
    assert error_of(os.open, os.path.join(path, "mine"), os.O_CREAT | os.O_WRONLY) == "EPERM"
    assert error_of(os.open, os.path.join(path, "follow"), os.O_RDWR) == "EPERM"
    assert error_of(os.rmdir, mount.path("consumers")) == "EPERM"
    assert error_of(mount.append, "", command(aggregate="consumers/1")) == "EINVAL", "the name is reserved"


def test_a_config_is_decided_in_the_write(mount):
    path = consumer(mount, "c")
    config = os.path.join(path, "config.json")
    assert error_of(write, config, '{"types":["order"],"colour":"red"}') == "EINVAL"
    mount.fails("echo '{\"types\":1}' > consumers/c/config.json", "Invalid argument")
    assert "`types` must be a list" in mount.lines(".esfs/errors.ndjson")[-1].decode()
    mount.ok("printf '{\"types\": [\"order\"],\n  \"group\": false}' > consumers/c/config.json")
    assert lib.strict(read(config))["types"] == ["order"]
    mount.ok("jq -c '.events=[\"A\"]' consumers/c/config.json > $OLDPWD/c.json; cp $OLDPWD/c.json consumers/c/config.json",
             env={"OLDPWD": os.path.dirname(mount.mnt)})
    assert lib.strict(read(config)) == {"from": "start", "types": ["order"], "events": ["A"], "group": False}
    fd = os.open(config, os.O_WRONLY)
    assert os.write(fd, b'{"group"') == 8
    assert os.write(fd, b':true}{"group":fal') == 18
    assert lib.strict(read(config))["group"] is True
    assert error_of(os.close, fd) == "EBADMSG"
    append(mount, "order/1")
    configure(path)
    with Follower(path) as f:
        f.event()
        assert error_of(configure, path) == "EBUSY"
    ack(path, hexa(1))
    assert error_of(lambda: configure(path, **{"from": "end"})) == "EBUSY"
    assert error_of(write, config, b'{"types":["' + b"x" * 70000) == "EMSGSIZE"


def test_a_config_takes_no_event_of_a_type_that_it_leaves_out(mount):
    """It would be given nothing of it, for ever. With a domain or without."""
    path = consumer(mount, "c", types=["order"])
    for events in ["loan/LoanMade"], ["order/OrderPlaced", "loan/LoanMade"]:
        assert error_of(lambda: configure(path, types=["order", "stock"], events=events)) == "EINVAL"
        said = lib_domain.last_error(mount)
        assert said["error"] == "`events`: `types` leaves out the type loan of loan/LoanMade"
    configure(path, events=["loan/LoanMade"])
    configure(path, types=["order", "loan"], events=["loan/LoanMade", "OrderPlaced"])


LIBRARY = {
    "aggregates/book.lua": """return {
  commands = { Lend = { decide = function(s, c) return event("BookLent", c.data) end } },
  events = { BookLent = { evolve = function() end } },
}
""",
    "aggregates/member.lua": """return {
  commands = { Join = { decide = function(s, c) return event("Joined", c.data) end } },
  events = { Joined = { evolve = function() end } },
}
""",
}


@pytest.mark.parametrize("config, reason", [
    ({"types": ["bok"]}, "`types`: the domain has no type bok, did you mean book?"),
    ({"types": ["book", "nothing-like-it"]}, "`types`: the domain has no type nothing-like-it"),
    ({"events": ["BookLend"]},
     "`events`: no type that it follows declares the event BookLend, did you mean BookLent?"),
    ({"types": ["member"], "events": ["BookLent"]}, "`events`: no type that it follows declares the event BookLent"),
    ({"events": ["bok/BookLent"]}, "`events`: the domain has no type bok, did you mean book?"),
    ({"events": ["Joined", "book/BookLend"]},
     "`events`: the type book of the domain declares no event BookLend, did you mean BookLent?"),
])
def test_a_config_takes_no_name_that_the_domain_does_not_have(daemons, place, config, reason):
    """The consumer would be given nothing, for ever, and say that it is up to date."""
    mount = lib_domain.started(daemons, place, files=LIBRARY)
    path = consumer(mount, "c", types=["book"])
    before = read(os.path.join(path, "config.json"))
    assert error_of(lambda: configure(path, **config)) == "EINVAL"
    said = lib_domain.last_error(mount)
    assert (said["what"], said["error"]) == ("consumers/c/config.json", reason)
    assert read(os.path.join(path, "config.json")) == before


def test_names_are_looked_up_when_a_config_is_written(daemons, place):
    """A reload that takes a type away, or retires an event, takes nothing from a config that is there."""
    mount = lib_domain.started(daemons, place, files=LIBRARY)
    mount.append("", {"type": "Lend", "aggregate": "book/1"})
    config = {"types": ["book", "member"], "events": ["BookLent", "member/Joined"]}
    path = consumer(mount, "c", **config)
    before = read(os.path.join(path, "config.json"))
    mount.domain.remove("aggregates/member.lua")
    mount.domain.put("aggregates/book.lua", "return { events = { BookLent = { retired = true } } }")
    assert lib_domain.reload(mount) is None
    for _ in range(2):
        assert read(os.path.join(path, "config.json")) == before and pending(path) == [1]
        mount.restart()
    assert error_of(lambda: configure(path, **config)) == "EINVAL"
    configure(path, types=["book"], events=["BookLent"])
    assert pending(path) == [1], "events that are retired are given as they are stored"


def test_what_is_refused_is_told(mount):
    """All that a consumer's files refuse is in errors.ndjson in words, also what a shell does not notice."""
    consumer(mount, "c")
    consumer(mount, "g", group=True)
    append(mount, "order/1")

    def last():
        e = lib.strict(mount.lines(".esfs/errors.ndjson")[-1])
        return e["what"], e["error"]
    mount.fails("echo xx > consumers/c/config.json", "Bad message")
    assert last() == ("consumers/c/config.json", "not a JSON object")
    mount.fails("echo '}' > consumers/c/nack", "Bad message")
    assert last() == ("consumers/c/nack", "not a JSON object")
    mount.ok("echo '{' > consumers/c/config.json")
    assert last() == ("consumers/c/config.json", "cut off: the file was closed within a JSON object")
    mount.ok("echo '{\"position\":' > consumers/g/nack")
    assert last() == ("consumers/g/nack", "cut off: the file was closed within a JSON object")
    assert error_of(write, mount.path("consumers/c/nack"), b'{"reason":"' + b"x" * 20000) == "EMSGSIZE"
    assert last() == ("consumers/c/nack", "longer than 16384 bytes")
    mount.fails("cat consumers/g/follow", "Invalid argument")
    assert last()[0] == "consumers/g/follow" and "for reading and writing" in last()[1]
    fd = os.open(mount.path("consumers/c/ack"), os.O_WRONLY)
    with Follower(mount.path("consumers/g"), os.O_RDWR) as f:
        f.event()
        f.ack(hexa(1))
        os.rmdir(mount.path("consumers/c"))
        assert error_of(os.write, fd, hexa(1).encode()) == "ESTALE"
        assert last() == ("consumers/c/ack", "the consumer was removed")
        os.rmdir(mount.path("consumers/g"))
        assert error_of(f.ack, hexa(1)) == "ESTALE"
        assert last() == ("consumers/g/follow", "the consumer was removed")
    os.close(fd)


# --- reading

@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_the_loop(mount, shell):
    """The loop of the README, in two shells."""
    lib.need(shell, "jq")
    path = consumer(mount, "billing")
    append(mount, "order/1", "order/2", "order/1")
    loop = """while read -r event; do
                position=$(printf '%s\\n' "$event" | jq -r .position)
                echo "$position"
                echo "$position" > consumers/billing/ack || break
              done < consumers/billing/follow"""
    with lib.running([shell, "-c", loop], cwd=mount.mnt, stdout=subprocess.PIPE, text=True) as process:
        assert [process.stdout.readline().strip() for _ in range(3)] == [hexa(n) for n in (1, 2, 3)]
        append(mount, "order/3")
        assert process.stdout.readline().strip() == hexa(4)
        lib.wait_until(lambda: cursor(path) == 4, what="the last ack")
    assert lag(path) == 0


def test_reads_of_any_size_give_the_same_bytes(mount):
    mount.append("", lib.spread(2000, over=7))
    consumer(mount, "c")
    log = mount.read("log.ndjson")
    for size in (1, 100, 4096, 128 << 10, 2 << 20):
        n = len(log) if size > 1 else 20_000
        got = b""
        with Follower(mount.path("consumers/c")) as f:
            while len(got) < n:
                piece = os.read(f.fd, size)
                assert size < 4096 or piece.endswith(b"\n")
                got += piece
        assert got == log[:len(got)] and (size == 1 or got == log)


def test_filters(mount):
    append(mount, "order/1", "stock/1", "order/2")
    append(mount, "order/1", "stock/2", kind="B")
    for config, wanted in (({"types": ["order"]}, [1, 3, 4]), ({"events": ["B"]}, [4, 5]),
                           ({"events": ["order/A", "stock/B"]}, [1, 3, 5]), ({"from": "end"}, []),
                           ({"from": hexa(3), "types": ["order"]}, [4])):
        path = consumer(mount, "c", **config)
        assert pending(path) == wanted, config
        with Follower(path, os.O_NONBLOCK) as f:
            assert f.there() == wanted
        os.rmdir(path)


def test_pending_ends(mount):
    path = consumer(mount, "c")
    append(mount, "order/1", "order/1")
    assert mount.ok("cat consumers/c/pending | wc -l") == "2"
    ack(path, hexa(1))
    assert pending(path) == [2]
    assert mount.ok("jq -r .position consumers/c/pending > consumers/c/ack; cat consumers/c/ack") == hexa(2)
    assert pending(path) == []
    fd = os.open(os.path.join(path, "pending"), os.O_RDONLY)
    assert os.read(fd, 100) == b"" == os.read(fd, 100)
    os.close(fd)


def test_pending_ends_without_blocking_too(mount):
    """Behind the last event that is the consumer's there are more others than are looked at in one go."""
    path = consumer(mount, "c", events=["Paid"])
    fd = os.open(mount.path("commands"), os.O_WRONLY)
    os.write(fd, command("Paid", aggregate="order/1"))
    for _ in range(300):
        os.write(fd, command("Other", aggregate="order/2"))
    os.close(fd)
    assert mount.ok("grep -r zzz consumers; echo $?") == "1", "nothing found, and nothing wrong"
    fd = os.open(os.path.join(path, "pending"), os.O_RDONLY | os.O_NONBLOCK)
    assert positions(os.read(fd, 4096)) == [1]
    assert os.read(fd, 4096) == b""
    os.close(fd)


# --- waiting

def test_a_read_waits_and_wakes(mount):
    path = consumer(mount, "c")
    with Follower(path) as a, Follower(path) as b:
        first, second = Reading(a.fd), Reading(b.fd, 1)
        assert first.waits() and second.waits()
        append(mount, "order/1")
        assert positions(first.comes()) == [1]
        assert second.comes() == b"{"


def test_two_reads_of_one_descriptor_share_what_comes(mount):
    path = consumer(mount, "c")
    with Follower(path) as f:
        reads = [Reading(f.fd), Reading(f.fd)]
        assert all(r.waits() for r in reads)
        append(mount, "order/1")
        lib.wait_until(lambda: any(not r.is_alive() for r in reads), what="one of them to come back")
        left = [r for r in reads if r.is_alive()]
        assert len(left) == 1 and left[0].waits()
        append(mount, "order/1")
        left[0].comes()
        assert sorted(positions(r.got)[0] for r in reads) == [1, 2]


def test_a_waiting_read_is_interrupted(mount):
    """Ctrl-C, SIGKILL, and a signal that the program handles."""
    path = consumer(mount, "c")
    follow = os.path.join(path, "follow")
    for end in (signal.SIGINT, signal.SIGTERM, signal.SIGKILL):
        process = lib.start(["cat", follow], stdout=subprocess.DEVNULL)
        lib.wait_until(lambda: waiting(process) == 1, what="cat to wait")
        process.send_signal(end)
        assert process.wait(lib.limit(5)) == -end
    handled = """import os, signal, sys
def handler(*_): raise KeyboardInterrupt
signal.signal(signal.SIGALRM, handler)
fd = os.open(sys.argv[1], os.O_RDONLY)
for i in range(20):
    signal.setitimer(signal.ITIMER_REAL, 0.02)
    try:
        os.read(fd, 100)
        sys.exit(1)
    except KeyboardInterrupt:
        pass
signal.setitimer(signal.ITIMER_REAL, 0)
print("ready", flush=True)
print(os.read(fd, 4096).count(b"\\n"), flush=True)
"""
    with lib.running(["python3", "-c", handled, follow], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout.readline() == "ready\n"
        append(mount, "order/1")
        assert process.stdout.readline() == "1\n", "an interrupted read has taken nothing"


def test_interrupts_lose_nothing(mount):
    """A reader that is interrupted again and again while events come sees each of them once."""
    path, total = consumer(mount, "c"), lib.size(400, 50)
    program = """import os, signal, sys
signal.signal(signal.SIGALRM, lambda *_: None)
fd, text = os.open(sys.argv[1], os.O_RDONLY), b""
signal.setitimer(signal.ITIMER_REAL, 0.001, 0.0007)
while text.count(b"\\n") < int(sys.argv[2]):
    text += os.read(fd, 300)
signal.setitimer(signal.ITIMER_REAL, 0)
sys.stdout.buffer.write(text)
"""
    reader = lib.start(["python3", "-c", program, os.path.join(path, "follow"), str(total)], stdout=subprocess.PIPE)
    with mount.commands("") as c:
        for _ in range(total):
            c.write(command(aggregate="order/1"))
            c.results()
    text = reader.communicate(timeout=lib.limit(30))[0]
    assert positions(text) == list(range(1, total + 1))


def test_many_that_wait_cost_no_threads(mount):
    """A thousand reads that wait: the daemon has no more threads for it, and each of them gets the event."""
    count = lib.size(1000, 100)
    consumer(mount, "c")
    for _ in range(200):
        consumer(mount, f"idle{_}")
    assert "consumers" not in thread_names(mount), "no thread before somebody waits"
    followers = [Follower(mount.path("consumers/c")) for _ in range(count)]
    threading.stack_size(256 << 10)
    reads = [Reading(f.fd) for f in followers[:count // 10]]
    lib.wait_until(lambda: waiting() == count // 10, what="the first to wait")
    few = threads(mount)
    reads += [Reading(f.fd) for f in followers[count // 10:]]
    threading.stack_size(0)
    lib.wait_until(lambda: waiting() == count, 30, what="all of them to wait")
    # libfuse keeps up to 64 threads, however many requests there are
    assert threads(mount) <= max(few, 64 + 12)
    assert thread_names(mount).count("consumers") == 1
    assert mount.ok("cat log.ndjson | wc -l", timeout=5) == "0", "others are served meanwhile"
    append(mount, "order/1")
    for r in reads:
        assert positions(r.comes(30)) == [1]
    for f in followers:
        f.close()


def thread_names(mount):
    return [open(f"/proc/{mount.pid}/task/{t}/comm").read().strip() for t in os.listdir(f"/proc/{mount.pid}/task")]


def test_without_blocking(mount):
    path = consumer(mount, "c")
    with Follower(path, os.O_NONBLOCK) as f:
        assert error_of(os.read, f.fd, 100) == "EAGAIN"
        append(mount, "order/1")
        assert positions(os.read(f.fd, 4096)) == [1]
        assert error_of(os.read, f.fd, 100) == "EAGAIN"
    with Follower(path) as f:
        f.event()
        fcntl.fcntl(f.fd, fcntl.F_SETFL, os.O_NONBLOCK)
        assert error_of(os.read, f.fd, 100) == "EAGAIN"
        fcntl.fcntl(f.fd, fcntl.F_SETFL, 0)
        assert Reading(f.fd).waits()
        append(mount, "order/1")


def later(mount, seconds=0.2):
    """Appends an event after some time."""
    timer = threading.Timer(seconds, append, (mount, "order/1"))
    timer.start()
    return timer


def test_poll_and_select(mount):
    path = consumer(mount, "c")
    with Follower(path, os.O_NONBLOCK) as f:
        poll = select.poll()
        poll.register(f.fd, select.POLLIN | select.POLLOUT)
        assert poll.poll(100) == []
        for n in range(1, 4):
            timer = later(mount)
            assert poll.poll(lib.limit(10) * 1000) == [(f.fd, select.POLLIN)]
            assert poll.poll(0) == [(f.fd, select.POLLIN)], "still there"
            assert f.there() == [n]
            assert poll.poll(50) == []
            timer.join()
        assert select.select([f.fd], [], [], 0.05) == ([], [], [])
        timer = later(mount)
        assert select.select([f.fd], [], [], lib.limit(10)) == ([f.fd], [], [])
        timer.join()
        assert f.there() == [4]
        os.rmdir(path)
        assert select.select([f.fd], [], [], lib.limit(10))[0] == [f.fd]
        assert os.read(f.fd, 100) == b""


@pytest.mark.parametrize("edge", [0, select.EPOLLET])
def test_epoll(mount, edge):
    path = consumer(mount, "c")
    append(mount, "order/1")
    with Follower(path, os.O_NONBLOCK) as f, select.epoll() as epoll:
        epoll.register(f.fd, select.EPOLLIN | edge)
        assert epoll.poll(lib.limit(10)) == [(f.fd, select.EPOLLIN)]
        assert f.there() == [1]
        assert epoll.poll(0.1) == []
        for n in range(2, 6):
            timer = later(mount, 0.1)
            assert epoll.poll(lib.limit(10)) == [(f.fd, select.EPOLLIN)]
            assert f.there() == [n]
            assert epoll.poll(0.05) == []
            timer.join()


def test_a_poll_is_for_what_the_filter_lets_through(mount):
    path = consumer(mount, "c", types=["stock"])
    with Follower(path) as f:
        poll = select.poll()
        poll.register(f.fd, select.POLLIN)
        timer = later(mount, 0.05)
        assert poll.poll(300) == []
        timer.join()
        append(mount, "stock/1")
        assert poll.poll(lib.limit(10) * 1000)
        assert f.event()["source"] == "/stock/1"


def test_other_files_are_always_ready(mount):
    append(mount, "order/1")
    consumer(mount, "c")
    for name in ("log.ndjson", "order/1/version", "order/1/events/0000000001-A.json", "consumers/c/pending"):
        fd = os.open(mount.path(name), os.O_RDONLY)
        assert select.select([fd], [], [], lib.limit(10))[0] == [fd], name
        os.close(fd)
    with mount.commands("") as c:
        assert select.select([], [c.fd], [], lib.limit(10))[1] == [c.fd]


def test_closing_what_is_polled(mount):
    """Descriptors come and go while the kernel still waits for news of them."""
    path = consumer(mount, "c")
    stop = threading.Event()

    def churn():
        while not stop.is_set():
            with Follower(path, os.O_NONBLOCK) as f:
                select.select([f.fd], [], [], 0.001)
    crowd = [threading.Thread(target=churn) for _ in range(4)]
    for t in crowd:
        t.start()
    for _ in range(lib.size(200, 30)):
        append(mount, "order/1")
    stop.set()
    for t in crowd:
        t.join()
    assert len(pending(path)) == lib.size(200, 30)


# --- acknowledging

def test_acks(mount):
    path = consumer(mount, "c")
    append(mount, *["order/1"] * 5)
    assert error_of(ack, path, hexa(1)) == "EINVAL", "nothing was given yet"
    with Follower(path) as f:
        f.events(5)
        append(mount, "order/1")
        ack(path, hexa(3))
        ack(path, hexa(3))
        assert cursor(path) == 3 and lag(path) == 3
        for bad in (hexa(6), hexa(2), "4", "0x4", hexa(99), "000000000000000G"):
            assert error_of(ack, path, bad) == "EINVAL", bad
        mount.fails("echo 4 > consumers/c/ack", "Invalid argument")
        mount.ok(f"printf {hexa(4)} > consumers/c/ack")
        mount.ok(f"echo seek {hexa(1)} > consumers/c/ack")
        assert cursor(path) == 1
        assert error_of(ack, path, hexa(2)) == "EINVAL", "not given since"
        assert [int(e["position"], 16) for e in f.events(2)] == [2, 3]
        assert error_of(write, os.path.join(path, "ack"), f"seek {hexa(7)}") == "EINVAL"
    assert "`seek` takes it back" in mount.read(".esfs/errors.ndjson").decode()
    before = os.stat(os.path.join(path, "ack")).st_mtime_ns
    ack(path, hexa(3))
    assert os.stat(os.path.join(path, "ack")).st_mtime_ns > before
    mount.restart()
    assert cursor(path) == 3 and pending(path) == [4, 5, 6]


def test_a_long_list_of_positions(mount):
    """More than fits into one write of jq or cat: positions are cut anywhere."""
    n = 1000
    mount.append("", lib.numbered(n).replace(b'{"type"', b'{"aggregate":"order/1","type"'))
    path = consumer(mount, "c")
    assert mount.ok("jq -r .position consumers/c/pending > consumers/c/ack && cat consumers/c/ack") == hexa(n)
    mount.ok(f"echo seek {NONE} > consumers/c/ack; cat consumers/c/pending > /dev/null")
    listed = "".join(hexa(i) + "\n" for i in range(1, n + 1)) + "no position\n" + hexa(n)
    fd = os.open(os.path.join(path, "ack"), os.O_WRONLY)
    taken = os.write(fd, listed.encode())
    assert taken == 17 * n - 1 and cursor(path) == n
    assert error_of(os.write, fd, listed[taken:].encode()) == "EINVAL"
    os.close(fd)


def test_what_was_not_acknowledged_comes_again_after_a_crash(mount):
    path = consumer(mount, "c")
    append(mount, *["order/1"] * 3)
    with Follower(path) as f:
        handled = [f.event()["position"]]
        ack(path, handled[0])
        handled.append(f.event()["position"])  # handled, and then the daemon dies
        mount.kill9()
    mount.start()
    assert cursor(path) == 1
    with Follower(path) as f:
        assert f.event()["position"] == handled[1]


@pytest.mark.timeout(300)
def test_nothing_is_lost_over_twenty_kills(mount):
    path, cycles, batch = consumer(mount, "c"), lib.size(20, 5), 7
    handled, acknowledged, appended, stop = [], 0, 0, threading.Event()

    def produce():
        nonlocal appended
        while not stop.is_set():
            try:
                mount.append("", *[command(aggregate=f"order/{i}") for i in range(5)])
                appended += 5
            except OSError:
                return

    def consume():
        nonlocal acknowledged
        try:
            with Follower(path) as f:
                while not stop.is_set():
                    for e in f.events(batch):
                        position = int(e["position"], 16)
                        assert position > acknowledged, "given again although it was acknowledged"
                        handled.append(position)
                    ack(path, e["position"])
                    acknowledged = position
        except OSError:
            return

    for cycle in range(cycles):
        pair = [threading.Thread(target=produce), threading.Thread(target=consume)]
        for t in pair:
            t.start()
        time.sleep((0.1 + 0.02 * cycle) * lib.SLOW)
        mount.kill9()
        for t in pair:
            t.join(lib.limit(20))
            assert not t.is_alive()
        mount.start()
        assert cursor(path) >= acknowledged
    handled += pending(path)
    log = [int(e["position"], 16) for e in mount.log_events()]
    assert set(handled) == set(log) and len(log) >= appended > cycles
    assert acknowledged > 0


# --- ending

def test_rmdir_under_those_who_read(mount):
    path = consumer(mount, "c")
    append(mount, "order/1")
    followers = [Follower(path) for _ in range(3)]
    for f in followers:
        f.event()
    reads = [Reading(f.fd) for f in followers]
    with lib.running(["cat", os.path.join(path, "follow")], stdout=subprocess.PIPE) as cat:
        assert cat.stdout.readline()
        lib.wait_until(lambda: waiting(cat) == 4, what="four to wait")
        held = os.open(os.path.join(path, "ack"), os.O_WRONLY)
        os.rmdir(path)
        assert [r.comes() for r in reads] == [b"", b"", b""]
        assert cat.wait(lib.limit(10)) == 0
    assert error_of(os.write, held, hexa(1).encode()) == "ESTALE"
    os.close(held)
    path = consumer(mount, "c")
    assert os.read(followers[0].fd, 10) == b"" and pending(path) == [1]
    for f in followers:
        f.close()
    mount.restart()
    assert os.listdir(mount.path("consumers")) == ["c"]


def test_a_mount_ends_under_those_who_wait(mount):
    path = consumer(mount, "c")
    followers = [Follower(path) for _ in range(20)]
    reads = [Reading(f.fd) for f in followers]
    lib.wait_until(lambda: waiting() == 20, what="all to wait")
    busy = lib.run(["fusermount3", "-u", mount.mnt])
    assert busy.rc != 0 and "busy" in busy.err.lower(), busy
    assert all(r.is_alive() for r in reads)
    mount.term()
    for r in reads:
        r.comes()
        assert r.error in (errno.ESHUTDOWN, errno.ENOTCONN, errno.ECONNABORTED), r.error
    for f in followers:
        f.close()
    mount.start()


@pytest.mark.parametrize("_again", range(1 if lib.SLOW else 20))
def test_a_mount_that_is_detached_ends_with_its_last_reader(mount, _again):
    """Many times: in one of thirty the daemon reads the device in the very instant the mount goes."""
    path = consumer(mount, "c")
    process = lib.start(["cat", os.path.join(path, "follow")], stdout=subprocess.DEVNULL)
    lib.wait_until(lambda: waiting(process) == 1, what="cat to wait")
    subprocess.run(["fusermount3", "-u", "-z", mount.mnt], check=True)
    assert mount.alive()
    process.kill()
    process.wait(lib.limit(10))
    mount.expect_clean_exit()
    mount.start()


def test_nothing_hangs_that_goes_through_everything(mount, place):
    append(mount, "order/1", "order/1")
    path, group = consumer(mount, "c"), consumer(mount, "g", group=True)
    assert pending(path) == [1, 2]
    nack(path, hexa(1), "no")
    for text in ("ls -lR .", "find . -type f -exec cat {} + > /dev/null", "grep -r OrderPlaced . ; true",
                 f"tar -cf {place}/all.tar .", "du -sa .", f"cp -a consumers {place}/copy"):
        if "cat" in text:
            text = text.replace("-type f", "-type f -perm -400")
        done = mount.sh(text, timeout=20)
        assert done.rc in (0, 1), f"{text}\n{done}"
    mount.ok(f"mkdir {place}/t; tar -xf {place}/all.tar -C {place}/t")
    for name in ("config.json", "ack", "lag", f"parked/{hexa(1)}.json"):
        assert open(f"{place}/t/consumers/c/{name}").read() == read(os.path.join(path, name)), name
    mount.sh("rm -rf consumers/c consumers/g", timeout=20)
    assert sorted(os.listdir(mount.path("consumers"))) == ["c", "g"] and group


# --- who may

def test_a_read_only_mount_is_read(mount):
    path = consumer(mount, "c")
    consumer(mount, "g", group=True)
    append(mount, "order/1", "order/2")
    mount.restart(options=["ro"])
    assert pending(path) == [1, 2]
    for name in ("c", "g"):
        with Follower(mount.path("consumers", name)) as f:
            assert f.event()["version"] == 1
            assert error_of(ack, mount.path("consumers", name), hexa(1)) == "EROFS"
    assert error_of(os.mkdir, mount.path("consumers/d")) == "EROFS"
    assert error_of(os.rmdir, path) == "EROFS"
    mount.fails("echo '{}' > consumers/c/config.json", "Read-only file system")
    mount.restart(options=[])
    assert pending(path) == [1, 2]


def test_modes_are_kept(daemons, place):
    lib.need_root()
    mount = daemons(options=["allow_other"]).start()
    path = consumer(mount, "c")
    append(mount, "order/1")
    with user(61009, 62009):
        assert error_of(os.listdir, mount.path("consumers")) == "EACCES"
        assert error_of(os.open, os.path.join(path, "follow"), os.O_RDONLY) == "EACCES"
    with user(61009, 62009, groups=[os.getegid()]):
        assert pending(path) == [1]
        ack(path, hexa(1))
        assert error_of(os.mkdir, mount.path("consumers/d")) == "EACCES"
        assert error_of(configure, path) == "EACCES"


def test_lists_of_readers_hold(daemons, place):
    """Whoever may not read a type is not given its events, in no consumer."""
    lib.need_root()
    reader, group = 61002, os.getegid()
    top = os.path.join(place, "domain/aggregates")
    os.makedirs(top)
    handlers = ('commands = { A = { decide = function(s, c) return event("A", {}) end } }, '
                'events = { A = { evolve = function() end } }')
    open(os.path.join(top, "order.lua"), "w").write(f"return {{ {handlers} }}")
    open(os.path.join(top, "secret.lua"), "w").write(f"return {{ read = {{ users = {{ {reader} }} }}, {handlers} }}")
    mount = daemons(options=["allow_other", f"domain={place}/domain"]).start()
    append(mount, "order/1", "secret/1")
    every, plain, hidden, event = (consumer(mount, name, **config) for name, config in (
        ("every", {}), ("plain", {"types": ["order"]}), ("hidden", {"types": ["order", "secret"]}),
        ("event", {"events": ["secret/A"]})))
    for path in (every, hidden, event):
        assert error_of(pending, path) == "EACCES", "not even root"
        assert error_of(Follower, path) == "EACCES"
    assert pending(plain) == [1]
    with user(reader, 62009, groups=[group]):
        assert pending(every) == [1, 2] and pending(hidden) == [1, 2] and pending(event) == [2]
        nack(every, hexa(2), "secret")
        shelved = os.path.join(every, "parked", hexa(2) + ".json")
        assert '"source":"/secret/1"' in read(shelved)
        held = Follower(every)
    assert error_of(open, shelved) == "EACCES", "what is parked is no way round"
    assert held.event()["source"] == "/order/1", "who opened it counts, not who reads"
    held.close()
