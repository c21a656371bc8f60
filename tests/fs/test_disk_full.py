"""The disk under the store fills up: on a small file system of its own, filled by somebody else."""

import contextlib
import errno
import os
import threading

import pytest

import lib
import lib_domain
from lib import command
from lib_daemon import pause
from lib_bank_views import VIEWS, check, rebuild, settle, shown, status
from lib_consumers import Follower, ack, configure, consumer, cursor, nack, pending

MIB = 1 << 20
DISK = 500 * MIB


@pytest.fixture
def disk(place, request):
    """A directory that is a file system of DISK bytes. Gone afterwards, whatever happens. @pytest.mark.inodes(n): of so
    many inodes."""
    lib.need_root()
    lib.need("mkfs.ext4", "losetup", "fallocate")
    image, where = os.path.join(place, "image"), os.path.join(place, "disk")
    os.mkdir(where)
    with open(image, "wb") as f:
        f.truncate(DISK)
    few = request.node.get_closest_marker("inodes")
    made = lib.run(["mkfs.ext4", "-q", "-m", "0", *(["-N", str(few.args[0])] if few else []), image])
    assert made.rc == 0, made
    mounted = lib.run(["mount", "-o", "loop", image, where])
    if mounted.rc != 0:
        pytest.skip(f"no loop device can be mounted here: {mounted.err.strip()}")
    yield where
    done = lib.run(["umount", where])
    if done.rc != 0:
        lib.run(["umount", "-l", where])
    assert done.rc == 0, f"the daemon still holds the disk: {done}"
    os.unlink(image)


@pytest.fixture
def small(disk, daemons):
    """A mount whose store is on the small disk, with a hundred events in order/1."""
    daemon = daemons(store=os.path.join(disk, "store")).start()
    daemon.disk = disk
    daemon.append("", *[command(aggregate="order/1", data={"n": n}) for n in range(100)])
    return daemon


def free(where):
    st = os.statvfs(where)
    return st.f_bavail * st.f_frsize


def fill(where, leaving=0):
    """Takes what is free but so many bytes, as another program would."""
    with open(os.path.join(where, "filler"), "ab") as f:
        for _ in range(50):
            room = free(where) - leaving
            if room <= 0:
                break
            size = os.fstat(f.fileno()).st_size
            try:
                os.posix_fallocate(f.fileno(), size, max(4096, room if room > MIB else 4096))
            except OSError as e:
                assert e.errno == errno.ENOSPC
                if room <= MIB:
                    break
                with contextlib.suppress(OSError):
                    os.posix_fallocate(f.fileno(), size, room - MIB // 2)


def make_room(where):
    os.unlink(os.path.join(where, "filler"))


def refused(daemon, scope="order/1"):
    return lib.error_of(lambda: daemon.append(scope, command()))


def works_again(daemon):
    lib.wait_until(lambda: refused(daemon) is None, 15, "commands are taken again", 0.1)
    assert daemon.status()["state"] == "ok"


@pytest.mark.parametrize("leaving", [0, 1 * MIB, 60 * MIB])
def test_commands_get_enospc_reads_go_on_and_it_works_again_with_room(small, leaving):
    fill(small.disk, leaving)
    small.fails("""echo '{"type":"A"}' > order/1/commands""", "No space left on device")
    for scope, text in (("", command(aggregate="order/2")), ("order", command(aggregate="3")),
                        ("order/1", lib.line([{"type": "A"}]))):
        with small.commands(scope) as c:
            assert lib.error_of(c.write, text) == "ENOSPC"
            assert [(r["status"], r["errno"]) for r in c.results()] == [("rejected", "ENOSPC")]
    assert lib.error_of(os.mkdir, small.path("order/9")) == "ENOSPC"
    assert small.status()["state"] == "no-room"
    assert small.version("order/1") == 100 and len(small.log_events()) == 100
    small.ok("ls -lR . > /dev/null; cat order/1/events/* | wc -l; tail -n 1 rejections.ndjson | jq -e .error")
    assert not os.path.exists(small.path("order/2"))
    make_room(small.disk)
    works_again(small)
    n = small.version("order/1")
    small.restart()
    assert small.version("order/1") == n


def test_df_shows_that_it_is_full(small):
    fill(small.disk)
    ours = os.statvfs(small.mnt)
    assert ours.f_bavail * ours.f_frsize < MIB
    make_room(small.disk)
    assert os.statvfs(small.mnt).f_bavail * ours.f_frsize > 100 * MIB


@pytest.mark.parametrize("leaving", [0, 2 * MIB])
@pytest.mark.parametrize("end", ["stop", "kill9", "term"])
def test_it_opens_again_while_the_disk_is_full(small, end, leaving):
    text = small.read("log.ndjson")
    fill(small.disk, leaving)
    assert refused(small) == "ENOSPC"
    getattr(small, end)()
    fill(small.disk, leaving)
    small.start()
    assert small.read("log.ndjson") == text and small.version("order/1") == 100
    assert refused(small) in ("ENOSPC", "EROFS")
    assert small.status()["state"] in ("no-room", "read-only")
    assert lib.error_of(os.mkdir, small.path("order/9")) in ("ENOSPC", "EROFS")
    small.crash()
    assert small.read("log.ndjson") == text
    make_room(small.disk)
    if small.status()["state"] == "read-only":
        assert "room" in small.status()["reason"]
        small.restart()
    works_again(small)
    small.stop()
    assert small.verify().rc == 0
    small.start()


class Writers:
    """Threads that append as long as they are let, through ENOSPC and back."""

    def __init__(self, daemon, n=4):
        self.daemon, self.stop = daemon, threading.Event()
        self.acknowledged, self.full, self.wrong = [0] * n, [0] * n, []
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(n)]

    def write(self, i):
        text = b"".join(command(aggregate=f"w/{i}", data={"x": "y" * 400}) for _ in range(200))
        while not self.stop.is_set():
            with self.daemon.commands() as c:
                try:
                    c.write_all(text)
                except OSError as e:
                    if e.errno != errno.ENOSPC:
                        self.wrong.append(repr(e))
                        return
                    self.full[i] += 1
                    pause(0.02)
                self.acknowledged[i] += len([r for r in c.results() if r["status"] == "appended"])

    def __enter__(self):
        for t in self.threads:
            t.start()
        return self

    def __exit__(self, *_):
        self.stop.set()
        for t in self.threads:
            t.join()

    def check(self):
        assert not self.wrong, self.wrong[:3]
        for i, n in enumerate(self.acknowledged):
            assert self.daemon.version(f"w/{i}") == n


@pytest.mark.timeout(200)
def test_a_disk_that_fills_hard_under_load_kills_nothing(small):
    """Somebody else takes the last byte while four writers write, three times."""
    with Writers(small) as writers:
        for _ in range(lib.size(3, 1)):
            lib.wait_until(lambda: min(writers.acknowledged) > 0, 20, "they write")
            before = list(writers.full)
            while free(small.disk) > 0 and not all(f > b for f, b in zip(writers.full, before)):
                fill(small.disk, max(0, free(small.disk) - 40 * MIB))
                pause(0.02)
            fill(small.disk)
            lib.wait_until(lambda: all(f > b for f, b in zip(writers.full, before)), 30, "every writer gets ENOSPC")
            assert small.alive(), small.log()
            assert small.ok("tail -n 1 log.ndjson | jq -r .source | cut -c1-2") == "/w"
            make_room(small.disk)
            done = list(writers.acknowledged)
            lib.wait_until(lambda: all(a > b for a, b in zip(writers.acknowledged, done)), 30, "they go on")
    writers.check()
    small.restart()
    writers.check()
    small.stop()
    done = small.verify()
    assert done.rc == 0, done
    small.start()


@pytest.mark.timeout(200)
def test_its_own_events_fill_the_disk_down_to_the_reserve_and_no_further(small):
    text = b"".join(command(aggregate="big/1", data={"n": i, "x": f"{i:08}" * 120}) for i in range(1000))
    n = 0
    with pytest.raises(OSError) as failed, small.commands("", os.O_WRONLY) as c:
        for _ in range(2000):
            c.write_all(text)
            n += 1000
    assert failed.value.errno == errno.ENOSPC
    assert free(small.disk) > 20 * MIB, "the reserve was kept"
    assert n <= small.version("big/1") < n + 1000
    assert small.ok("tail -n 1 big/1/events.ndjson | jq -r .type") == "A"
    n = small.version("big/1")
    small.restart()
    assert small.version("big/1") == n
    assert refused(small) in (None, "ENOSPC", "EROFS"), "a restart may free a log"
    small.crash()
    assert small.version("big/1") == n and small.ok("wc -l < big/1/events.ndjson", timeout=60) == str(n)


def test_a_kill_while_it_is_full_loses_nothing(small):
    with Writers(small, 2) as writers:
        lib.wait_until(lambda: min(writers.acknowledged) > 0, 20, "they write")
        fill(small.disk)
        lib.wait_until(lambda: all(writers.full), 30, "every writer gets ENOSPC")
    small.kill9()
    fill(small.disk)
    small.start()
    writers.check()
    make_room(small.disk)
    small.restart()
    writers.check()
    works_again(small)


def test_a_new_store_on_a_full_disk_is_refused_in_words(disk, daemons):
    fill(disk)
    daemon = daemons(store=os.path.join(disk, "store"))
    assert "space" in daemon.refused().err
    make_room(disk)
    daemon.start()
    daemon.append("", command(aggregate="order/1"))
    assert daemon.version("order/1") == 1


def test_verify_and_cat_work_on_a_full_disk(small):
    text = small.read("log.ndjson")
    fill(small.disk)
    for end in (small.stop, small.kill9):
        end()
        assert small.verify().rc == 0
        assert lib.run([lib.esfsctl(), "cat", small.store]).out.encode() == text
        small.start()


@pytest.mark.inodes(3000)
def test_without_inodes_it_does_not_crash(disk, daemons):
    """A disk with room but no inode left: new files cannot be made."""
    daemon = daemons(store=os.path.join(disk, "store")).start()
    daemon.append("", command(aggregate="many/0"))
    os.mkdir(os.path.join(disk, "files"))
    with contextlib.suppress(OSError):
        for i in range(1_000_000):
            os.close(os.open(os.path.join(disk, f"files/{i}"), os.O_CREAT | os.O_WRONLY))
    assert os.statvfs(disk).f_ffree == 0
    acknowledged = 1
    with contextlib.suppress(OSError), daemon.commands("", os.O_WRONLY) as c:
        for first in range(0, lib.size(150_000), 5000):
            c.write_all(lib.spread(5000, first, over=1, pad=400))
            acknowledged += 5000
    assert daemon.alive(), daemon.log()
    assert daemon.version("many/0") >= acknowledged
    daemon.process.terminate()
    assert daemon.wait() in (0, 1)
    daemon.detach()
    for i in range(1000):
        os.unlink(os.path.join(disk, f"files/{i}"))
    daemon.start()
    assert daemon.version("many/0") >= acknowledged
    daemon.append("", command(aggregate="many/0"))


def test_views_wait_while_the_disk_is_full(disk, daemons, place):
    """A rebuild, which writes, waits; what is served goes on; with room it ends, and no event is missing or twice."""
    mount = lib_domain.prepared(daemons, place, "bank", files=VIEWS)
    mount.store = os.path.join(disk, "store")
    mount.start()
    lib_domain.opened(mount, *(f"a{n}" for n in range(50)))
    settle(mount)
    before = check(mount)
    fill(disk)
    rebuild(mount, "balances")
    lib.wait_until(lambda: status(mount, "balances").get("rebuild", {}).get("state") == "waiting", 20, "it to wait")
    assert "reserve" in status(mount, "balances")["rebuild"]["reason"]
    assert settle(mount)["halted"] == {"balances": "the disk is full"}
    assert shown(mount) == before
    make_room(disk)
    lib.wait_until(lambda: "rebuild" not in status(mount, "balances"), 20, "the rebuild")
    assert settle(mount)["halted"] == {} and shown(mount) == before
    lib.wait_until(lambda: lib_domain.send(mount, "account/a1", "Note", {"x": 1})["status"] == "appended", 15, "commands", 0.1)
    mount.crash()
    settle(mount)
    check(mount)


def test_consumers_are_read_while_the_disk_is_full(small):
    """What they are told is refused, and is not done; with room they go on where they were."""
    path, group, idle = consumer(small, "c"), consumer(small, "g", group=True), consumer(small, "i")
    position, after = f"{50:016x}", f"{60:016x}"
    assert pending(path) == list(range(1, 101))
    ack(path, f"{10:016x}")
    with Follower(path) as alone, Follower(group, os.O_RDWR) as member:
        fill(small.disk)
        assert alone.event()["version"] == 11
        given = member.events(100)
        for call in (lambda: ack(path, position), lambda: ack(path, "seek " + position), lambda: nack(path, after, "no"),
                     lambda: consumer(small, "d"), lambda: os.rmdir(path), lambda: member.ack(given[0]["position"]),
                     lambda: configure(idle)):
            assert lib.error_of(call) == "ENOSPC"
        assert cursor(path) == 10 and cursor(group) == 0 and len(pending(path)) == 90
        make_room(small.disk)
        lib.wait_until(lambda: lib.error_of(ack, path, position) is None, 15, "acknowledgements are taken again", 0.1)
        nack(path, after, "no")
        assert member.ack(*[e["position"] for e in given]) == 17 * 100
    small.restart()
    assert cursor(path) == 50 and cursor(group) == 100
    assert pending(path) == [n for n in range(51, 101) if n != 60]
