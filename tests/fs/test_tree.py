"""The mounted tree: what is listed, what its attributes say, and what cannot be done to it."""

import ctypes
import errno
import os
import random
import stat
import threading

import pytest

import lib
from lib import command, numbered

FORBIDDEN = {"at", "key", "barrier", "follow", "wait", "pending"}
"""Never listed: reading them blocks or removing them is final."""


@pytest.fixture
def tree(mount):
    """Two types, three aggregates with events, one declared."""
    mount.make("order/0")
    mount.append("", *[command("Placed", aggregate="order/1001", data={"n": i}) for i in range(12)],
                 command("Added", aggregate="order/größe 订单"), command("Stocked", aggregate="item/1"))
    return mount


def every_path(mount):
    """All listed paths below the root, files and directories."""
    found = []
    for top, dirs, files in os.walk(mount.mnt):
        found += [os.path.join(top, f) for f in dirs + files]
    return found


def every_file(mount):
    """All files that can be read to their end at any time."""
    return [p for p in every_path(mount) if stat.S_ISREG(os.lstat(p).st_mode) and os.path.basename(p) != "commands"]


def moments(mount):
    return [mount.path("order/1001/at", when, "events.ndjson") for when in ("3", "2..5", "1..12", "12..12")]


# --- listings

def test_the_root_lists_its_files_and_types(tree):
    assert {"commands", "log.ndjson", "rejections.ndjson", ".esfs", "order", "item"} <= set(os.listdir(tree.mnt))
    assert {"status.json", "config.json", "errors.ndjson"} <= set(os.listdir(tree.path(".esfs")))


def test_a_type_lists_its_files_and_aggregates(tree):
    assert {"commands", "log.ndjson", "rejections.ndjson", "0", "1001",
            "größe 订单"} <= set(os.listdir(tree.path("order")))


def test_an_aggregate_lists_what_is_safe_to_read(tree):
    assert {"commands", "version", "events", "events.ndjson"} <= set(os.listdir(tree.path("order/1001")))


def test_events_are_listed_in_order_with_ten_digits(tree):
    assert os.listdir(tree.path("order/1001/events")) == [f"{n:010}-Placed.json" for n in range(1, 13)]
    assert os.listdir(tree.path("order/0/events")) == []


def test_nothing_dangerous_is_listed(tree):
    names = {os.path.basename(p) for p in every_path(tree)} - {"order", "item"}
    assert names & FORBIDDEN == set()
    assert os.path.isdir(tree.path("order/1001/at")) and os.path.isfile(moments(tree)[0]), "though it can be found"


def test_everything_listed_can_be_looked_at(tree):
    paths = every_path(tree)
    assert len(paths) > 40
    for path in paths:
        st = os.lstat(path)
        assert stat.S_ISDIR(st.st_mode) or stat.S_ISREG(st.st_mode), path
    for top, dirs, files in os.walk(tree.mnt):
        assert len(set(dirs + files)) == len(dirs + files), "each name once"


def test_entry_types_agree_with_stat(tree):
    for top in [tree.mnt, *(p for p in every_path(tree) if os.path.isdir(p))]:
        for entry in os.scandir(top):
            st = os.lstat(entry.path)
            assert (entry.inode(), entry.is_dir()) == (st.st_ino, stat.S_ISDIR(st.st_mode)), entry.path


def test_aggregates_and_types_are_listed_in_any_shell(tree):
    assert tree.ok("echo order/*/events/*-Placed.json | wc -w") == "12"
    assert tree.ok("ls -d */ | xargs") == "consumers/ item/ order/"
    assert tree.ok("find . -name '*-*.json' | wc -l") == "14"


# --- attributes

def test_sizes_are_the_bytes_that_are_read(tree):
    tree.sh("echo '{' > order/1001/commands; echo '{\"typ\":1}' > commands")
    for path in every_file(tree) + moments(tree):
        with open(path, "rb") as f:
            assert os.fstat(f.fileno()).st_size == len(f.read()), path
        assert os.lstat(path).st_size == len(open(path, "rb").read()), path


def test_control_files_have_size_0(tree):
    for scope in ("", "order", "order/1001"):
        assert os.stat(tree.path(scope, "commands")).st_size == 0


def test_the_modes_tell_the_truth(tree):
    def mode(*names):
        return stat.filemode(os.stat(tree.path(*names)).st_mode)
    assert mode() == mode("order") == "drwxr-x---"
    assert mode("order/1001") == mode("order/1001/events") == mode(".esfs") == "dr-xr-x---"
    assert mode("commands") == mode("order/commands") == mode("order/1001/commands") == "-rw-rw----"
    for name in ("log.ndjson", "rejections.ndjson", "order/log.ndjson", "order/1001/version",
                 "order/1001/events.ndjson", "order/1001/events/0000000001-Placed.json", ".esfs/status.json",
                 "order/1001/at/2/events.ndjson"):
        assert mode(name) == "-r--r-----", name
    assert {(os.lstat(p).st_uid, os.lstat(p).st_gid) for p in every_path(tree)} == {(os.geteuid(), os.getegid())}


def test_times_are_those_of_the_events(tree):
    events = tree.events("order/1001")
    for e, name in zip(events, tree.event_files("order/1001")):
        st = os.stat(tree.path("order/1001/events", name))
        assert st.st_mtime_ns == st.st_ctime_ns == lib.event_time_ns(e)
    last = {"order/1001/version": events[-1], "order/1001/events.ndjson": events[-1], "order/1001": events[-1],
            "order/1001/events": events[-1], "order/1001/at/3/events.ndjson": events[2],
            "order/1001/at/2..5/events.ndjson": events[4], "log.ndjson": tree.log_events()[-1],
            "order/log.ndjson": tree.log_events("order")[-1], "item/log.ndjson": tree.log_events("item")[-1]}
    for name, event in last.items():
        st = os.stat(tree.path(name))
        assert st.st_mtime_ns == st.st_ctime_ns == lib.event_time_ns(event), name


def test_the_time_of_the_event_is_the_time_it_was_appended(tree):
    import time
    before = time.time_ns()
    tree.append("order/1001", command())
    after = time.time_ns()
    assert before - 10**6 <= lib.event_time_ns(tree.events("order/1001")[-1]) <= after + 10**6


def test_inode_numbers_are_stable_and_each_files_own(tree):
    def inodes():
        return {p: os.lstat(p).st_ino for p in every_path(tree) + [tree.mnt]}
    first = inodes()
    assert len(set(first.values())) == len(first)
    tree.ok("ls -lR . > /dev/null; find . > /dev/null; cat order/1001/events/* > /dev/null")
    assert inodes() == first
    tree.restart()
    assert inodes() == first
    tree.crash()
    assert inodes() == first
    tree.append("", command(aggregate="order/1001"), command(aggregate="bird/1"))
    assert {p: n for p, n in inodes().items() if p in first} == first


def test_the_many_node_ids_of_commands_are_one_file(tree):
    assert len({os.stat(tree.path("commands")).st_ino for _ in range(50)}) == 1
    with tree.commands() as a, tree.commands() as b:
        assert os.fstat(a.fd).st_ino == os.fstat(b.fd).st_ino
        assert os.path.sameopenfile(a.fd, b.fd)


def test_directories_and_files_have_sane_link_counts(tree):
    assert {os.lstat(p).st_nlink for p in every_path(tree) if os.path.isfile(p)} == {1}
    tree.ok("find . -type d > /dev/null")


def test_df_tells_the_disk_under_the_store(tree):
    ours, disk = os.statvfs(tree.mnt), os.statvfs(tree.store)
    assert ours.f_blocks * ours.f_frsize == disk.f_blocks * disk.f_frsize
    assert abs(ours.f_bavail * ours.f_frsize - disk.f_bavail * disk.f_frsize) < 2 << 30
    assert tree.store in tree.ok("df --output=source . | tail -n 1")
    tree.ok("df -i . && stat -f . && df -h .")


def test_the_mount_is_of_its_own_type(tree):
    assert tree.ok("findmnt -n -o FSTYPE -T . || stat -f -c %T .") in ("fuse.esfs", "fuseblk")


def test_an_event_is_read_at_any_offset(tree):
    path = tree.path("order/1001/events/0000000003-Placed.json")
    whole = open(path, "rb").read()
    fd = os.open(path, os.O_RDONLY)
    try:
        for offset in range(len(whole) + 3):
            assert os.pread(fd, 7, offset) == whole[offset:offset + 7]
        assert os.pread(fd, 100, 1 << 40) == b""
        assert os.lseek(fd, 0, os.SEEK_END) == len(whole)
        with pytest.raises(OSError) as refused:
            os.lseek(fd, -1, os.SEEK_SET)
        assert refused.value.errno == errno.EINVAL
    finally:
        os.close(fd)


def test_logs_and_streams_are_read_at_any_offset(tree):
    tree.append(
        "",
        b"".join(command(f"T{i % 40}", aggregate=f"order/{i % 17}", data={"x": "y" * (i % 300)}) for i in range(3000)))
    picks = random.Random(7)
    for name in ("log.ndjson", "order/log.ndjson", "order/1/events.ndjson", "order/1/at/3..90/events.ndjson"):
        whole = tree.read(name)
        fd = os.open(tree.path(name), os.O_RDONLY)
        try:
            for _ in range(300):
                offset, n = picks.randrange(len(whole) + 50), picks.randrange(1, 5000)
                assert os.pread(fd, n, offset) == whole[offset:offset + n], (name, offset, n)
        finally:
            os.close(fd)
        assert tree.ok(
            f"tail -n 1 {name} | cmp - <(tail -c {len(whole.splitlines(True)[-1])} {name}) && echo same") == "same"


def test_a_log_is_the_same_however_it_is_read(tree):
    tree.append("", numbered(5000, aggregate="order/5"))
    for name in ("log.ndjson", "order/5/events.ndjson", "order/log.ndjson"):
        sums = {tree.ok(f"{how} | sha256sum") for how in (f"cat {name}", f"dd if={name} bs=101 status=none",
                                                          f"dd if={name} bs=4M status=none", f"tail -c +1 {name}",
                                                          f"head -n 1000000 {name}", f"sed '' {name}")}
        assert len(sums) == 1, name
    assert tree.ok("cat order/5/events/* | cmp - order/5/events.ndjson && echo same", timeout=60) == "same"


def test_a_log_is_its_types_logs_merged(tree):
    merged = sorted(tree.lines("order/log.ndjson") + tree.lines("item/log.ndjson"),
                    key=lambda text: lib.strict(text)["position"])
    assert b"".join(merged) == tree.read("log.ndjson")


def test_an_event_may_be_mapped(tree):
    import mmap
    path = tree.path("order/1001/events/0000000003-Placed.json")
    with open(path, "rb") as f, mmap.mmap(f.fileno(), 0, prot=mmap.PROT_READ, flags=mmap.MAP_PRIVATE) as m:
        assert m[:] == f.read()


# --- what cannot be done

EVENT = "order/1001/events/0000000001-Placed.json"
FORBIDDEN_ACTS = {
    "rm an event": f"rm {EVENT}",
    "rm -f an event": f"rm -f {EVENT}",
    "unlink": f"unlink {EVENT}",
    "rm version": "rm -f order/1001/version",
    "rm commands": "rm -f order/1001/commands",
    "rm a log": "rm -f log.ndjson",
    "rm the status": "rm -f .esfs/status.json",
    "rm -rf an aggregate": "rm -rf order/1001",
    "rm -rf a type": "rm -rf item",
    "mv an event": f"mv {EVENT} order/1001/events/x",
    "mv an event away": f"mv {EVENT} {{place}}/x",
    "mv an aggregate": "mv order/1001 order/1002",
    "mv a type": "mv order orders",
    "mv into": "mv {place}/own order/1001/x",
    "mv over": "mv -f {place}/own " + EVENT,
    "mv -n onto itself": "mv -T order/1001 order/0",
    "chmod an event": f"chmod 777 {EVENT}",
    "chmod an aggregate": "chmod 777 order/1001",
    "chmod the root": "chmod 777 .",
    "chmod commands": "chmod 666 commands",
    "chmod -R": "chmod -R a+w .",
    "chown": f"chown 12345 {EVENT}",
    "chgrp": "chgrp 12345 order/1001",
    "truncate an event": f"truncate -s 0 {EVENT}",
    "truncate a log": "truncate -s 10 log.ndjson",
    "truncate version": "truncate -s 0 order/1001/version",
    "grow an event": f"truncate -s 1M {EVENT}",
    "touch an event": f"touch {EVENT}",
    "touch an event's time": f"touch -d 2001-01-01 {EVENT}",
    "touch an aggregate": "touch order/1001",
    "touch the log": "touch -m log.ndjson",
    "touch a new file": "touch order/1001/notes",
    "touch a new event": "touch order/1001/events/0000000013-X.json",
    "a file in the root": "echo x > notes",
    "a file in a type": "echo x > order/notes",
    "a file in .esfs": "echo x > .esfs/x",
    "write to an event": f"echo x > {EVENT}",
    "append to an event": f"echo x >> {EVENT}",
    "write to version": "echo 5 > order/1001/version",
    "append to a log": "echo x >> log.ndjson",
    "write to a stream": "echo x >> order/1001/events.ndjson",
    "write to rejections": ": > rejections.ndjson",
    "write to the past": "echo x >> order/1001/at/3/events.ndjson",
    "dd to an event": f"dd if=/dev/zero of={EVENT} count=1 conv=notrunc",
    "sed -i": f"sed -i s/a/b/ {EVENT}",
    "cp over an event": f"cp {{place}}/own {EVENT}",
    "cp a new file": "cp {place}/own order/1001/",
    "tee": f"echo x | tee {EVENT}",
    "ln": f"ln {EVENT} order/1001/x",
    "ln an event away": f"ln {EVENT} order/1001/events/x",
    "ln -s": "ln -s x order/1001/link",
    "ln -s in the root": "ln -s x link",
    "mkfifo": "mkfifo order/1001/pipe",
    "mknod": "mknod order/1001/null c 1 3",
    "mkdir in an aggregate": "mkdir order/1001/x",
    "mkdir in events": "mkdir order/1001/events/x",
    "mkdir in .esfs": "mkdir .esfs/x",
    "mkdir at": "mkdir order/1001/at",
    "mkdir in at": "mkdir order/1001/at/x",
    "rmdir events": "rmdir order/1001/events",
    "rmdir .esfs": "rmdir .esfs",
    "rmdir at": "rmdir order/1001/at",
    "rmdir a moment": "rmdir order/1001/at/3",
    "fallocate": f"fallocate -l 1M {EVENT}",
    "fallocate commands": "fallocate -l 1M commands",
    "punch a hole": f"fallocate -p -l 10 {EVENT}",
    "truncate commands to something": "truncate -s 10 commands",
    "install": "install {place}/own order/1001/x",
    "rsync into": "rsync {place}/own order/1001/x",
    "patch": "tar xf {place}/own.tar -C order/1001",
    "execute": f"./{EVENT}",
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    """One mount for all that must change nothing."""
    from lib_daemon import Daemon
    place = tmp_path_factory.mktemp("tree")
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log").start()
    daemon.make("order/0")
    daemon.append("", *[command("Placed", aggregate="order/1001", data={"n": i}) for i in range(12)],
                  command("Stocked", aggregate="item/1"))
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


def everything(mount):
    """Attributes and bytes of all that is listed."""
    seen = {}
    for path in [mount.mnt, *every_path(mount)]:
        if "/.esfs/" in path or "rejections" in path:
            continue
        st = os.lstat(path)
        seen[path] = (st.st_mode, st.st_uid, st.st_gid, st.st_ino, st.st_nlink, st.st_size, st.st_mtime_ns,
                      open(path, "rb").read() if stat.S_ISREG(st.st_mode) and not path.endswith("commands") else b"")
    return seen


@pytest.mark.parametrize("act", FORBIDDEN_ACTS)
def test_it_is_refused_and_nothing_changes(shared, place, act):
    script = FORBIDDEN_ACTS[act].replace("{place}", place)
    tool = script.split()[-1 if "tee" in script else 0]
    if tool in ("rsync",):
        lib.need(tool)
    lib.sh("echo own > own; tar cf own.tar own", cwd=place)
    before = everything(shared)
    done = shared.sh(script)
    assert done.rc != 0, done
    assert "not implemented" not in done.err and "not supported" not in done.err, done
    allowed = ["Operation not permitted", "Permission denied", "Read-only file system", "cross-device", "Invalid",
               "File exists", "Directory not empty", "Is a directory"]
    assert any(word in done.err for word in allowed), done
    if act.startswith(
        ("rm", "mv an event", "chmod", "chown", "truncate", "touch", "ln", "write", "append")) and "-rf" not in act:
        assert "Operation not permitted" in done.err, done
    assert everything(shared) == before


CALLS = {
    "unlink": lambda m: os.unlink(m.path(EVENT)),
    "rename": lambda m: os.rename(m.path(EVENT), m.path("order/1001/events/x")),
    "link": lambda m: os.link(m.path(EVENT), m.path("order/1001/x")),
    "symlink": lambda m: os.symlink("x", m.path("order/1001/x")),
    "chmod": lambda m: os.chmod(m.path(EVENT), 0o777),
    "chown": lambda m: os.chown(m.path(EVENT), 1, 1),
    "truncate": lambda m: os.truncate(m.path(EVENT), 0),
    "utime": lambda m: os.utime(m.path(EVENT), ns=(0, 0)),
    "open for writing": lambda m: os.open(m.path(EVENT), os.O_WRONLY),
    "open for both": lambda m: os.open(m.path(EVENT), os.O_RDWR),
    "open and truncate": lambda m: os.open(m.path(EVENT), os.O_RDONLY | os.O_TRUNC),
    "create": lambda m: os.open(m.path("order/1001/x"), os.O_WRONLY | os.O_CREAT),
    "mknod": lambda m: os.mknod(m.path("order/1001/x")),
    "mkfifo": lambda m: os.mkfifo(m.path("order/1001/x")),
    "mkdir": lambda m: os.mkdir(m.path("order/1001/x")),
    "rmdir events": lambda m: os.rmdir(m.path("order/1001/events")),
    "unlink the log": lambda m: os.unlink(m.path("log.ndjson")),
    "truncate the log": lambda m: os.truncate(m.path("log.ndjson"), 0),
    "write version": lambda m: os.open(m.path("order/1001/version"), os.O_WRONLY),
}


@pytest.mark.parametrize("call", CALLS)
def test_the_errno_is_eperm(shared, call):
    before = everything(shared)
    assert lib.error_of(CALLS[call], shared) == "EPERM"
    assert everything(shared) == before


def test_no_tool_is_told_that_a_function_is_not_implemented(shared):
    """Extended attributes, flags, locks, holes, syncs, polls, copies: whatever the answer is, it is not ENOSYS."""
    tools = [
        "getfattr -d -m - .", "getfattr -n user.x commands", "setfattr -n user.x -v 1 commands",
        "setfattr -x user.x " + EVENT, "getfacl .", "setfacl -m u:1:r log.ndjson", "lsattr -d .", "chattr +i " + EVENT,
        "flock commands true", "flock log.ndjson true", "sync log.ndjson", "sync -f .", "sync .", "stat -f .",
        "filefrag " + EVENT, "cp --sparse=always log.ndjson /dev/null", "cp --reflink=always log.ndjson order/x",
        "truncate -s 0 commands", "touch commands", "chmod 600 commands", "test -w .", "test -x log.ndjson",
        "mv order item", "quota", "ls -Z .", "dd if=commands of=/dev/null count=0", "inotifywait -t 1 .",
        "exec 3<log.ndjson; flock -s 3", "timeout 1 tail --pid=1 -f -n 0 version"
    ]
    for tool in tools:
        done = shared.sh(tool)
        assert "not implemented" not in (done.out + done.err).lower(), f"{tool}\n{done}"


def test_no_call_answers_enosys(shared):
    import fcntl
    import select
    libc = ctypes.CDLL(None, use_errno=True)
    files = [shared.path(p) for p in ("", "order", "order/1001", "order/1001/events", "commands", "log.ndjson", EVENT,
                                      "order/1001/version", "order/1001/at/3/events.ndjson", ".esfs/status.json")]
    seen = {}

    def call(name, function, *arguments):
        seen.setdefault(name, set()).add(lib.error_of(function, *arguments))
    for path in files:
        fd = os.open(path, os.O_RDONLY)
        try:
            call("fsync", os.fsync, fd)
            call("fdatasync", os.fdatasync, fd)
            call("lockf", fcntl.lockf, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            call("flock", fcntl.flock, fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
            call("ioctl", fcntl.ioctl, fd, 0x80086601, b"\0" * 8)
            call("seek data", os.lseek, fd, 0, os.SEEK_DATA)
            call("seek hole", os.lseek, fd, 0, os.SEEK_HOLE)
            call("fallocate", os.posix_fallocate, fd, 0, 1)
            call("fadvise", os.posix_fadvise, fd, 0, 0, os.POSIX_FADV_WILLNEED)
            call("fgetxattr", os.getxattr, fd, "user.x")
            call("listxattr", os.listxattr, path)
            call("setxattr", os.setxattr, path, "user.x", b"1")
            call("removexattr", os.removexattr, path, "user.x")
            call("acl", os.getxattr, path, "system.posix_acl_access")
            call("access", os.access, path, os.W_OK)
            select.select([fd], [], [], 0)
            ctypes.set_errno(0)
            libc.syncfs(fd)
            assert ctypes.get_errno() != errno.ENOSYS
            libc.renameat2(-100, path.encode(), -100, shared.path("order/0").encode(), 2)
            assert ctypes.get_errno() != errno.ENOSYS
        finally:
            os.close(fd)
    assert [name for name, errors in seen.items() if "ENOSYS" in errors] == []
    assert seen["fsync"] == {None}


# --- mkdir and rmdir

def test_mkdir_declares_and_rmdir_takes_back(mount):
    mount.ok("mkdir order order/1 order/2 && rmdir order/2")
    assert sorted(set(os.listdir(mount.path("order"))) & {"1", "2"}) == ["1"]
    assert mount.version("order/1") == 0 and mount.events("order/1") == []
    mount.fails("ls order/2", "No such file")
    mount.restart()
    assert mount.version("order/1") == 0
    mount.fails("ls order/2", "No such file")
    mount.crash()
    mount.ok("rmdir order/1 && rmdir order")
    assert "order" not in os.listdir(mount.mnt)
    mount.restart()
    assert "order" not in os.listdir(mount.mnt)
    mount.ok("mkdir -p order/1 order/2")
    assert mount.version("order/1") == mount.version("order/2") == 0


def test_mkdir_and_rmdir_refuse_with_the_usual_errno(tree):
    assert lib.error_of(os.mkdir, tree.path("order")) == "EEXIST"
    assert lib.error_of(os.mkdir, tree.path("order/1001")) == "EEXIST"
    assert lib.error_of(os.mkdir, tree.path("nope/1")) == "ENOENT"
    assert lib.error_of(os.rmdir, tree.path("nope")) == "ENOENT"
    assert lib.error_of(os.rmdir, tree.path("order/nope")) == "ENOENT"
    assert lib.error_of(os.rmdir, tree.path("order")) == "ENOTEMPTY"
    assert lib.error_of(os.rmdir, tree.path("order/1001")) == "ENOTEMPTY"
    assert lib.error_of(os.rmdir, tree.path("order/commands")) in ("ENOTDIR", "EPERM")
    assert lib.error_of(os.rmdir, tree.path("item")) == "ENOTEMPTY"
    assert tree.ok("mkdir -p order/1001") == ""


def test_what_was_removed_and_made_again_begins_anew(mount):
    for n in range(3):
        mount.ok("mkdir -p order/1 && rmdir order/1")
    mount.append("", command(aggregate="order/1"))
    assert mount.version("order/1") == 1
    mount.fails("rmdir order/1")
    assert mount.version("order/1") == 1


def test_a_descriptor_of_a_removed_aggregate_fails_cleanly(mount):
    mount.make("order/1")
    with mount.commands("order/1") as c:
        os.rmdir(mount.path("order/1"))
        said = lib.error_of(c.write, command())
        assert said in (None, "ESTALE", "ENOENT")
    assert os.path.exists(mount.path("order/1")) == (said is None), "either it makes it anew, or nothing happened"
    mount.restart()
    assert os.path.exists(mount.path("order/1")) == (said is None)


def test_a_removed_directory_that_is_open_is_stale(mount):
    mount.make("order/1")
    fd = os.open(mount.path("order/1"), os.O_RDONLY)
    try:
        os.rmdir(mount.path("order/1"))
        os.mkdir(mount.path("order/1"))
        assert lib.error_of(os.stat, "version") is not None
        assert lib.error_of(lambda: os.stat("version", dir_fd=fd)) in ("ESTALE", "ENOENT")
    finally:
        os.close(fd)
    assert mount.version("order/1") == 0


def test_thousands_of_aggregates_are_declared_and_removed(mount):
    n = lib.size(3000)
    mount.ok(f"mkdir order && cd order && seq {n} | xargs mkdir", timeout=100)
    assert len(os.listdir(mount.path("order"))) >= n
    mount.ok("cd order && ls -d [0-9]* | xargs rmdir && cd .. && rmdir order", timeout=100)
    assert "order" not in os.listdir(mount.mnt)


# --- large directories

def names_of(mount, directory, system=("commands", "log.ndjson", "rejections.ndjson")):
    return [n for n in os.listdir(mount.path(directory)) if n not in system]


@pytest.fixture
def large(mount):
    """20,000 aggregates of a type, and one of 20,000 events."""
    mount.n = lib.size(20_000)
    mount.append("", *(command(aggregate=f"many/{i}") for i in range(mount.n)))
    mount.append("", numbered(mount.n, aggregate="order/1"))
    return mount


def test_each_of_20_000_aggregates_is_listed_once(large):
    for _ in range(2):
        assert sorted(names_of(large, "many"), key=int) == [str(i) for i in range(large.n)]
    assert large.ok("ls -U many | wc -l") == large.ok("ls many | wc -l") == str(large.n + 3)
    assert large.ok("ls -l many | tail -n +2 | wc -l", timeout=60) == str(large.n + 3)
    large.restart()
    assert sorted(names_of(large, "many"), key=int) == [str(i) for i in range(large.n)]


def test_each_of_20_000_events_is_listed_once(large):
    expected = [f"{n:010}-A.json" for n in range(1, large.n + 1)]
    for _ in range(2):
        assert os.listdir(large.path("order/1/events")) == expected
    assert large.ok("find order/1/events -type f -size +0 | wc -l", timeout=60) == str(large.n)
    large.restart()
    assert os.listdir(large.path("order/1/events")) == expected


def test_listing_while_appending_shows_each_once_and_all_that_was_there(large):
    stop, failed = threading.Event(), []

    def write():
        try:
            with large.commands("", os.O_WRONLY) as c:
                n = large.n
                while not stop.is_set():
                    c.write_all(b"".join(
                        command(aggregate=f"many/{n + i}") + command(aggregate="order/1") for i in range(50)))
                    n += 50
        except OSError as e:
            failed.append(e)
    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(6):
            many, events = names_of(large, "many"), os.listdir(large.path("order/1/events"))
            assert len(set(many)) == len(many) and {str(i) for i in range(large.n)} <= set(many)
            assert events[:large.n] == [f"{n:010}-A.json" for n in range(1, large.n + 1)]
            assert events == sorted(events) and len(set(events)) == len(events)
            assert int(events[-1][:10]) == len(events), "no gap at the end"
    finally:
        stop.set()
        writer.join()
    assert not failed


class Dirent(ctypes.Structure):
    _fields_ = [("d_ino", ctypes.c_uint64), ("d_off", ctypes.c_int64), ("d_reclen", ctypes.c_uint16),
                ("d_type", ctypes.c_uint8), ("d_name", ctypes.c_char * 256)]


class Stream:
    """opendir(3) and what goes with it."""

    def __init__(self, path):
        self.c = ctypes.CDLL(None, use_errno=True)
        self.c.opendir.restype = ctypes.c_void_p
        self.c.readdir.restype = ctypes.POINTER(Dirent)
        self.c.telldir.restype = ctypes.c_long
        for name in ("readdir", "telldir", "closedir", "rewinddir"):
            getattr(self.c, name).argtypes = [ctypes.c_void_p]
        self.c.seekdir.argtypes = [ctypes.c_void_p, ctypes.c_long]
        self.dir = self.c.opendir(os.fsencode(path))
        assert self.dir

    def next(self):
        entry = self.c.readdir(self.dir)
        return entry.contents.d_name if entry else None

    def tell(self):
        return self.c.telldir(self.dir)

    def seek(self, offset):
        self.c.seekdir(self.dir, offset)

    def close(self):
        self.c.closedir(self.dir)


@pytest.mark.parametrize("directory", ["many", "order/1/events", "."])
def test_seekdir_finds_any_earlier_place_again(large, directory):
    large.append("", *(command(aggregate=f"type{i}/1") for i in range(300)))
    stream = Stream(large.path(directory))
    try:
        places = []
        while True:
            offset, name = stream.tell(), stream.next()
            places.append((offset, name))
            if name is None:
                break
        offsets = [offset for offset, _ in places[1:]]
        assert len(set(offsets)) == len(offsets) and min(offsets) > 0 and max(offsets) < 1 << 63
        picks = random.Random(3)
        for _ in range(400):
            i = picks.randrange(len(places))
            stream.seek(places[i][0])
            for _, name in places[i:i + 3]:
                assert stream.next() == name
        large.append("", command(aggregate="many/new"), command(aggregate="order/1"), command(aggregate="newtype/1"))
        for i in (0, 5, len(places) // 2):
            stream.seek(places[i][0])
            assert stream.next() == places[i][1], "also after something was added"
    finally:
        stream.close()


def test_seekdir_copes_with_what_was_removed(mount):
    for i in range(200):
        mount.make(f"order/{i}")
    stream = Stream(mount.path("order"))
    try:
        places = []
        while (name := stream.next()) is not None:
            places.append((stream.tell(), name))
        numbers = [(o, n) for o, n in places if n.isdigit()]
        for _, name in numbers[50:150]:
            os.rmdir(mount.path("order", name.decode()))
        stream.seek(numbers[60][0])
        rest = []
        while (name := stream.next()) is not None:
            rest.append(name)
        assert [n for n in rest if n.isdigit()] == [n for _, n in numbers[150:]]
    finally:
        stream.close()


def test_a_deep_find_and_grep_end(tree):
    assert tree.ok("grep -rl Placed order/1001/events | wc -l") == "12"
    tree.ok("grep -r nothing-like-this . ; test $? = 1")
    tree.ok("find . -type f -not -name commands -exec cat {} + > /dev/null")
    tree.ok("tar cf /dev/null .; tar cf - . | tar tf - > /dev/null")


# --- the files of .esfs

def test_the_status_and_configuration_are_json(tree):
    status, config = tree.status(), lib.strict(tree.read(".esfs/config.json"))
    assert status["state"] == "ok" and status["position"] == tree.log_events()[-1]["position"]
    assert (config["durability"], config["max_command"], config["read_only"]) == ("commit", 1 << 20, False)
    assert config["store"] == tree.store
    tree.append("order/1001", command())
    assert int(tree.status()["position"], 16) == int(status["position"], 16) + 1
    assert tree.lines(".esfs/errors.ndjson") == []
