"""Who may do what in a mount with a domain: its lists, asked at every open, and shown by modes and ACLs."""

import os
import re
import signal
import stat

import pytest

import lib
from lib import command
from lib_user import user

SENDER, READER, STRANGER = 61001, 61002, 61009
SENDERS, READERS, NOBODYS = 62001, 62002, 62009

SEND_LIST = f"users = {{ {SENDER} }}, groups = {{ {SENDERS} }}"
READ_LIST = f"users = {{ {READER} }}, groups = {{ {READERS} }}"


@pytest.fixture(autouse=True)
def as_root():
    lib.need_root()


# --- domains

def aggregate(read=None, **commands):
    """The Lua of a type: lists are the inside of the braces, None: none is given. A command makes an event Done."""
    def given(name, inside):
        return "" if inside is None else f"{name} = {{ {inside} }}, "
    lines = ["return {", f"  {given('read', read)}" if read is not None else "", "  commands = {"]
    for name, allow in commands.items():
        decide = 'decide = function(s, cmd) return event("Done", cmd.data) end'
        lines.append(f"    {name} = {{ {given('allow', allow)}{decide} }},")
    lines += ["  },", "  events = { Done = { evolve = function(s, e) s.n = e.version end } },", "}"]
    return "\n".join(line for line in lines if line) + "\n"


def write_domain(place, types, schemas=()):
    """Writes the files of a domain, and nothing else is in it."""
    top = os.path.join(place, "domain")
    os.makedirs(os.path.join(top, "aggregates"), exist_ok=True)
    for name in os.listdir(os.path.join(top, "aggregates")):
        os.unlink(os.path.join(top, "aggregates", name))
    for name, text in [*((f"aggregates/{k}.lua", v) for k, v in types.items()), *dict(schemas).items()]:
        os.makedirs(os.path.dirname(os.path.join(top, name)), exist_ok=True)
        with open(os.path.join(top, name), "w", encoding="utf-8") as f:
            f.write(text)
    return top


ORDER = aggregate(READ_LIST, Place=SEND_LIST)


@pytest.fixture
def governed(daemons, place):
    """Mounts a domain for all users: governed({"order": lua, ...}, *options)."""
    def mount(types, *options, schemas=()):
        top = write_domain(place, types, schemas)
        return daemons(options=["allow_other", f"domain={top}", *options]).start()
    return mount


@pytest.fixture
def orders(governed):
    """One type with both lists given; order/1 has one event of SENDER's."""
    daemon = governed({"order": ORDER})
    with user(SENDER, NOBODYS):
        daemon.append("", command("Place", aggregate="order/1"))
    return daemon


OF_AGGREGATE = ["order/1/version", "order/1/events.ndjson", "order/1/stream.ndjson", "order/1/views/state.json",
                "order/1/events/0000000001-Done.json", "order/1/at/1/events.ndjson", "order/1/at/1/stream.ndjson",
                "order/1/at/1/state.json", "order/1/at/1..1/events.ndjson", "order/1/at/1..1/stream.ndjson"]
READ = [*OF_AGGREGATE, "order/log.ndjson", "order/rejections.ndjson", "log.ndjson", "rejections.ndjson"]
SEND = ["commands", "order/commands", "order/1/commands"]
LIST = ["", "order", "order/1", "order/1/events", "order/1/views"]


def opening(daemon, name, flags=os.O_RDONLY):
    """The errno of open(2), None when it opens."""
    return lib.error_of(lambda: os.close(os.open(daemon.path(name), flags)))


def verdicts(daemon, names, flags=os.O_RDONLY):
    return {opening(daemon, name, flags) for name in names}


# --- lists

WHO = {
    "by user": ((SENDER, NOBODYS), (READER, NOBODYS)),
    "by primary group": ((STRANGER, SENDERS), (STRANGER, READERS)),
    "by supplementary group": ((STRANGER, NOBODYS, [SENDERS]), (STRANGER, NOBODYS, [READERS])),
    "by the last of many groups": ((STRANGER, NOBODYS, [*range(20000, 20300), SENDERS]),
                                   (STRANGER, NOBODYS, [*range(20000, 20300), READERS])),
}


@pytest.mark.parametrize("how", WHO)
def test_a_list_lets_in_who_is_on_it(orders, how):
    sender, reader = WHO[how]
    with user(*sender):
        assert verdicts(orders, SEND, os.O_WRONLY) == {None}
        assert verdicts(orders, SEND, os.O_RDWR | os.O_TRUNC) == {None}
        assert verdicts(orders, READ) == {"EACCES"}, "sending is not reading"
        orders.append("order/1", command("Place"))
    with user(*reader):
        assert verdicts(orders, READ) == {None}
        assert verdicts(orders, SEND, os.O_WRONLY) == {"EACCES"}, "reading is not sending"
        assert verdicts(orders, SEND, os.O_RDWR) == {"EACCES"}
        assert verdicts(orders, SEND) == {None}, "who may read can copy the tree"
        assert orders.version("order/1") == 2
        assert orders.events("order/1")[1]["uid"] == sender[0]
        for name in LIST:
            assert os.listdir(orders.path(name))


def test_who_is_on_no_list_gets_nothing(orders):
    with user(STRANGER, NOBODYS, [20000, 20001]):
        for name in [*READ, *SEND]:
            assert opening(orders, name) == "EACCES", name
        assert verdicts(orders, SEND, os.O_WRONLY) == {"EACCES"}
        for name in LIST:
            assert lib.error_of(os.listdir, orders.path(name)) == "EACCES", name


def test_not_even_with_what_others_have_read(orders):
    """What lies in the kernel's caches is asked for again at each open, for those who may as for those who may not."""
    for _ in range(2):
        with user(READER, NOBODYS):
            for name in READ:
                assert orders.read(name) or "rejections" in name
            orders.ok("ls -lR > /dev/null")
        with user(STRANGER, NOBODYS):
            for name in READ:
                assert opening(orders, name) == "EACCES", name
                assert lib.error_of(os.stat, orders.path(name)) == "EACCES", name


def test_not_through_a_directory_that_another_opened(orders):
    with user(READER, NOBODYS):
        fd = os.open(orders.path("order/1"), os.O_RDONLY)
    try:
        with user(STRANGER, NOBODYS):
            for name in ("version", "stream.ndjson", "views/state.json", "events/0000000001-Done.json", "commands"):
                assert lib.error_of(lambda: os.open(name, os.O_RDONLY, dir_fd=fd)) == "EACCES", name
    finally:
        os.close(fd)


def test_root_is_not_exempt_where_a_list_is_given(orders):
    assert verdicts(orders, [*READ, *SEND]) == {"EACCES"}
    assert verdicts(orders, SEND, os.O_WRONLY) == {"EACCES"}
    assert lib.error_of(os.mkdir, orders.path("order/9")) == "EACCES"
    assert set(os.listdir(orders.path("order/1"))) >= {"events", "views"}, "names are the owner's"
    for name in [*OF_AGGREGATE, *SEND]:
        os.stat(orders.path(name))
    orders.fails("cat order/1/views/state.json", "Permission denied")


def test_root_allowed(governed):
    daemon = governed({"order": ORDER}, "root_allowed")
    daemon.append("", command("Place", aggregate="order/1"))
    assert verdicts(daemon, [*READ, *SEND]) == {None}
    os.mkdir(daemon.path("order/9"))
    with user(STRANGER, 0, [0]):
        assert verdicts(daemon, READ) == {"EACCES"}, "root's group is not root"


def test_without_lists_it_is_the_mounts_owner_and_group(governed):
    daemon = governed({"order": aggregate(Place=None)})
    daemon.append("", command("Place", aggregate="order/1"))
    with user(STRANGER, NOBODYS, [20000]):
        assert verdicts(daemon, [*READ, *SEND]) == {"EACCES"}
        assert lib.error_of(os.listdir, daemon.mnt) == "EACCES"
    for who in ((STRANGER, 0), (STRANGER, NOBODYS, [20000, 0]), (0, 0)):
        with user(*who):
            assert verdicts(daemon, READ) == {None}
            assert verdicts(daemon, SEND, os.O_RDWR) == {None}
            daemon.append("order/1", command("Place"))
    with user(STRANGER, 0):
        os.mkdir(daemon.path("order/9"))


def test_anyone(governed):
    daemon = governed({"order": aggregate("anyone = true", Place="anyone = true")})
    with user(STRANGER, NOBODYS):
        daemon.append("", command("Place", aggregate="order/1"))
        assert verdicts(daemon, READ) == {None}
        os.mkdir(daemon.path("order/9"))
        os.rmdir(daemon.path("order/9"))
        for name in LIST:
            assert os.listdir(daemon.path(name))
        for name in (".esfs/status.json", ".esfs/errors.ndjson"):
            assert opening(daemon, name) == "EACCES", "no list is about these"


def test_an_empty_list_is_a_list(governed):
    daemon = governed({"order": aggregate("", Place="")})
    assert opening(daemon, "order/log.ndjson") == "EACCES"
    assert opening(daemon, "order/commands", os.O_WRONLY) == "EACCES"


def test_the_roots_log_needs_every_type(governed):
    daemon = governed({"order": aggregate(f"users = {{ {READER}, {SENDER} }}", Place="anyone = true"),
                       "stock": aggregate(f"users = {{ {READER} }}, groups = {{ {READERS} }}", Move="anyone = true"),
                       "open": aggregate("anyone = true", Say="anyone = true")})
    with user(SENDER, NOBODYS, [READERS]):
        assert opening(daemon, "log.ndjson") is None, "order by user, stock by group"
        assert opening(daemon, "rejections.ndjson") is None
    with user(SENDER, NOBODYS):
        assert opening(daemon, "order/log.ndjson") is None
        assert opening(daemon, "stock/log.ndjson") == "EACCES"
        assert opening(daemon, "open/log.ndjson") is None
        assert opening(daemon, "log.ndjson") == "EACCES"
        assert opening(daemon, "rejections.ndjson") == "EACCES"
    with user(READER, NOBODYS):
        assert opening(daemon, "log.ndjson") is None
    assert acl_of(daemon, "log.ndjson") == {"user::---", f"user:{READER}:r--", "group::---", "mask::r--", "other::---"}


# --- commands are judged one by one

TWO = aggregate(READ_LIST, Place=SEND_LIST, Cancel="anyone = true")


def test_what_a_view_has_parked_or_passed_over_is_no_way_round(governed):
    view = ('return { key = function(e) return e.subject end, '
            'on = { Done = function(v, e) if e.data.bad then error("bad") end v.n = e.version end } }')
    daemon = governed({"order": ORDER}, schemas={"views/v.lua": view})
    with user(SENDER, NOBODYS):
        daemon.append("", *[command("Place", aggregate="order/1", data={"bad": True})] * 2)
    daemon.read(".esfs/barrier")
    top = "views/v/.parked"
    one, two = (f"{top}/{n:016x}.json" for n in (1, 2))
    passed = f"{top}/skipped/{2:016x}.json"
    os.rename(daemon.path(two), daemon.path(passed))
    for name in one, passed:
        assert opening(daemon, name) == "EACCES", "not even root"
        assert acl_of(daemon, name) == acl("---", "---", "---", "r--", {READER: "r--"}, {READERS: "r--"}), name
        with user(READER, NOBODYS, [os.getegid()]):
            assert opening(daemon, name) is None


def test_each_command_of_a_write_is_judged(governed):
    daemon = governed({"order": TWO})
    with user(STRANGER, NOBODYS):
        daemon.append("", command("Cancel", aggregate="order/1"))
        with daemon.commands("order/1") as c:
            assert lib.error_of(c.write, command("Place")) == "EACCES"
            c.write(command("Cancel"))
            refused, done = c.results()
            assert (refused["status"], refused["errno"], refused["error"]) == ("rejected", "EACCES", "forbidden")
            assert done["version"] == 2
    with user(READER, NOBODYS):
        last = daemon.rejections("order")[-1]
        assert (last["uid"], last["errno"]) == (STRANGER, "EACCES")
        assert daemon.version("order/1") == 2


@pytest.mark.parametrize("scope", ["", "order", "order/1"])
def test_a_refused_command_stops_a_write_before_it(governed, scope):
    daemon = governed({"order": TWO})
    text = command("Cancel", aggregate="order/1") + command("Place", aggregate="order/1")
    with user(STRANGER, NOBODYS):
        daemon.append("", command("Cancel", aggregate="order/1"))
        with daemon.commands(scope) as c:
            done = c.write(text)
            assert done == text.index(b"\n") + 1
            assert lib.error_of(c.write, text[done:]) == "EACCES"


def test_a_transaction_is_refused_as_a_whole(governed):
    daemon = governed({"order": TWO})
    with user(STRANGER, NOBODYS):
        with daemon.commands("order") as c:
            both = [{"aggregate": "1", "type": "Cancel"}, {"aggregate": "2", "type": "Place"}]
            assert lib.error_of(c.write, lib.line(both)) == "EACCES"
    with user(READER, NOBODYS):
        assert daemon.lines("order/log.ndjson") == []


def test_permission_comes_before_the_id(governed):
    """A command that was done is told to nobody who may not send it, by `duplicate` or by EEXIST."""
    daemon = governed({"order": TWO})
    with user(SENDER, NOBODYS):
        daemon.append("", command("Place", aggregate="order/1", id="a", data={"n": 1}))
    with user(STRANGER, NOBODYS), daemon.commands("order/1") as c:
        for data in ({"n": 1}, {"n": 2}):
            assert lib.error_of(c.write, command("Place", id="a", data=data)) == "EACCES"
        assert lib.error_of(c.write, command("Place", expectedVersion=9)) == "EACCES", "and before the version"
    with user(SENDER, NOBODYS):
        assert daemon.append("order/1", command("Place", id="a", data={"n": 1}))[0]["duplicate"]


def test_by_a_supplementary_group_too(governed):
    daemon = governed({"order": TWO})
    with user(STRANGER, NOBODYS, [*range(20000, 20100), SENDERS]):
        assert daemon.append("", command("Place", aggregate="order/1"))[0]["status"] == "appended"


# --- who opened it

def test_an_inherited_descriptor_stays_its_openers(governed):
    daemon = governed({"order": TWO})
    for uid, groups, verdict in ((SENDER, [], None), (STRANGER, [SENDERS], None), (STRANGER, [], "EACCES")):
        with user(uid, NOBODYS, groups):
            c = daemon.commands("order")
        with c:
            assert lib.error_of(c.write, command("Place", aggregate="1")) == verdict, "written by root"
            with user(SENDER, SENDERS):
                assert lib.error_of(c.write, command("Place", aggregate="1")) == verdict, "written by one who may"
    with user(READER, NOBODYS):
        assert [e["uid"] for e in daemon.events("order/1")] == [SENDER, SENDER, STRANGER, STRANGER]


def test_a_descriptor_for_reading_is_good_until_it_is_closed(orders):
    with user(READER, NOBODYS):
        fds = [os.open(orders.path(name), os.O_RDONLY) for name in OF_AGGREGATE]
    with user(STRANGER, NOBODYS):
        for fd in fds:
            assert os.pread(fd, 100, 0)
            os.close(fd)


def test_of_another_pid_namespace_the_primary_group_alone_is_known(daemons, place):
    lib.need("unshare")
    top = write_domain(place, {"order": ORDER})
    daemon = daemons(options=["allow_other", f"domain={top}"],
                     prefix=["unshare", "--pid", "--fork", "--kill-child"]).start()
    with user(STRANGER, SENDERS):
        daemon.append("", command("Place", aggregate="order/1"))
    with user(STRANGER, NOBODYS, [SENDERS]):
        assert opening(daemon, "order/commands", os.O_WRONLY) == "EACCES"


# --- directories

def test_mkdir_is_for_those_who_may_send(orders):
    with user(READER, NOBODYS):
        assert lib.error_of(os.mkdir, orders.path("order/9")) == "EACCES"
        assert lib.error_of(os.rmdir, orders.path("order/1")) == "EACCES"
    with user(SENDER, NOBODYS):
        os.mkdir(orders.path("order/9"))
        assert lib.error_of(os.mkdir, orders.path("bird")) == "EACCES"
        assert lib.error_of(os.rmdir, orders.path("order/1")) == "ENOTEMPTY"
        os.rmdir(orders.path("order/9"))
    assert lib.error_of(os.mkdir, orders.path("bird")) == "EPERM", "types are the domain's"
    assert lib.error_of(os.mkdir, orders.path("order/1/x")) == "EPERM"


def test_access_tells_what_open_would_say(orders):
    def may(name, how):
        return os.access(orders.path(name), how, effective_ids=True)
    with user(READER, NOBODYS):
        assert all(may(name, os.R_OK) for name in [*READ, *LIST])
        assert not any(may(name, os.W_OK) for name in [*READ, *LIST, *SEND])
    with user(SENDER, NOBODYS):
        assert all(may(name, os.W_OK) for name in [*SEND, "order"])
        assert all(may(name, os.R_OK | os.X_OK) for name in LIST)
        assert not any(may(name, os.R_OK) for name in READ)
        assert not may("", os.W_OK)
    assert not any(may(name, os.R_OK) for name in READ), "root too"
    with user(STRANGER, NOBODYS):
        assert not any(may(name, os.F_OK) for name in ["order/1/version", "order/commands"])


# --- what is shown

def mode_of(daemon, name):
    return stat.S_IMODE(os.lstat(daemon.path(name)).st_mode)


def acl_of(daemon, name):
    lib.need("getfacl")
    return set(daemon.ok(f"getfacl -cnE {name or '.'}").split())


def acl(user_, group, other, mask, users=(), groups=()):
    named = {f"user:{k}:{v}" for k, v in dict(users).items()} | {f"group:{k}:{v}" for k, v in dict(groups).items()}
    return {f"user::{user_}", f"group::{group}", f"mask::{mask}", f"other::{other}", *named}


def test_modes_without_lists(governed):
    daemon = governed({"order": aggregate(Place=None)})
    daemon.append("", command("Place", aggregate="order/1"))
    assert {mode_of(daemon, name) for name in READ} == {0o440}
    assert {mode_of(daemon, name) for name in SEND} == {0o660}
    assert {name: mode_of(daemon, name) for name in LIST} == {
        "": 0o750, "order": 0o770, "order/1": 0o550, "order/1/events": 0o550, "order/1/views": 0o550}
    assert mode_of(daemon, ".esfs/reload") == 0o200
    for name in [*READ, *SEND, *LIST]:
        assert os.listxattr(daemon.path(name)) == []
        assert lib.error_of(os.getxattr, daemon.path(name), "system.posix_acl_access") == "ENODATA"
        assert lib.error_of(os.getxattr, daemon.path(name), "security.capability") == "ENODATA"
    assert acl_of(daemon, "order/commands") == {"user::rw-", "group::rw-", "other::---"}


def test_modes_for_anyone(governed):
    daemon = governed({"order": aggregate("anyone = true", Place="anyone = true")})
    daemon.append("", command("Place", aggregate="order/1"))
    assert {mode_of(daemon, name) for name in READ} == {0o444}
    assert {mode_of(daemon, name) for name in SEND} == {0o666}
    assert {name: mode_of(daemon, name) for name in LIST} == {
        "": 0o755, "order": 0o777, "order/1": 0o555, "order/1/events": 0o555, "order/1/views": 0o555}
    assert os.listxattr(daemon.path("order/commands")) == []


def test_acls_show_the_lists(orders):
    for name in READ:
        assert acl_of(orders, name) == acl("---", "---", "---", "r--", {READER: "r--"}, {READERS: "r--"}), name
        assert mode_of(orders, name) == 0o040, "the mask"
    for name in SEND:
        assert acl_of(orders, name) == acl("---", "---", "---", "rw-", {READER: "r--", SENDER: "rw-"},
                                           {READERS: "r--", SENDERS: "rw-"}), name
    both = ({READER: "r-x", SENDER: "r-x"}, {READERS: "r-x", SENDERS: "r-x"})
    for name in ("order/1", "order/1/events", "order/1/views"):
        assert acl_of(orders, name) == acl("r-x", "r-x", "---", "r-x", *both), name
    assert acl_of(orders, "") == acl("rwx", "r-x", "---", "r-x", *both)
    assert acl_of(orders, "order") == acl("r-x", "r-x", "---", "rwx", {READER: "r-x", SENDER: "rwx"},
                                          {READERS: "r-x", SENDERS: "rwx"})
    assert os.listxattr(orders.path("order/commands")) == ["system.posix_acl_access"]
    assert re.match(r"----r-----\+ ", orders.ok("ls -l order/1/version"))
    assert os.listxattr(orders.path(".esfs/status.json")) == []


def test_the_owner_and_the_group_on_a_list_are_in_the_mode(governed):
    lists = {"Place": f"users = {{ {SENDER} }}, groups = {{ 0 }}", "Cancel": None}
    daemon = governed({"order": aggregate("users = { 0 }", **lists)})
    assert mode_of(daemon, "order/log.ndjson") == 0o400
    assert os.listxattr(daemon.path("order/log.ndjson")) == []
    assert acl_of(daemon, "order/commands") == acl("rw-", "rw-", "---", "rw-", {SENDER: "rw-"})


def test_a_scope_shows_the_union_of_its_commands(governed):
    daemon = governed({"order": aggregate("", Place=f"users = {{ {SENDER} }}", Cancel=f"groups = {{ {SENDERS} }}"),
                       "open": aggregate("", Say="anyone = true")})
    assert acl_of(daemon, "order/commands") == acl("---", "---", "---", "rw-", {SENDER: "rw-"}, {SENDERS: "rw-"})
    assert mode_of(daemon, "commands") == 0o666
    assert mode_of(daemon, "open/commands") == 0o666


def test_more_names_than_an_acl_holds(governed):
    """The kernel takes 4096 bytes of it; who may is unchanged."""
    many = ", ".join(str(n) for n in range(100000, 101000))
    daemon = governed({"order": aggregate(f"users = {{ {many} }}", Place=f"users = {{ {many} }}")})
    assert mode_of(daemon, "order/commands") == 0o060
    assert lib.error_of(os.getxattr, daemon.path("order/commands"), "system.posix_acl_access") == "E2BIG"
    with user(100999, NOBODYS):
        assert opening(daemon, "order/commands", os.O_WRONLY) is None


def test_nobody_changes_them(orders):
    for who in ((0, 0), (SENDER, NOBODYS), (READER, NOBODYS)):
        with user(*who):
            for call in (lambda: os.chmod(orders.path("order/commands"), 0o777),
                         lambda: os.chown(orders.path("order/commands"), *who),
                         lambda: os.setxattr(orders.path("order/commands"), "user.x", b"1"),
                         lambda: os.removexattr(orders.path("order/commands"), "system.posix_acl_access")):
                assert lib.error_of(call) in ("EPERM", "EACCES")
    lib.need("setfacl")
    orders.fails(f"setfacl -m u:{STRANGER}:rw order/commands", "Operation not permitted")


def test_a_reader_copies_the_tree(orders, place):
    with user(READER, NOBODYS):
        done = lib.run(["tar", "-C", orders.mnt, "--exclude=.esfs", "-cf", "-", "order"], timeout=30)
    assert done.rc == 0 and done.err == "", done.err


# --- what the domain adds to the tree

def test_without_a_domain_there_is_none_of_it(mount):
    mount.append("", command(aggregate="order/1"))
    assert set(os.listdir(mount.mnt)) == {".esfs", "commands", "log.ndjson", "rejections.ndjson", "order", "consumers"}
    assert set(os.listdir(mount.path("order/1"))) == {"commands", "events", "events.ndjson", "version"}
    assert "reload" not in os.listdir(mount.path(".esfs"))
    for name in ("schemas", "order/1/views", "order/1/stream.ndjson", "order/1/at/1/state.json", ".esfs/reload"):
        assert lib.error_of(os.stat, mount.path(name)) == "ENOENT", name
    assert lib.error_of(os.listxattr, mount.path("order")) == "ENOTSUP"
    mount.process.send_signal(signal.SIGHUP)
    assert mount.version("order/1") == 1
    assert "domain" not in lib.strict(mount.read(".esfs/config.json"))


def test_states_and_streams_are_files_with_sizes(governed):
    daemon = governed({"order": aggregate(Place=None)})
    daemon.append("", *[command("Place", aggregate="order/1", data={"n": n}) for n in range(12)])
    assert set(os.listdir(daemon.path("order/1"))) == {"commands", "events", "events.ndjson", "stream.ndjson",
                                                       "version", "views"}
    assert os.listdir(daemon.path("order/1/views")) == ["state.json"]
    for name, n in (("order/1/views/state.json", 12), ("order/1/at/12/state.json", 12), ("order/1/at/3/state.json", 3)):
        text = daemon.read(name)
        assert lib.strict(text) == {"n": n} and text.endswith(b"\n"), name
        assert os.stat(daemon.path(name)).st_size == len(text), name
    for name, n in (("order/1/stream.ndjson", 12), ("order/1/at/3/stream.ndjson", 3),
                    ("order/1/at/3..5/stream.ndjson", 3)):
        assert os.stat(daemon.path(name)).st_size == len(daemon.read(name)), name
        assert len(daemon.lines(name)) == n, name
    assert set(os.listdir(daemon.path("order/1/at/3"))) == {"events.ndjson", "state.json", "stream.ndjson"}
    assert set(os.listdir(daemon.path("order/1/at/3..3"))) == {"events.ndjson", "stream.ndjson"}
    assert opening(daemon, "order/1/at/3..3/state.json") == "ENOENT"
    assert opening(daemon, "order/1/at/13/state.json") == "ENOENT"
    daemon.append("order/1", command("Place"))
    assert lib.strict(daemon.read("order/1/views/state.json")) == {"n": 13}, "when the write has returned"


SCHEMAS = {
    "schemas/order/Done.1.json": '{ "type": "object" }\n',
    "schemas/order/commands/Place.1.json": '{"type":\n"object",  "title":"Place"}',
}


def test_the_registry_of_schemas(governed):
    lua = aggregate(READ_LIST, Place=SEND_LIST).replace("Done = { evolve", 'Done = { schema = "Done.1", evolve')
    lua = lua.replace("Place = { allow", 'Place = { schema = "Place.1", allow')
    daemon = governed({"order": lua, "bare": aggregate(Say="")}, schemas=SCHEMAS)
    assert os.listdir(daemon.path("schemas")) == ["order"]
    assert daemon.ok("cd schemas && find . -type f | sort").split() == [
        "./order/Done/1.json", "./order/commands/Place/1.json"]
    assert daemon.read("schemas/order/Done/1.json") == b'{"type":"object"}\n'
    assert daemon.read("schemas/order/commands/Place/1.json") == b'{"type":"object","title":"Place"}\n'
    seen = {name: os.stat(daemon.path(name)) for name in ("schemas", "schemas/order", "schemas/order/Done",
            "schemas/order/Done/1.json", "schemas/order/commands", "schemas/order/commands/Place",
            "schemas/order/commands/Place/1.json")}
    assert len({st.st_ino for st in seen.values()}) == len(seen)
    assert seen["schemas/order/Done/1.json"].st_size == 18
    for name in ("schemas/bare", "schemas/order/Done/2.json", "schemas/order/Done/01.json", "schemas/order/Place",
                 "schemas/order/commands/Done", "schemas/order/Done/1", "schemas/order/Done/1.json.json"):
        assert lib.error_of(os.stat, daemon.path(name)) == "ENOENT", name
    for who in ((SENDER, NOBODYS), (READER, NOBODYS), (0, 0)):
        with user(*who):
            assert opening(daemon, "schemas/order/commands/Place/1.json") is None
    with user(STRANGER, NOBODYS):
        assert opening(daemon, "schemas/order/commands/Place/1.json") == "EACCES"
    assert lib.error_of(os.mkdir, daemon.path("schemas/x")) == "EPERM"
    for options in (None, ["allow_other"]):
        daemon.restart(options)
        for name, st in seen.items():
            assert os.stat(daemon.path(name)).st_ino == st.st_ino, (name, "without a domain too")
        assert daemon.read("schemas/order/Done/1.json") == b'{"type":"object"}\n'


def test_the_configuration_shows_the_domain(governed, place):
    daemon = governed({"order": ORDER, "stock": TWO}, "root_allowed", "assert_format")
    shown = lib.strict(daemon.read(".esfs/config.json"))
    assert shown["domain"]["directory"] == os.path.realpath(os.path.join(place, "domain"))
    assert re.fullmatch("[0-9a-f]{64}", shown["domain"]["hash"])
    assert shown["domain"]["types"] == ["order", "stock"]
    assert shown["root_allowed"] is True and shown["assert_format"] is True


# --- reload

def reload(daemon):
    fd = os.open(daemon.path(".esfs/reload"), os.O_WRONLY)
    try:
        assert os.write(fd, b"now\n") == 4
    finally:
        os.close(fd)


def test_a_reload_changes_who_may(orders, place):
    with user(READER, NOBODYS):
        assert orders.read("order/1/events/0000000001-Done.json")
        held = os.open(orders.path("order/1/events.ndjson"), os.O_RDONLY)
    write_domain(place, {"order": aggregate(f"users = {{ {STRANGER} }}", Place=f"users = {{ {STRANGER} }}")})
    before = lib.strict(orders.read(".esfs/config.json"))["domain"]["hash"]
    reload(orders)
    assert lib.strict(orders.read(".esfs/config.json"))["domain"]["hash"] != before
    with user(READER, NOBODYS):
        assert os.pread(held, 10, 0), "what was open stays open"
        os.close(held)
        assert verdicts(orders, READ) == {"EACCES"}
    with user(STRANGER, NOBODYS):
        assert verdicts(orders, READ) == {None}
        orders.append("order/1", command("Place"))
    shown = acl("---", "---", "---", "r--", {STRANGER: "r--"})
    lib.wait_until(lambda: acl_of(orders, "order/1/events/0000000001-Done.json") == shown)
    lib.wait_until(lambda: mode_of(orders, "order/1/events/0000000001-Done.json") == 0o040)


def test_a_refused_reload_changes_nothing(orders, place):
    before = lib.strict(orders.read(".esfs/config.json"))["domain"]["hash"]
    write_domain(place, {"order": "return {"})
    assert lib.error_of(reload, orders) == "EINVAL"
    assert "order.lua" in orders.lines(".esfs/errors.ndjson")[-1].decode()
    assert lib.strict(orders.read(".esfs/config.json"))["domain"]["hash"] == before
    with user(SENDER, NOBODYS):
        orders.append("order/1", command("Place"))
    orders.fails("echo > .esfs/reload", "Invalid argument")
    write_domain(place, {"order": ORDER})
    orders.ok("echo > .esfs/reload")


def test_reload_is_the_owners(governed):
    daemon = governed({"order": aggregate("anyone = true", Place="anyone = true")}, "root_allowed")
    with user(STRANGER, 0, [0]):
        assert opening(daemon, ".esfs/reload", os.O_WRONLY) == "EACCES", "not the group's"
    assert stat.S_IMODE(os.stat(daemon.path(".esfs/reload")).st_mode) == 0o200


def test_a_hangup_reloads(orders, place):
    write_domain(place, {"order": aggregate("anyone = true", Place=SEND_LIST)})
    orders.process.send_signal(signal.SIGHUP)
    with user(STRANGER, NOBODYS):
        lib.wait_until(lambda: opening(orders, "order/log.ndjson") is None, what="the new list in force")
    lib.wait_until(lambda: "reloaded" in orders.log(), what="a line in the log")
    write_domain(place, {"order": "return {"})
    orders.process.send_signal(signal.SIGHUP)
    lib.wait_until(lambda: "order.lua" in orders.log(), what="the reason in the log")
    with user(STRANGER, NOBODYS):
        assert opening(orders, "order/log.ndjson") is None, "what was in force still is"


@pytest.mark.parametrize("option, words", [
    ("domain=", "a directory is meant"),
    ("domain=/nonexistent", "No such file or directory"),
    ("domain=/etc/passwd", "is not a directory"),
    ("snapshot_every=0", "a number of events"),
    ("snapshot_every=1K", "a number of events"),
    ("states=many", "a size is meant"),
])
def test_options_that_make_no_sense(daemons, option, words):
    said = daemons(options=[option]).refused()
    assert option in said.err and words in said.err, said


def test_a_relative_directory_and_every_option(governed, daemons, place):
    top = write_domain(place, {"order": aggregate(Place=None)})
    daemon = daemons(options=[f"domain={os.path.relpath(top, '/')}", "snapshot_every=3", "states=1M"]).start()
    daemon.append("", *[command("Place", aggregate="order/1") for _ in range(10)])
    assert lib.strict(daemon.read("order/1/views/state.json")) == {"n": 10}
    assert lib.strict(daemon.read(".esfs/config.json"))["domain"]["directory"] == os.path.realpath(top)


FAILING = 'schema = "Done.2", upcast = { [1] = function(d) if d.bad then error("no way") end return d end },'


def test_what_fails_fails_alone(governed, place):
    """An upcast that fails on a stored event: EIO for what is made of it, and everything else goes on."""
    schemas = {"schemas/order/Done.1.json": '{"type":"object"}'}
    stock, order = aggregate(Move=None), aggregate(Place=None)
    daemon = governed({"order": order.replace("Done = {", 'Done = { schema = "Done.1",'), "stock": stock},
                      schemas=schemas)
    daemon.append("", command("Place", aggregate="order/1", data={"n": 1}), command("Move", aggregate="stock/1"),
                  command("Place", aggregate="order/2", data={"bad": 1}))
    schemas["schemas/order/Done.2.json"] = '{"type":"object","required":["n"]}'
    write_domain(place, {"order": order.replace("Done = {", "Done = { " + FAILING), "stock": stock}, schemas)
    reload(daemon)
    failing = {"order/2/stream.ndjson", "order/2/views/state.json", "order/2/at/1/state.json",
               "order/2/at/1/stream.ndjson"}
    for name in failing:
        assert lib.error_of(os.stat, daemon.path(name)) == "EIO", name
        assert opening(daemon, name) == "EIO", name
    for name in ("order/2/events.ndjson", "order/2/at/1/events.ndjson", "order/2/at/0/state.json",
                 "order/1/views/state.json", "order/1/stream.ndjson", "stock/1/views/state.json", "order/log.ndjson"):
        assert daemon.read(name), name
    assert "no way" in daemon.lines(".esfs/errors.ndjson")[-1].decode()
    listed = set(daemon.ok("find . -type f").split())
    assert {"./order/2/stream.ndjson", "./order/2/views/state.json", "./order/2/events.ndjson"} <= listed
    for tool in ("ls -lR order", "tar -cf /dev/null order | cat; exit ${PIPESTATUS[0]}"):
        done = daemon.sh(tool)
        complained = {name for name in listed if name[2:] in done.err}
        assert done.rc != 0 and complained == {"./order/2/stream.ndjson", "./order/2/views/state.json"}, done
    assert lib.error_of(daemon.append, "order/2", command("Place")) == "EIO"
    daemon.append("order/1", command("Place", data={"n": 2}))


def test_no_event_hides_the_schemas_of_commands(daemons, place):
    lua = aggregate(Place=None).replace("Done = {", "commands = {}, Done = {")
    said = daemons(options=[f"domain={write_domain(place, {'order': lua})}"]).refused()
    assert "commands" in said.err and "order.lua" in said.err, said
