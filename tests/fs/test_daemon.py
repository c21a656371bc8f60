"""The daemon as a program: starting, refusing to start, stopping, and what surrounds it."""

import contextlib
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import threading

import pytest

import lib
from lib import command
from lib_daemon import Daemon, is_mounted, pause, wait_for_process_end


def pid_of(store):
    return int(open(os.path.join(store, "lock")).read())


# --- one at a time

def test_a_second_mount_is_refused_and_names_the_first(mount, daemons):
    second = daemons(store=mount.store)
    said = second.refused()
    assert str(mount.pid) in said.err and mount.store in said.err
    mount.append("", command(aggregate="order/1"))
    assert mount.version("order/1") == 1


def test_no_mount_hides_another(mount, place):
    other = os.path.join(place, "other")
    said = lib.run([lib.esfs(), other, mount.mnt])
    assert said.rc == 1 and f"{mount.mnt}: {mount.store} is mounted there" in said.err, said
    assert not os.path.exists(other)
    mount.append("", command(aggregate="order/1"))
    assert mount.version("order/1") == 1


def test_tools_that_write_are_refused_while_it_is_mounted(mount):
    mount.append("", command(aggregate="order/1"))
    for verb in ("rebuild", "verify", "stat", "cat"):
        done = lib.run([lib.esfsctl(), verb, mount.store])
        if verb == "rebuild" or done.rc != 0:
            assert done.rc == 1 and str(mount.pid) in done.err, f"{verb}: {done}"
    assert mount.version("order/1") == 1


def test_a_store_is_free_again_after_a_kill(mount, daemons):
    mount.append("", command(aggregate="order/1"))
    mount.kill9()
    assert daemons(store=mount.store).start().version("order/1") == 1


def test_two_stores_live_side_by_side(daemons):
    a, b = daemons().start(), daemons().start()
    a.append("", command("A", aggregate="order/1"))
    b.append("", command("B", aggregate="order/1"))
    assert (a.events("order/1")[0]["type"], b.events("order/1")[0]["type"]) == ("A", "B")
    assert a.events("order/1")[0]["id"] != b.events("order/1")[0]["id"]


# --- options


@pytest.mark.parametrize("option", [
    "nonsense", "nonsense=1", "durability=maybe", "durability", "durability=", "max_command=abc", "max_command=0",
    "max_command=-1", "max_command=1G", "max_command=1000M", "max_command=", "loglevel=loud", "domian=x", "ro=1", "Ro"
])
def test_a_wrong_option_is_named(daemons, option):
    daemon = daemons(options=["rw", option, "nosuid"])
    said = daemon.refused()
    assert option.split("=")[0] in said.err and (option.partition("=")[2] or option) in said.err
    assert not os.path.exists(daemon.store), "nothing was made"


@pytest.mark.parametrize("option, meant", [
    ("domain", "DIR"), ("durability", "commit|fsync|os"), ("loglevel", "LEVEL"), ("max_command", "SIZE"),
    ("snapshot_every", "N"), ("states", "SIZE"), ("kafka", "HOST:PORT"), ("fsname", "VALUE"), ("max_read", "VALUE")])
def test_an_option_without_its_value_says_what_is_meant(daemons, option, meant):
    assert f"esfs: {option}: {option}={meant} is meant" in daemons(options=[option]).refused().err


@pytest.mark.parametrize(
    "options", [["rw", "nosuid", "nodev", "noexec", "noatime"], ["durability=fsync", "max_command=2M"],
                ["_netdev", "nofail", "noauto", "user", "x-systemd.automount", "defaults"], ["max_command=64M"],
                ["max_command=1048576"], ["loglevel=debug"], ["max_command=100K", "async"]])
def test_options_of_fstab_and_its_own_are_taken(daemons, options):
    daemon = daemons(options=options).start()
    daemon.append("", command(aggregate="order/1"))
    daemon.restart()
    assert daemon.version("order/1") == 1


def test_the_configuration_shows_the_options(daemons):
    daemon = daemons(options=["durability=os", "max_command=4K"]).start()
    config = lib.strict(daemon.read(".esfs/config.json"))
    assert (config["durability"], config["max_command"]) == ("os", 4096)


@pytest.mark.parametrize("argv", [[], ["only-a-store"], ["a", "b", "c"], ["--nonsense", "a", "b"], ["a", "b", "-o"]])
def test_wrong_arguments_are_told(place, argv):
    done = lib.run([lib.esfs(), *argv], cwd=place)
    assert done.rc != 0 and len(done.err) > 10
    assert os.listdir(place) == []


def test_help_and_version(place):
    assert "durability" in lib.run([lib.esfs(), "--help"], cwd=place).out
    assert re.fullmatch(r"esfs \d.*\n", lib.run([lib.esfs(), "--version"], cwd=place).out)


def test_the_tool_tells_how_it_is_used(place):
    for argv in ([], ["nonsense"], ["verify"], ["verify", "no/such/store"]):
        done = lib.run([lib.esfsctl(), *argv], cwd=place)
        assert done.rc != 0 and done.err, argv
    assert os.listdir(place) == []


def test_the_tool_counts_one_as_one(mount):
    mount.append("", command(aggregate="order/1"))
    mount.stop()
    assert "sound: 1 event in 1 block\n" in mount.verify().out
    assert "rebuilt from 1 event in" in lib.run([lib.esfsctl(), "rebuild", mount.store]).out
    mount.start().append("", command(aggregate="order/1"))
    mount.stop()
    assert "sound: 2 events in 2 blocks\n" in mount.verify().out


def test_relative_paths_are_those_of_the_caller(place):
    os.mkdir(os.path.join(place, "mnt"))
    done = lib.run([lib.esfs(), "store", "mnt"], cwd=place)
    assert done.rc == 0, done
    try:
        assert is_mounted(os.path.join(place, "mnt"))
        pid = pid_of(os.path.join(place, "store"))
    finally:
        lib.run(["fusermount3", "-u", os.path.join(place, "mnt")])
    wait_for_process_end(pid)


# --- what is no store, and what is no mountpoint

def refuses_to_touch(daemons, store, *words):
    """Neither mount nor verify nor a byte written."""
    def look():
        if not os.path.isdir(store):
            return os.path.exists(store) and open(store, "rb").read()
        return {os.path.join(t, f): open(os.path.join(t, f), "rb").read() for t, _, fs in os.walk(store) for f in fs}
    before = look()
    said = daemons(store=store).refused()
    for word in (os.path.basename(store), *words):
        assert word in said.err
    done = lib.run([lib.esfsctl(), "verify", store])
    assert done.rc == 1 and done.err, done
    assert look() == before


def test_a_file_is_no_store(daemons, place):
    store = os.path.join(place, "file")
    with open(store, "w") as f:
        f.write("hello\n")
    refuses_to_touch(daemons, store, "not a directory")


def test_a_directory_of_somebody_elses_is_no_store(daemons, place):
    store = os.path.join(place, "home")
    os.mkdir(store)
    with open(os.path.join(store, "thesis.txt"), "w") as f:
        f.write("years of work\n")
    refuses_to_touch(daemons, store, "not an esfs store")


@pytest.mark.parametrize("below", ["", "db"])
def test_another_programs_rocksdb_is_no_store(daemons, place, below):
    store = os.path.join(place, "other")
    os.mkdir(store)
    done = lib.run([lib.compiled("otherdb.c", "-lrocksdb"), os.path.join(store, below)])
    assert done.rc == 0, done
    refuses_to_touch(daemons, store, "not an esfs store")


@pytest.mark.parametrize("change, word", [(lambda t: re.sub(rb"format \d+", b"format 99", t), "99"),
                                          (lambda t: b"", "format"), (lambda t: b"\0" * len(t), "format"),
                                          (lambda t: t[:20], "format"), (lambda t: t[:-1], "format"),
                                          (lambda t: t + b"x", "format"),
                                          (lambda t: t.replace(b"id ", b"id x"), "format"),
                                          (lambda t: b"another program's file\n", "format")])
def test_a_store_of_another_format_is_refused(mount, daemons, change, word):
    mount.append("", command(aggregate="order/1"))
    mount.stop()
    path = os.path.join(mount.store, "format")
    whole = open(path, "rb").read()
    with open(path, "wb") as f:
        f.write(change(whole))
    refuses_to_touch(daemons, mount.store, word)
    with open(path, "wb") as f:
        f.write(whole)
    assert mount.start().version("order/1") == 1


def test_a_store_without_its_format_file_is_refused(mount, daemons):
    mount.append("", command(aggregate="order/1"))
    mount.stop()
    os.rename(os.path.join(mount.store, "format"), os.path.join(mount.store, "format.kept"))
    refuses_to_touch(daemons, mount.store, "format")


def test_an_empty_directory_becomes_a_store(daemons, place):
    os.makedirs(os.path.join(place, "store"))
    os.makedirs(os.path.join(place, "fs/lost+found"))
    for store in ("store", "fs"):
        daemon = daemons(store=os.path.join(place, store)).start()
        daemon.append("", command(aggregate="order/1"))
        assert daemon.version("order/1") == 1


def test_a_store_that_was_killed_while_it_was_made_is_made_again(daemons):
    """kill -9 at any moment of the first start."""
    for i in range(lib.size(15, 4)):
        daemon = daemons()
        daemon.spawn()
        pause(i * 0.004 * lib.SLOW)
        daemon.kill9()
        daemon.start()
        daemon.append("", command(aggregate="order/1"))
        daemon.stop()


def test_a_missing_parent_or_mountpoint_is_told(place):
    def said(store, mnt):
        done = lib.run([lib.esfs(), os.path.join(place, store), os.path.join(place, mnt), "-f"], cwd=place)
        assert done.rc != 0
        return done.err
    os.mkdir(os.path.join(place, "mnt"))
    assert "no/such/store" in said("no/such/store", "mnt")
    assert "no-mnt" in said("store", "no-mnt")
    assert "/mnt/store: is below the mountpoint" in said("mnt/store", "mnt")
    assert "/mnt: is the mountpoint itself" in said("mnt", "mnt")
    assert os.listdir(os.path.join(place, "mnt")) == []


def test_a_mountpoint_that_is_a_file_is_refused(place):
    mnt = os.path.join(place, "file")
    with open(mnt, "w"):
        pass
    with lib.running([lib.esfs(), os.path.join(place, "store"), mnt, "-f"], stderr=subprocess.PIPE) as process:
        try:
            lib.wait_until(lambda: process.poll() is not None or is_mounted(mnt), 20, "an answer")
            assert not is_mounted(mnt), "a directory was mounted over a file"
            assert process.returncode == 1 and mnt.encode() in process.stderr.read()
        finally:
            if is_mounted(mnt):
                subprocess.run(["umount", "-l", mnt], check=False)


def test_a_dead_mount_in_the_way_is_told(daemons):
    daemon = daemons().start()
    daemon.process.kill()
    daemon.process.wait(10)
    daemon.process = None
    done = lib.run([lib.esfs(), daemon.store, daemon.mnt, "-f"])
    assert done.rc != 0 and daemon.mnt in done.err and "fusermount3 -u" in done.err
    daemon.detach()
    daemon.start()


def test_a_mountpoint_that_is_not_empty_is_refused(daemons):
    """Somebody wrote to `commands` while nothing was mounted there."""
    daemon = daemons()
    os.makedirs(daemon.mnt)
    with open(os.path.join(daemon.mnt, "commands"), "wb") as f:
        f.write(command(aggregate="order/1"))
    said = daemon.refused()
    assert f"{daemon.mnt}: is not empty: a mount would hide what is in it (-o nonempty mounts all the same)" in said.err
    assert not os.path.exists(daemon.store), "nothing was made"
    daemon.options = ["nonempty", "noatime"]
    daemon.start()
    assert daemon.read("commands") != command(aggregate="order/1")
    daemon.append("", command(aggregate="order/1"))
    daemon.stop()
    os.remove(os.path.join(daemon.mnt, "commands"))
    daemon.options = []
    assert daemon.start().version("order/1") == 1


def test_a_mountpoint_with_lost_and_found_is_empty(daemons):
    daemon = daemons()
    os.makedirs(os.path.join(daemon.mnt, "lost+found"))
    daemon.start()


def test_a_mountpoint_that_may_not_be_read_is_mounted_over(place):
    lib.need_root()
    lib.need("setpriv")
    store, mnt = os.path.join(place, "store"), os.path.join(place, "mnt")
    for path in place, store, mnt:
        os.makedirs(path, exist_ok=True)
        os.chown(path, 65534, 65534)
    with open(os.path.join(mnt, "kept"), "w"):
        pass
    os.chmod(mnt, 0o300)
    done = lib.run(["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", lib.esfs(), store, mnt], cwd="/")
    if "/dev/fuse" in done.err:
        pytest.skip(f"others may not mount here: {done.err}")
    assert done.rc == 0, done
    pid = pid_of(store)
    assert is_mounted(mnt)
    assert lib.run(["umount", mnt]).rc == 0
    wait_for_process_end(pid)


def test_an_immutable_mountpoint_takes_no_files_and_is_mounted_over(daemons):
    lib.need_root()
    lib.need("chattr")
    daemon = daemons()
    os.makedirs(daemon.mnt)
    done = lib.run(["chattr", "+i", daemon.mnt])
    if done.rc != 0:
        pytest.skip(f"the file system has no such attribute: {done.err}")
    try:
        daemon.fails("""echo '{"type":"A","aggregate":"order/1"}' > commands""", "not permitted")
        daemon.start()
        daemon.append("", command(aggregate="order/1"))
        assert daemon.version("order/1") == 1
        daemon.stop()
    finally:
        daemon.kill9()
        assert lib.run(["chattr", "-i", daemon.mnt]).rc == 0


def test_ro_needs_a_store_and_writes_nothing(daemons):
    daemon = daemons(options=["ro"])
    assert "No such file" in daemon.refused().err
    assert not os.path.exists(daemon.store)
    daemon.options = []
    daemon.start()
    daemon.append("", *[command(aggregate="order/1")] * 100)
    seen = daemon.read("log.ndjson")
    for end in (daemon.stop, daemon.kill9):
        end()
        def files():
            return {
                os.path.join(t, f): open(os.path.join(t, f), "rb").read()
                for t, _, fs in os.walk(daemon.store)
                for f in fs
            }
        before = files()
        daemon.options = ["ro"]
        daemon.start()
        assert daemon.read("log.ndjson") == seen and daemon.version("order/1") == 100
        for act in ("""echo '{"type":"A"}' > commands""", "mkdir order/2", "rmdir order", "rm order/1/version",
                    "touch x"):
            daemon.fails(act, "ead-only file system")
        assert daemon.status()["state"] == "read-only"
        daemon.stop()
        assert files() == before
        daemon.options = []
        daemon.start()


# --- readiness

def test_in_the_background_it_returns_when_it_is_mounted(place):
    store, mnt = os.path.join(place, "store"), os.path.join(place, "mnt")
    os.mkdir(mnt)
    for _ in range(3):
        done = lib.run([lib.esfs(), store, mnt], cwd=place)
        assert done.rc == 0 and done.err == "", done
        try:
            assert is_mounted(mnt)
            pid = pid_of(store)
            lib.sh("""mkdir -p order/1; echo '{"type":"A"}' > order/1/commands""", cwd=mnt)
            assert os.readlink(f"/proc/{pid}/cwd") == "/" and os.readlink(f"/proc/{pid}/fd/0") == "/dev/null"
            assert os.getsid(pid) != os.getsid(0)
        finally:
            assert lib.run(["fusermount3", "-u", mnt]).rc == 0
        wait_for_process_end(pid)
    daemon = Daemon(store, mnt, os.path.join(place, "log")).start()
    assert daemon.version("order/1") == 3
    assert daemon.put_away() is None


def test_in_the_background_a_failure_is_told_and_returned(place):
    mnt = os.path.join(place, "mnt")
    os.mkdir(mnt)
    with open(os.path.join(place, "file"), "w"):
        pass
    done = lib.run([lib.esfs(), os.path.join(place, "file"), mnt])
    assert done.rc != 0 and "file" in done.err and not is_mounted(mnt)
    done = lib.run([lib.esfs(), os.path.join(place, "store"), mnt, "-o", "nonsense"])
    assert done.rc != 0 and "nonsense" in done.err and not is_mounted(mnt)


@pytest.mark.parametrize("abstract", [False, True])
def test_systemd_is_told_when_it_is_mounted_and_when_it_stops(daemons, place, abstract):
    path = os.path.join(place, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind("\0" + path if abstract else path)
        s.settimeout(lib.limit(20))
        daemon = daemons(env={"NOTIFY_SOCKET": "@" + path if abstract else path})
        daemon.spawn()
        assert "READY=1" in s.recv(4096).decode().split("\n")
        assert is_mounted(daemon.mnt), "not before it is mounted"
        assert os.listdir(daemon.mnt)
        daemon.append("", command(aggregate="order/1"))
        daemon.term()
        assert "STOPPING=1" in s.recv(4096).decode().split("\n")


def test_systemd_is_not_told_of_a_start_that_failed(daemons, place):
    path = os.path.join(place, "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s:
        s.bind(path)
        s.setblocking(False)
        daemons(env={"NOTIFY_SOCKET": path}, options=["nonsense"]).refused()
        with pytest.raises(BlockingIOError):
            s.recv(4096)


# --- as mount(8) calls it

def as_installed(place, script):
    """Runs the script with esfs in /usr/local/sbin: in a mount namespace of its own, so that nobody else sees it."""
    lib.need_root()
    lib.need("unshare", "mount.fuse3", "jq")
    programs, store, mnt = (os.path.join(place, n) for n in ("programs", "store", "mnt"))
    for path in (programs, mnt):
        os.mkdir(path)
    shutil.copy(lib.esfs(), os.path.join(programs, "esfs"))
    done = lib.run(["unshare", "-m", "bash", "-ec", f"""
        mount --bind {programs} /usr/local/sbin
        cd {place}
        {script.format(store=store, mnt=mnt)}
        findmnt -n -o FSTYPE {mnt}
        (cd {mnt}; mkdir order; echo '{{"type":"A","aggregate":"order/1"}}' > commands; cat order/1/version)
        jq -r .durability {mnt}/.esfs/config.json
        pid=$(cat {store}/lock)
        umount {mnt}
        while [ -e /proc/$pid ]; do sleep 0.01; done"""], timeout=30)
    assert done.rc == 0, done
    return done.out.split()


@pytest.mark.parametrize("how", [
    "mount -t fuse.esfs {store} {mnt} -o durability=os,noatime", "mount -t fuse esfs#{store} {mnt} -o durability=os",
    "mount.fuse3 {store} {mnt} -t esfs -o rw,durability=os,_netdev", "mount.fuse3 esfs#{store} {mnt} -o durability=os",
    "touch {mnt}/x; mount.fuse3 {store} {mnt} -t esfs -o durability=os,nonempty"
])
def test_mount_8_and_mount_fuse3_call_it(place, how):
    assert as_installed(place, how) == ["fuse.esfs", "1", "os"]


def test_fstab_mounts_it(place):
    assert as_installed(place, """
        echo "{store} {mnt} fuse.esfs durability=os,allow_other,noauto,nofail,x-systemd.requires=/ 0 0" > fstab
        mount -T fstab {mnt}""") == ["fuse.esfs", "1", "os"]


# --- stopping

@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_unmounts_and_exits_with_0(mount, sig):
    mount.append("", command(aggregate="order/1"))
    mount.process.send_signal(sig)
    mount.expect_clean_exit()
    assert mount.start().version("order/1") == 1


def test_a_stopped_store_is_sound_and_has_everything(mount):
    mount.append("", *[command(aggregate="order/1")] * 100)
    mount.stop()
    done = mount.verify()
    assert done.rc == 0, done
    assert mount.start().version("order/1") == 100


class Load:
    """Threads that append to aggregates of their own until the mount goes away, counting what was acknowledged."""

    def __init__(self, mount, n=6):
        self.mount, self.n = mount, n
        self.acknowledged = [0] * n
        self.errors = set()
        self.threads = [threading.Thread(target=self.write, args=(i,)) for i in range(n)]

    def write(self, i):
        text = command(aggregate=f"w/{i}") * 20
        with contextlib.suppress(OSError), self.mount.commands("", os.O_WRONLY) as c:
            try:
                while True:
                    c.write_all(text)
                    self.acknowledged[i] += 20
            except OSError as e:
                self.errors.add(e.errno)

    def __enter__(self):
        for t in self.threads:
            t.start()
        lib.wait_until(lambda: all(self.acknowledged), 20, "every writer writes")
        return self

    def __exit__(self, *_):
        for t in self.threads:
            t.join()

    def check(self):
        for i, n in enumerate(self.acknowledged):
            assert n <= self.mount.version(f"w/{i}") <= n + 20


def test_sigterm_under_load_finishes_what_was_accepted(mount):
    with Load(mount) as load:
        pause(0.5)
        mount.process.send_signal(signal.SIGTERM)
        rc = mount.wait()
    assert rc == 0, mount.log()
    mount.detach()
    done = mount.verify()
    assert done.rc == 0, done
    mount.start()
    load.check()


def test_an_unmount_under_load_is_refused_as_busy_and_nothing_happens(mount):
    with Load(mount) as load:
        done = lib.run(["fusermount3", "-u", mount.mnt])
        assert done.rc != 0 and "busy" in done.err.lower()
        before = list(load.acknowledged)
        lib.wait_until(lambda: all(a > b for a, b in zip(load.acknowledged, before)), 20, "the writers go on")
        mount.process.send_signal(signal.SIGTERM)
        assert mount.wait() == 0
    mount.detach()
    mount.start()
    load.check()


def test_a_lazy_unmount_lets_open_descriptors_finish(mount):
    mount.make("order/1")
    with mount.commands("order/1") as c:
        c.write(command())
        assert lib.run(["fusermount3", "-uz", mount.mnt]).rc == 0
        assert not is_mounted(mount.mnt)
        c.write(command())
        assert [r["version"] for r in c.results()] == [1, 2]
        assert mount.alive()
    mount.expect_clean_exit()
    assert mount.start().version("order/1") == 2


def test_sigterm_with_open_descriptors_does_not_hang(mount):
    mount.make("order/1")
    with mount.commands("order/1") as c, open(mount.path("log.ndjson"), "rb"):
        c.write(command())
        c.write(b'{"type":')
        mount.process.send_signal(signal.SIGTERM)
        assert mount.wait() == 0
        assert lib.error_of(c.write, command()) in ("ENOTCONN", "ECONNABORTED")
        mount.detach()
        with contextlib.suppress(OSError):
            c.close()
    assert mount.start().version("order/1") == 1


def test_sigterm_while_somebody_waits_for_a_lock_does_not_hang(mount):
    with lib.running(["flock", "commands", "sh", "-c", "echo held; exec sleep 60"],
                     cwd=mount.mnt,
                     stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with lib.running(["flock", "commands", "true"], cwd=mount.mnt) as waiter:
            lib.wait_until(lambda: open(f"/proc/{waiter.pid}/comm").read() == "flock\n", what="it runs")
            pause(0.1)
            mount.process.send_signal(signal.SIGTERM)
            assert mount.wait() == 0
            waiter.wait(lib.limit(10))
    mount.detach()
    mount.start()


# --- a lack of things

def test_out_of_file_descriptors_it_does_not_crash_and_recovers(mount):
    """It has what it needs to open new table files and logs taken away under load, and given back."""
    mount.make("order/1")
    text = command("A", data={"x": "y" * 800}) * 400
    acknowledged = 0
    with mount.commands("order/1", os.O_WRONLY) as c:
        c.write_all(text)
        acknowledged += 400
    now = len(os.listdir(f"/proc/{mount.pid}/fd"))
    whole = resource.prlimit(mount.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, (now, whole[1]))
    failed = None
    with contextlib.suppress(OSError), mount.commands("order/1", os.O_WRONLY) as c:
        try:
            for _ in range(lib.size(900, 60)):  # 280 MB, or 19
                c.write_all(text)
                acknowledged += 400
        except OSError as e:
            failed = e
    assert mount.alive(), mount.log()
    assert mount.version("order/1") >= acknowledged
    resource.prlimit(mount.pid, resource.RLIMIT_NOFILE, whole)
    mount.log_path += ".2"
    if failed:
        assert mount.status()["state"] != "ok", f"{failed}, and it does not say why"
        mount.process.send_signal(signal.SIGTERM)
        mount.wait()
        mount.detach()
        mount.start()
    mount.append("order/1", command("Last"))
    n = mount.version("order/1")
    assert n > acknowledged and mount.events("order/1")[-1]["type"] == "Last"
    mount.restart()
    assert mount.version("order/1") == n and len(mount.lines("log.ndjson")) == n
    mount.stop()
    assert mount.verify(timeout=100).rc == 0
    mount.start()


@pytest.mark.parametrize("n", [8, 16, 24, 40])
def test_with_few_file_descriptors_it_starts_or_says_why_not(daemons, n):
    daemon = daemons(prefix=["prlimit", f"--nofile={n}:{n}"])
    daemon.spawn()
    lib.wait_until(lambda: daemon.process.poll() is not None or is_mounted(daemon.mnt), 20, "an answer")
    if daemon.process.poll() is None:
        daemon.append("", command(aggregate="order/1"))
        daemon.stop()
    else:
        assert daemon.process.returncode > 0 and len(daemon.log()) > 20, daemon.log()
        daemon.process = None
    daemon.prefix = []
    daemon.start()


def test_many_open_files_of_clients_cost_the_daemon_no_descriptors(mount):
    mount.append("", *[command(aggregate="order/1")] * 50)
    before = len(os.listdir(f"/proc/{mount.pid}/fd"))
    fds = [os.open(mount.path(f"order/1/events/{1 + n % 50:010}-A.json"), os.O_RDONLY) for n in range(400)]
    fds += [os.open(mount.path("order/1/commands"), os.O_RDWR) for _ in range(200)]
    try:
        assert len(os.listdir(f"/proc/{mount.pid}/fd")) <= before + 10
    finally:
        for fd in fds:
            os.close(fd)


def test_without_fusermount3_in_path_root_still_mounts(daemons):
    lib.need_root()
    daemon = daemons(env={"PATH": "/nonexistent"}).start()
    daemon.append("", command(aggregate="order/1"))
    assert daemon.version("order/1") == 1
