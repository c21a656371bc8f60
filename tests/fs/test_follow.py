"""Following: what was acknowledged is seen at once, by any process, in every way of looking."""

import os
import select
import statistics
import subprocess
import threading
import time

import pytest

import lib
from lib import command
from lib_daemon import pause

POLL = 0.05
"""The interval at which the tools are told to look."""
ALLOWED = POLL + 0.1


def read_line(process, seconds=10):
    """The next line of a process's output, as soon as it is there."""
    end = time.monotonic() + lib.limit(seconds)
    text = b""
    while not text.endswith(b"\n"):
        ready, _, _ = select.select([process.stdout], [], [], max(0, end - time.monotonic()))
        assert ready, f"nothing within {lib.limit(seconds)} s, only {text!r}"
        piece = os.read(process.stdout.fileno(), 1)
        assert piece, "the tool has ended"
        text += piece
    return text


def follow(argv, mount):
    return lib.running(argv, cwd=mount.mnt, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)


@pytest.mark.parametrize("file", ["log.ndjson", "order/log.ndjson", "order/1/events.ndjson"])
@pytest.mark.parametrize("flag", ["-f", "-F"])
def test_tail_shows_an_event_within_its_poll_interval(mount, file, flag):
    mount.make("order/1")
    late = []
    with follow(["tail", "-n", "+1", flag, "-s", str(POLL), file], mount) as tail, mount.commands("order/1") as c:
        for n in range(25):
            c.write(command(data={"n": n}))
            acknowledged = time.monotonic()
            text = read_line(tail)
            late.append(time.monotonic() - acknowledged)
            assert lib.strict(text)["data"] == {"n": n}
    late.sort()
    assert statistics.median(late) < ALLOWED * lib.SLOW, late
    assert late[-3] < (ALLOWED + 0.1) * lib.SLOW, late  # two may meet a busy machine


def test_tail_follows_a_file_of_an_aggregate_that_is_not_there_yet(mount):
    with follow(["tail", "-F", "-s", str(POLL), "order/1/events.ndjson"], mount) as tail:
        pause(3 * POLL)
        mount.append("", command("One", aggregate="order/1"))
        assert lib.strict(read_line(tail))["type"] == "One"
        mount.append("", command("Two", aggregate="order/1"))
        assert lib.strict(read_line(tail))["type"] == "Two"


def test_tail_gives_every_event_once_while_writers_are_busy(mount):
    n = lib.size(20_000)
    with follow(["tail", "-n", "+1", "-f", "-s", "0.01", "log.ndjson"], mount) as tail:
        def write():
            for start in range(0, n, 100):
                mount.append(
                    "", b"".join(command(aggregate=f"order/{i % 5}", data={"n": i}) for i in range(start, start + 100)))
        writer = threading.Thread(target=write)
        writer.start()
        seen = b""
        while seen.count(b"\n") < n:
            ready, _, _ = select.select([tail.stdout], [], [], lib.limit(20))
            assert ready, f"{seen.count(10)} of {n} came"
            seen += os.read(tail.stdout.fileno(), 1 << 20)
        writer.join()
    assert [e["data"]["n"] for e in lib.check_log(seen.splitlines())] == list(range(n))
    assert seen == mount.read("log.ndjson")


def test_other_processes_see_an_event_when_the_write_has_returned(mount):
    """ls, cat version, wc -c, stat, tail: each by a process of its own, without waiting."""
    mount.make("order/1")
    looks = "cat order/1/version; ls order/1/events | wc -l; wc -l < order/1/events.ndjson; wc -c < log.ndjson; " \
            "stat -c %s log.ndjson order/log.ndjson; tail -n 1 log.ndjson | jq -r .data.n; " \
            "cat order/1/events/*-A.json | wc -l"
    lib.need("jq")
    mount.ok(looks + "; ls -l order/1 > /dev/null")
    with mount.commands("order/1") as c:
        for n in range(1, lib.size(40, 5) + 1):
            c.write(command(data={"n": n}))
            version, listed, lines, read, size, type_size, last, files = mount.ok(looks).split()
            assert (version, listed, lines, last, files) == (str(n),) * 5
            assert read == size == type_size


def test_a_shell_sees_its_own_writes(mount):
    assert mount.ok("""mkdir -p order/1; for i in 1 2 3 4 5 6 7 8 9; do
        echo '{"type":"A"}' > order/1/commands; read -r v < order/1/version; echo $v
        set -- order/1/events/*; echo $#; done | uniq -c | xargs""") == " ".join(f"2 {n}" for n in range(1, 10))


def test_open_descriptors_see_what_was_appended_since(mount):
    mount.make("order/1")
    names = ["log.ndjson", "order/log.ndjson", "order/1/events.ndjson", "order/1/version"]
    fds = {name: os.open(mount.path(name), os.O_RDONLY) for name in names}
    directory = os.open(mount.path("order/1/events"), os.O_RDONLY)
    try:
        for n in range(1, 30):
            mount.append("order/1", command(data={"n": n}))
            size = os.fstat(fds["log.ndjson"]).st_size
            assert size == os.fstat(fds["order/log.ndjson"]).st_size == os.fstat(fds["order/1/events.ndjson"]).st_size
            for name in names[:3]:
                text = os.pread(fds[name], 1 << 20, 0)
                assert len(text) == size and text.count(b"\n") == n
                assert os.lseek(fds[name], 0, os.SEEK_END) == size
            assert os.pread(fds["order/1/version"], 100, 0) == b"%d\n" % n
            assert len(os.listdir(directory)) == n
    finally:
        for fd in (*fds.values(), directory):
            os.close(fd)


def test_a_reader_at_the_end_of_the_log_reads_on(mount):
    mount.make("order/1")
    with open(mount.path("log.ndjson"), "rb", buffering=0) as log:
        assert log.read(100) == b""
        for n in range(10):
            mount.append("order/1", command(data={"n": n}))
            assert lib.strict(log.read(100_000))["data"] == {"n": n}
            assert log.read(100) == b""


def test_a_new_type_and_aggregate_are_seen_at_once_though_they_were_missed_before(mount):
    """No negative entry is kept."""
    for n in range(20):
        name = f"type{n}/{n}"
        mount.fails(f"cat {name}/version", "No such file")
        assert not os.path.exists(mount.path(name))
        mount.append("", command(aggregate=name))
        assert mount.ok(f"cat {name}/version; ls {name}/events; ls | grep -cx type{n}") == "1\n0000000001-A.json\n1"


def test_no_reader_ever_sees_a_nul_byte_or_half_an_event(mount):
    """Readers of every kind while events are appended: what they get is always a prefix of the log, in whole lines for
    whoever reads to the end."""
    mount.make("order/1")
    stop, faults = threading.Event(), []

    def write():
        with mount.commands("order/1", os.O_WRONLY) as c:
            n = 0
            while not stop.is_set():
                c.write(command(data={"n": n, "x": "y" * (n * 37 % 900)}))
                n += 1

    def read(name, how):
        try:
            last = b""
            while not stop.is_set():
                text = how(mount.path(name))
                if b"\0" in text:
                    faults.append(f"{name}: a NUL at {text.index(0)} of {len(text)}")
                if not text.startswith(last[:len(text)]) or (text and not text.endswith(b"\n")):
                    faults.append(f"{name}: no prefix, or half a line: {text[-80:]}")
                last = text
        except Exception as e:  # noqa: a thread must not die in silence
            faults.append(f"{name}: {e!r}")

    def whole(path):
        with open(path, "rb", buffering=0) as f:
            return f.readall()

    def pages(path):
        fd, text = os.open(path, os.O_RDONLY), b""
        try:
            size = os.fstat(fd).st_size
            while len(text) < size:
                text += os.pread(fd, min(4096, size - len(text)), len(text))
            return text
        finally:
            os.close(fd)

    def cat(path):
        return subprocess.run(["cat", path], stdout=subprocess.PIPE, check=True, stdin=subprocess.DEVNULL).stdout
    jobs = [threading.Thread(target=write)]
    for name in ("log.ndjson", "order/log.ndjson", "order/1/events.ndjson"):
        jobs += [threading.Thread(target=read, args=(name, how)) for how in (whole, pages, cat)]
    for job in jobs:
        job.start()
    pause(5)
    stop.set()
    for job in jobs:
        job.join()
    assert not faults, faults[:5]
    assert mount.version("order/1") > 20
    lib.check_log(mount.lines("log.ndjson"))


def test_the_version_never_runs_ahead_or_back(mount):
    mount.make("order/1")
    stop, acknowledged, faults = threading.Event(), [0], []

    def look():
        last = 0
        while not stop.is_set():
            floor = acknowledged[0]
            version = int(mount.read("order/1/version"))
            if version < last or version < floor:
                faults.append((floor, last, version))
            if version:
                name = f"order/1/events/{version:010}-A.json"
                if not os.path.exists(mount.path(name)):
                    faults.append(name)
            last = version
    readers = [threading.Thread(target=look) for _ in range(3)]
    for reader in readers:
        reader.start()
    with mount.commands("order/1") as c:
        for n in range(1, lib.size(1500) + 1):
            c.write(command())
            acknowledged[0] = n
    stop.set()
    for reader in readers:
        reader.join()
    assert not faults, faults[:5]


def test_rejections_can_be_followed_too(mount):
    mount.make("order/1")
    with follow(["tail", "-n", "+1", "-f", "-s", str(POLL), "order/rejections.ndjson"], mount) as tail:
        for n in range(5):
            mount.sh(f"""echo '{{"typ{n}":1}}' > order/1/commands""")
            assert f"typ{n}" in lib.strict(read_line(tail))["detail"]
