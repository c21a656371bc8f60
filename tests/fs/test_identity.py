"""Who a command is from, and who may do what. Other users are tried as root, which can become them."""

import contextlib
import grp
import os
import pwd
import stat

import pytest

import lib
from lib import command
from lib_user import user

NOBODY, NOGROUP = pwd.getpwnam("nobody").pw_uid, grp.getgrnam("nogroup").gr_gid
STRANGER = 54321


@pytest.fixture(autouse=True)
def as_root():
    lib.need_root()


@pytest.fixture
def shared(daemons):
    """Mounted by root for others too; order/1 has one event of root's."""
    daemon = daemons(options=["allow_other"]).start()
    daemon.append("", command(aggregate="order/1"))
    return daemon


def as_nobody(mount, script, *options):
    lib.need("setpriv")
    become = ["setpriv", f"--reuid={NOBODY}", *(options or (f"--regid={NOGROUP}", "--clear-groups"))]
    return lib.run([*become, "bash", "-c", f"cd {mount.mnt} && {script}"], cwd="/")


# --- whose command it is

def test_an_event_tells_the_uid_of_who_opened(shared):
    done = as_nobody(shared, """echo '{"type":"A"}' > order/1/commands""", "--regid=0", "--clear-groups")
    assert done.rc == 0, done
    assert [e["uid"] for e in shared.events("order/1")] == [0, NOBODY]


def test_a_descriptor_of_root_stays_roots_when_another_writes(shared):
    with shared.commands("order/1") as c:
        with user(NOBODY, NOGROUP):
            c.write(command())
            assert lib.error_of(c.write, command(expectedVersion=9)) == "ESTALE"
        assert [r["status"] for r in c.results()] == ["appended", "rejected"]
    assert shared.events("order/1")[-1]["uid"] == 0
    assert shared.rejections()[-1]["uid"] == 0


def test_a_descriptor_of_another_stays_theirs_when_root_writes(shared):
    with user(NOBODY, 0):
        c = shared.commands("order/1")
    with c:
        c.write(command())
        assert lib.error_of(c.write, command(expectedVersion=9)) == "ESTALE"
    assert shared.events("order/1")[-1]["uid"] == NOBODY
    assert shared.rejections()[-1]["uid"] == NOBODY


def test_an_inherited_descriptor_stays_its_openers(shared):
    """The shell opens, the program it starts is root's: the event is the shell's."""
    lib.need("setpriv")
    with user(STRANGER, 0):
        fd = os.open(shared.path("order/1/commands"), os.O_WRONLY)
    try:
        done = lib.run(["bash", "-c", f"echo '{{\"type\":\"A\"}}' >&{fd}"], pass_fds=[fd])
        assert done.rc == 0, done
    finally:
        os.close(fd)
    assert shared.events("order/1")[-1]["uid"] == STRANGER


def test_the_pid_is_of_who_opened(shared):
    with shared.commands("order/1") as c:
        pid = os.fork()
        if pid == 0:
            with contextlib.suppress(OSError):
                os.write(c.fd, b'{"typ":1}')
            os._exit(0)
        os.waitpid(pid, 0)
    assert shared.rejections()[-1]["pid"] == os.getpid()


def test_what_users_create_by_commands_belongs_to_the_mount(shared):
    with user(NOBODY, 0):
        shared.append("", command(aggregate="bird/1"))
    for name in ("bird", "bird/1", "bird/1/events/0000000001-A.json"):
        st = os.stat(shared.path(name))
        assert (st.st_uid, st.st_gid) == (0, 0)


# --- who may

READ = ["commands", "log.ndjson", "rejections.ndjson", "order/log.ndjson", "order/1/version", "order/1/events.ndjson",
        "order/1/events/0000000001-A.json", "order/1/at/1/events.ndjson", ".esfs/status.json"]
LIST = ["", "order", "order/1", "order/1/events", ".esfs"]
WRITE = ["commands", "order/commands", "order/1/commands"]


def test_others_may_not_read_write_or_list(shared):
    for who in (NOBODY, STRANGER):
        with user(who, NOGROUP):
            for name in READ:
                assert lib.error_of(os.open, shared.path(name), os.O_RDONLY) == "EACCES", name
            for name in LIST:
                assert lib.error_of(os.listdir, shared.path(name)) == "EACCES", name
            for name in WRITE:
                for flags in (os.O_WRONLY, os.O_RDWR, os.O_WRONLY | os.O_TRUNC, os.O_WRONLY | os.O_APPEND):
                    assert lib.error_of(os.open, shared.path(name), flags) == "EACCES", name
            assert lib.error_of(os.mkdir, shared.path("bird")) == "EACCES"
            assert lib.error_of(os.mkdir, shared.path("order/9")) == "EACCES"
            assert lib.error_of(os.rmdir, shared.path("order")) == "EACCES"
            assert lib.error_of(os.unlink, shared.path("order/1/events/0000000001-A.json")) in ("EACCES", "EPERM")


def test_others_may_not_even_with_what_root_has_looked_up(shared):
    """Names and pages that are in the kernel's caches from root's reading let nobody in."""
    for _ in range(2):
        for name in READ:
            shared.read(name)
        shared.ok("ls -lR > /dev/null")
        with user(NOBODY, NOGROUP):
            for name in READ:
                assert lib.error_of(os.open, shared.path(name), os.O_RDONLY) == "EACCES", name
                assert lib.error_of(os.stat, shared.path(name)) == "EACCES", name


def test_others_may_not_through_a_directory_that_root_opened(shared):
    fd = os.open(shared.path("order/1"), os.O_RDONLY)
    try:
        with user(NOBODY, NOGROUP):
            for name in ("version", "events.ndjson", "commands", "events/0000000001-A.json"):
                assert lib.error_of(lambda: os.open(name, os.O_RDONLY, dir_fd=fd)) == "EACCES", name
    finally:
        os.close(fd)


def test_a_shell_user_is_told_permission_denied(shared):
    for script in ("cat order/1/version", """echo '{"type":"A"}' > order/1/commands""", "ls order", "mkdir order/2"):
        done = as_nobody(shared, script)
        assert done.rc != 0 and "Permission denied" in done.err, done
    assert shared.version("order/1") == 1


@pytest.mark.parametrize("how", ["as the main group", "as one of many groups"])
def test_the_mounts_group_may(shared, how):
    gid, groups = (0, ()) if how == "as the main group" else (NOGROUP, [*range(20000, 20100), 0])
    with user(NOBODY, gid, groups):
        for name in READ:
            os.close(os.open(shared.path(name), os.O_RDONLY))
        for name in LIST:
            os.listdir(shared.path(name))
        shared.append("order/1", command())
        assert lib.error_of(os.mkdir, shared.path("order/9")) == "EACCES", "as the mode says"
        for call in (lambda: os.unlink(shared.path("order/1/version")), lambda: os.chmod(shared.path("order/1"), 0o777),
                     lambda: os.mkdir(shared.path("order/1/x")), lambda: os.truncate(shared.path("log.ndjson"), 0),
                     lambda: os.open(shared.path("order/1/version"), os.O_WRONLY)):
            assert lib.error_of(call) in ("EPERM", "EACCES")
    assert shared.version("order/1") == 2


def test_access_tells_what_open_would_say(shared):
    with user(NOBODY, NOGROUP):
        for name in (*READ, *LIST):
            assert not os.access(shared.path(name), os.R_OK, effective_ids=True), name
    with user(NOBODY, 0):
        assert os.access(shared.path("order/1/version"), os.R_OK, effective_ids=True)
        assert not os.access(shared.path("order/1/version"), os.W_OK, effective_ids=True)
        assert os.access(shared.path("order/1/commands"), os.W_OK, effective_ids=True)
        assert not os.access(shared.path("order/1"), os.W_OK, effective_ids=True)
        assert not os.access(shared.path("order"), os.W_OK, effective_ids=True)
    assert os.access(shared.path("order"), os.W_OK)


def test_without_allow_other_only_the_owner_comes_in(mount):
    mount.append("", command(aggregate="order/1"))
    with user(NOBODY, 0):
        assert lib.error_of(os.stat, mount.path("order/1/version")) == "EACCES"
        assert lib.error_of(os.listdir, mount.mnt) == "EACCES"


# --- mounted by an ordinary user

@pytest.fixture
def nobodys(daemons, place):
    """Mounted by nobody, without allow_other."""
    lib.need("setpriv", "fusermount3")
    if stat.S_IMODE(os.stat("/dev/fuse").st_mode) & 0o006 != 0o006:
        pytest.skip("/dev/fuse is not open to ordinary users (chmod 666 /dev/fuse)")
    home = os.path.join(place, "nobody")
    os.makedirs(os.path.join(home, "mnt"))
    os.chown(home, NOBODY, NOGROUP)
    os.chown(os.path.join(home, "mnt"), NOBODY, NOGROUP)
    if as_nobody_can_run(lib.esfs()).rc != 0:
        pytest.skip(f"nobody cannot run {lib.esfs()}")
    become = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOGROUP}", "--clear-groups"]
    return daemons(store=os.path.join(home, "store"), mnt=os.path.join(home, "mnt"), prefix=become).start()


def as_nobody_can_run(program):
    return lib.run(["setpriv", f"--reuid={NOBODY}", f"--regid={NOGROUP}", "--clear-groups", program, "--version"])


def test_an_ordinary_user_mounts_for_themselves(nobodys):
    done = as_nobody(nobodys, """mkdir -p order/1 && echo '{"type":"A"}' > order/1/commands &&
        jq .uid order/1/events.ndjson && stat -c %u:%g order && cat order/1/version""")
    assert done.out.split() == [str(NOBODY), f"{NOBODY}:{NOGROUP}", "1"], done


def test_even_root_is_kept_out_of_anothers_mount(nobodys):
    assert lib.error_of(os.listdir, nobodys.mnt) == "EACCES"
    assert stat.S_IMODE(os.stat(nobodys.store).st_mode) == 0o700, "and others are kept out of the store"


def test_python_of_another_user_reads_its_results(shared):
    script = """
import os
fd = os.open("order/1/commands", os.O_RDWR)
os.write(fd, b'{"type":"A"}')
print(os.read(fd, 4096).decode())
"""
    lib.need("setpriv")
    done = lib.run(["setpriv", f"--reuid={NOBODY}", "--regid=0", "--clear-groups", "/usr/bin/python3", "-c", script],
                   cwd=shared.mnt)
    assert done.rc == 0 and lib.strict(done.out)["version"] == 2, done
