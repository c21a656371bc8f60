"""queries/: results as files, computed when they are opened, and `call`."""

import json
import os
import signal
import stat
import subprocess
import sys
import threading
import time

import pytest

import lib
from lib_domain import errors, last_error, reload
from lib_user import user
from lib_views import FILES, barrier, names, orders, placed, shown

READER, STRANGER = 61002, 61009
READERS, NOBODYS = 62002, 62009

BIG = """return {
  params = { type = "object", additionalProperties = false, required = { "customer" },
             properties = { customer = { type = "string" }, min = { type = "integer" } } },
  run = function(q, params)
    local v = q.view("by_customer", params.customer)
    return { customer = params.customer, min = params.min or null, total = v and v.total or null }
  end,
}
"""

ALL = """return { run = function(q) return { keys = q.keys("by_customer") } end }
"""

# Takes a while, some of it for each of `n`.
SLOW = """return {
  params = { type = "object", properties = { n = { type = "integer" } } },
  run = function(q, params)
    local bytes = 0
    for i = 1, params.n or 0 do bytes = bytes + #string.rep("x", 1000000) end
    return { bytes = bytes }
  end,
}
"""

BROKEN = """return { run = function(q) error("never") end }
"""

MINE = """return { cache = "per_caller", run = function(q) return { uid = q.caller.uid } end }
"""

QUERIES = {**FILES, "queries/big.lua": BIG, "queries/all.lua": ALL, "queries/slow.lua": SLOW,
           "queries/broken.lua": BROKEN, "queries/mine.lua": MINE}


@pytest.fixture
def shop(daemons, place):
    return orders(daemons, place, files=QUERIES)


def xattrs(mount, *path):
    path = mount.path(*path)
    return {name.removeprefix("user.esfs."): os.getxattr(path, name).decode() for name in os.listxattr(path)
            if name.startswith("user.esfs.")}


# --- files

def test_what_is_listed(shop):
    assert names(shop, "queries") == ["all", "big", "broken", "mine", "slow"]
    assert names(shop, "queries/big") == ["call"], "nothing is cached"
    assert shop.ok("cat queries/big/customer=alice.json") == '{"customer":"alice","min":null,"total":12}'
    assert names(shop, "queries/big") == ["call", "customer=alice.json"]
    assert shown(shop, "queries/big/customer=alice.json")["total"] == 12
    assert shown(shop, "queries/all/all.json") == {"keys": ["alice", "bob"]}


def test_a_result_is_cached_until_what_it_read_changes(shop):
    name = "queries/big/customer=alice.json"
    assert xattrs(shop, name) == {"cached": "0"}
    shop.ok(f"cat {name}")
    first = xattrs(shop, name)
    assert first["cached"] == "1" and first["position"] == "%016x" % 4
    assert first["computed_at"].endswith("Z") and abs(time.time() - os.stat(shop.path(name)).st_mtime) < lib.limit(60)
    shop.ok(f"cat {name}")
    assert xattrs(shop, name) == first, "nothing was run"
    placed(shop, 5, "bob")
    barrier(shop)
    assert xattrs(shop, name) == first, "that was somebody else's"
    placed(shop, 6, "alice", 100)
    barrier(shop)
    assert xattrs(shop, name) == {"cached": "0"}
    assert lib.error_of(os.getxattr, shop.path(name), "user.esfs.position") == "ENODATA"
    assert names(shop, "queries/big") == ["call"]
    assert json.loads(shop.read(name))["total"] == 112
    assert xattrs(shop, name)["position"] == "%016x" % 6


def test_getfattr_shows_it(shop):
    lib.need("getfattr")
    shop.ok("cat queries/all/all.json")
    out = shop.ok("getfattr -d queries/all/all.json")
    assert 'user.esfs.cached="1"' in out and "user.esfs.computed_at=" in out and "user.esfs.position=" in out


def test_stat_runs_nothing(shop):
    name = "queries/big/customer=alice.json"
    st = os.stat(shop.path(name))
    assert (st.st_size, stat.S_IMODE(st.st_mode)) == (0, 0o440)
    shop.ok("ls -l queries/broken/all.json queries/slow/n=100000000.json")
    assert errors(shop) == [] and names(shop, "queries/broken") == ["call"]
    text = shop.read(name)
    after = os.stat(shop.path(name))
    assert (after.st_size, after.st_ino) == (len(text), st.st_ino)


def test_tools_read_what_was_not_computed(shop):
    for tool in ("cat", "cp -v", "head -c 1000", "tail -n 1", "jq -c .", "wc -c", "grep -c alice", "od -c", "sha1sum"):
        shop.sh("rm -f queries/big/*.json")
        target = "/dev/null" if tool.startswith("cp") else ""
        out = shop.ok(f"{tool} queries/big/customer=alice.json {target}")
        assert out and out != "0 queries/big/customer=alice.json", tool


def test_names_are_canonical(shop):
    one = "queries/big/customer=alice,min=100.json"
    other = "queries/big/min=100,customer=%61lice.json"
    assert json.loads(shop.read(other)) == {"customer": "alice", "min": 100, "total": 12}
    assert os.stat(shop.path(one)).st_ino == os.stat(shop.path(other)).st_ino
    assert xattrs(shop, one)["cached"] == "1" and names(shop, "queries/big") == ["call", os.path.basename(one)]
    shop.ok(f"rm {other}")
    assert xattrs(shop, one) == {"cached": "0"}


@pytest.mark.parametrize("name", ["all.json", "customer=a,nothing=1.json", "customer.json", "customer=a,min=x.json",
                                  "customer=a,customer=b.json", "customer=%zz.json", "customer=%2.json",
                                  "customer=a,.json", "customer=a,min=1.5.json", "min=1.json", "customer=%ff.json"])
def test_bad_names_are_refused(shop, name):
    for call in (os.stat, shop.read):
        assert lib.error_of(call, shop.path("queries/big", name)) == "EINVAL", name
    shop.fails(f"cat queries/big/{name}", "Invalid argument")


@pytest.mark.parametrize("name", ["customer=alice", "customer=alice.jso", ".customer=alice", "all"])
def test_names_of_nothing(shop, name):
    assert lib.error_of(os.stat, shop.path("queries/big", name)) == "ENOENT"


def test_a_long_name(shop):
    assert lib.error_of(os.stat, shop.path("queries/big", "customer=" + "x" * 300 + ".json")) == "ENAMETOOLONG"
    longest = "customer=" + "x" * (250 - len("customer=")) + ".json"
    assert json.loads(shop.read("queries/big", longest))["total"] is None
    assert longest in names(shop, "queries/big")


def refusals(mount, query="big"):
    text = mount.read("queries", query, ".rejections.ndjson")
    assert os.stat(mount.path("queries", query, ".rejections.ndjson")).st_size == len(text)
    return [lib.strict(line) for line in text.splitlines()]


def test_a_refusal_has_its_reason(shop):
    assert refusals(shop) == []
    shop.fails("cat queries/big/customer=a,min=x.json", "Invalid argument")
    line, = refusals(shop)
    assert (line["uid"], line["errno"], line["name"]) == (os.geteuid(), "EINVAL", "customer=a,min=x")
    assert line["detail"] == "min=x: min must be an integer" and line["time"].endswith("Z") and line["pid"] > 0
    longest = "customer=" + "=" * 90 + ".json"
    assert lib.error_of(os.stat, shop.path("queries/big", longest)) == "ENAMETOOLONG"
    assert (refusals(shop)[-1]["errno"], refusals(shop)[-1]["name"]) == ("ENAMETOOLONG", longest[:-5])
    assert lib.error_of(os.stat, os.fsencode(shop.path("queries/big/customer=")) + b"\xff.json") == "EINVAL"
    assert "not UTF-8" in refusals(shop)[-1]["detail"] and refusals(shop)[-1]["name"] is None
    fd = calling(shop)
    for text, code, words in ((b'{"customer":7}', "EINVAL", "customer"), (b"[1]\n", "EBADMSG", "no JSON object"),
                              (b"hello\n", "EBADMSG", "no JSON: "), (b"17\n", "EBADMSG", "no JSON object"),
                              (b"[" * 600 + b"\n", "EBADMSG", "no JSON: ")):
        assert lib.error_of(os.write, fd, text) == code
        assert refusals(shop)[-1]["errno"] == code and words in refusals(shop)[-1]["detail"]
        assert refusals(shop)[-1]["params"] == text.decode().strip()[:256]
    os.close(fd)
    assert len(refusals(shop)) == 8 and refusals(shop, "slow") == [] and errors(shop) == []
    assert lib.error_of(os.unlink, shop.path("queries/big/.rejections.ndjson")) == "EPERM"
    shop.domain.edit("queries/big.lua", "v.total or null", "-v.total or null")
    assert reload(shop) is None
    assert len(refusals(shop)) == 8


def test_refusals_are_bounded(shop):
    shop.fails("cat queries/slow/n=x.json", "Invalid argument")
    for i in range(300):
        assert lib.error_of(os.stat, shop.path(f"queries/big/customer=a,min=x{i}.json")) == "EINVAL"
    assert refusals(shop)[-1]["name"] == "customer=a,min=x299" and refusals(shop)[0]["name"] != "customer=a,min=x0"
    assert os.stat(shop.path("queries/big/.rejections.ndjson")).st_size <= 16384
    assert [line["name"] for line in refusals(shop, "slow")] == ["n=x"], "it has a room of its own"


def test_rm_evicts(shop):
    shop.ok("cat queries/big/customer=alice.json queries/big/customer=bob.json")
    shop.ok("rm queries/big/customer=alice.json")
    assert names(shop, "queries/big") == ["call", "customer=bob.json"]
    shop.fails("rm queries/big/customer=alice.json", "No such file")
    assert lib.error_of(os.unlink, shop.path("queries/big/call")) == "EPERM"
    shop.sh("rm -rf queries")
    assert names(shop, "queries") == ["all", "big", "broken", "mine", "slow"], "nothing but what was cached"
    assert names(shop, "queries/big") == ["call"]


def test_what_cannot_be_done(shop):
    shop.ok("cat queries/all/all.json")
    for call, *arguments in [(os.mkdir, "queries/new"), (os.mkdir, "queries/big/new"), (os.rmdir, "queries/big"),
                             (os.rename, "queries/all/all.json", "queries/big/customer=x.json"),
                             (os.mknod, "queries/big/other"), (os.truncate, "queries/all/all.json", 0)]:
        paths = [a if isinstance(a, int) else shop.path(a) for a in arguments]
        assert lib.error_of(call, *paths) == "EPERM", (call, arguments)


def test_a_query_that_fails(shop):
    for _ in range(2):
        shop.fails("cat queries/broken/all.json", "Input/output error")
    assert "never" in json.dumps(last_error(shop))
    assert names(shop, "queries/broken") == ["call"]


def test_what_was_opened_stays_what_it_was(shop):
    with open(shop.path("queries/big/customer=alice.json"), "rb", buffering=0) as f:
        begin = f.read(3)
        placed(shop, 5, "alice", 100)
        barrier(shop)
        assert json.loads(shop.read("queries/big/customer=alice.json"))["total"] == 112
        assert json.loads(begin + f.read())["total"] == 12


def test_copies(shop, place):
    lib.need("rsync")
    shop.ok("cat queries/big/customer=alice.json queries/all/all.json > /dev/null")
    assert shop.ok(f"tar -cf {place}/q.tar queries 2>&1") == ""
    assert shop.ok(f"tar -df {place}/q.tar 2>&1") == ""
    assert shop.ok(f"rsync -ai --exclude=call queries/ {place}/copy/") != ""
    assert shop.ok(f"rsync -ai --exclude=call queries/ {place}/copy/") == ""
    assert shop.ok(f"cat {place}/copy/big/customer=alice.json").startswith('{"customer":"alice"')


def test_many_results_are_listed(shop):
    n = lib.size(1500, 200)
    for i in range(n):
        shop.read(f"queries/big/customer=c{i}.json")
    listed = names(shop, "queries/big")
    assert len(listed) == len(set(listed)) and set(listed) == {"call", *(f"customer=c{i}.json" for i in range(n))}


def test_an_open_can_be_interrupted(shop):
    n = lib.size(100, 40)
    readers = [lib.start(["cat", shop.path(f"queries/slow/n={n + i}.json")], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE) for i in range(6)]
    time.sleep(0.1)
    assert all(reader.poll() is None for reader in readers), "they should wait"
    begin = time.monotonic()
    readers[0].send_signal(signal.SIGINT)
    readers[-1].send_signal(signal.SIGKILL)
    for reader, how in ((readers[0], signal.SIGINT), (readers[-1], signal.SIGKILL)):
        reader.communicate(timeout=lib.limit(10))
        assert reader.returncode == -how
    assert time.monotonic() - begin < lib.limit(1)
    for i, reader in enumerate(readers[1:-1], 1):
        out, err = reader.communicate(timeout=lib.limit(60))
        assert json.loads(out) == {"bytes": (n + i) * 1000000}, err


def test_the_mount_ends_with_readers_that_wait(shop):
    n = lib.size(100, 40)
    readers = [lib.start(["cat", shop.path(f"queries/slow/n={n + i}.json")], stdout=subprocess.PIPE,
                         stderr=subprocess.PIPE) for i in range(6)]
    time.sleep(0.1)
    begin = time.monotonic()
    shop.term()
    assert time.monotonic() - begin < lib.limit(5)
    for reader in readers:
        out, err = reader.communicate(timeout=lib.limit(5))
        assert (reader.returncode, out) == (1, b"") and lib.says_ended(err), err


# --- call

def test_call_from_shells(shop):
    for shell in ("bash", "dash"):
        out = shop.ok("exec 3<> queries/big/call; echo '{\"customer\":\"alice\"}' >&3; read -r line <&3; "
                      "echo \"$line\"; echo '{ \"customer\": \"bob\", \"min\": 3 }' >&3; read -r line <&3; echo \"$line\"",
                      shell=shell).split("\n")
        assert [json.loads(line)["total"] for line in out] == [12, 1], shell
    shop.ok("echo '{\"customer\":\"alice\"}' > queries/big/call")
    assert shop.read("queries/big/call") == b""
    assert stat.S_IMODE(os.stat(shop.path("queries/big/call")).st_mode) == 0o660


def calling(mount, query="big"):
    return os.open(mount.path("queries", query, "call"), os.O_RDWR)


def answers(fd):
    text = b""
    while piece := os.read(fd, 1 << 16):
        text += piece
    return [json.loads(line) for line in text.splitlines()]


def test_call_from_python(shop):
    fd = calling(shop)
    assert answers(fd) == []
    for i in range(3):
        text = b'{"customer":"alice","min":%d}' % i
        assert os.write(fd, text) == len(text)
        assert answers(fd) == [{"customer": "alice", "min": i, "total": 12}]
    for piece in (b" \n{", b'"customer"', b': "bo', b'b"', b"}\n"):
        assert os.write(fd, piece) == len(piece)
    assert answers(fd) == [{"customer": "bob", "min": None, "total": 1}]
    both = b'{"customer":"alice"} {"customer":"bob"}\n'
    taken = os.write(fd, both)
    assert taken == both.index(b"}") + 2, "up to the end of the first"
    assert os.write(fd, both[taken:]) == len(both) - taken
    assert os.read(fd, 5) == b'{"cus', "bit by bit"
    os.close(fd)
    fd = calling(shop)
    os.write(fd, both[:taken])
    os.write(fd, both[taken:])
    assert [a["total"] for a in answers(fd)] == [12, 1]
    os.close(fd)


@pytest.mark.parametrize("text, wrong", [
    (b"[1]\n", "EBADMSG"), (b"x", "EBADMSG"), (b'{"customer":}', "EBADMSG"),
    (b'{"customer":"a","customer":"b"}', "EBADMSG"), (b'{"customer":7}', "EINVAL"), (b"{}", "EINVAL"),
    (b'{"customer":"a","x":1}', "EINVAL")])
def test_call_refuses(shop, text, wrong):
    fd = calling(shop)
    for _ in range(2):
        assert lib.error_of(os.write, fd, text) == wrong
    assert os.write(fd, b'{"customer":"alice"}') and answers(fd)[0]["total"] == 12, "all of it had come in one write"
    os.close(fd)


def test_what_is_refused_in_pieces_stays_refused(shop):
    fd = calling(shop)
    assert os.write(fd, b'{"customer"') == 11
    for text in (b":7}", b'{"customer":"alice"}', b"\n"):
        assert lib.error_of(os.write, fd, text) == "EINVAL"
    os.close(fd)
    fd = calling(shop)
    assert os.write(fd, b'{"customer":') == 12
    for text in (b"[" * 600, b'"alice"}'):
        assert lib.error_of(os.write, fd, text) == "EBADMSG"
    assert [line["params"][:13] for line in refusals(shop)] == ['{"customer":7', '{"customer":[']
    os.close(fd)


def test_call_is_bounded(shop):
    fd = calling(shop)
    text = b'{"customer":"%s"}' % (b"x" * (1 << 20))
    with pytest.raises(OSError) as e:
        while text:
            text = text[os.write(fd, text):]
    assert lib.error_of(lambda: (_ for _ in ()).throw(e.value)) == "EMSGSIZE"
    assert lib.error_of(os.write, fd, b"{}") == "EMSGSIZE"
    os.close(fd)


def test_a_call_that_is_cut_off(shop):
    fd = calling(shop)
    os.write(fd, b'{"customer":')
    assert lib.error_of(os.close, fd) == "EBADMSG"


def test_a_call_that_fails(shop):
    fd = calling(shop, "broken")
    for _ in range(2):
        assert lib.error_of(os.write, fd, b"{}") == "EIO"
    assert answers(fd) == []
    os.close(fd)


def test_calls_do_not_wait_for_each_other(shop):
    """The kernel holds an inode while it is written to: each opener has one of his own."""
    slow = calling(shop, "slow")
    writer = threading.Thread(target=os.write, args=(slow, b'{"n":%d}' % lib.size(200, 60)))
    fd = calling(shop, "slow")
    writer.start()
    time.sleep(0.05)
    for _ in range(20):
        assert lib.error_of(os.write, fd, b'{"n":"x"}') == "EINVAL"
        assert os.write(fd, b" ") == 1
    assert writer.is_alive(), "it should still be at it"
    writer.join(lib.limit(30))
    assert answers(slow) == [{"bytes": lib.size(200, 60) * 1000000}]
    os.close(fd)
    os.close(slow)


def test_a_call_can_be_interrupted(shop):
    """What was interrupted was not written: the same can be written again."""
    program = ("import errno, os, signal, sys\nsignal.signal(signal.SIGALRM, lambda *_: 1 / 0)\n"
               "signal.setitimer(signal.ITIMER_REAL, 0.1)\nfd = os.open(sys.argv[1], os.O_RDWR)\n"
               "os.write(fd, b'{\"n\"')\n"
               "try:\n    os.write(fd, b':%d}' % int(sys.argv[2]))\nexcept ZeroDivisionError:\n    pass\n"
               "else:\n    sys.exit('not interrupted')\n"
               "os.write(fd, b':1}')\nprint(os.read(fd, 100).decode())\n")
    done = lib.run([sys.executable, "-c", program, shop.path("queries/slow/call"), str(lib.size(200, 60))])
    assert done.rc == 0 and json.loads(done.out) == {"bytes": 1000000}, done


# --- who may

LIST = f"allow = {{ users = {{ {READER} }}, groups = {{ {READERS} }} }},"


@pytest.fixture
def listed(daemons, place):
    lib.need_root()
    return orders(daemons, place, ["allow_other"], {
        **QUERIES, "queries/big.lua": BIG.replace("return {", "return { " + LIST, 1),
        "queries/mine.lua": MINE.replace("return {", "return { allow = { anyone = true },", 1)})


def opening(mount, name, flags=os.O_RDONLY):
    return lib.error_of(lambda: os.close(os.open(mount.path(name), flags)))


def test_a_list_says_who_asks(listed):
    name = "queries/big/customer=alice.json"
    for who in ((READER, NOBODYS), (STRANGER, READERS), (STRANGER, NOBODYS, [READERS])):
        with user(*who):
            assert json.loads(listed.read(name))["total"] == 12
            fd = calling(listed)
            os.write(fd, b'{"customer":"bob"}')
            assert answers(fd)[0]["total"] == 1
            os.close(fd)
    for who in ((STRANGER, NOBODYS), (0, 0)):
        with user(*who):
            for flags in (os.O_RDONLY, os.O_RDWR):
                assert opening(listed, "queries/big/call", flags) == "EACCES"
            assert opening(listed, name) == "EACCES", "cached"
            assert opening(listed, "queries/big/customer=nobody.json") == "EACCES", "or not"
            assert lib.error_of(os.unlink, listed.path(name)) == "EACCES"
    with user(STRANGER, NOBODYS):
        assert lib.error_of(os.listdir, listed.path("queries/big")) == "EACCES"
        assert set(names(listed, "queries")) >= {"mine"}
        assert lib.error_of(os.stat, listed.path("queries/big/min=x.json")) == "EACCES"
        assert lib.error_of(os.stat, listed.path("queries/big/.rejections.ndjson")) == "EACCES"
    with user(READER, NOBODYS):
        assert refusals(listed) == [], "strangers leave no traces"
        assert lib.error_of(os.stat, listed.path("queries/big/min=x.json")) == "EINVAL"
        assert [line["uid"] for line in refusals(listed)] == [READER]
        os.unlink(listed.path(name))


def test_results_of_each_caller(listed):
    for uid in (READER, STRANGER, READER, STRANGER):
        with user(uid, NOBODYS):
            for _ in range(2):
                assert json.loads(listed.read("queries/mine/all.json")) == {"uid": uid}
            assert shown(listed, "queries/mine/all.json") == {"uid": uid}
    with user(READER, NOBODYS):
        fd = calling(listed, "mine")
    os.write(fd, b"{}")
    assert answers(fd) == [{"uid": READER}], "who opened it"
    os.close(fd)


def test_modes_and_acls_show_who_may(listed):
    lib.need("getfacl")
    with user(READER, NOBODYS):
        listed.read("queries/big/customer=alice.json")

    def acl(name):
        return set(listed.ok(f"getfacl -cnE {name}").split())
    assert acl("queries/big/call") == {"user::---", f"user:{READER}:rw-", "group::---", f"group:{READERS}:rw-",
                                       "mask::rw-", "other::---"}
    assert acl("queries/big/customer=alice.json") == {"user::---", f"user:{READER}:r--", "group::---",
                                                      f"group:{READERS}:r--", "mask::r--", "other::---"}
    assert acl("queries/big") == {"user::r-x", f"user:{READER}:rwx", "group::r-x", f"group:{READERS}:rwx", "mask::rwx",
                                  "other::---"}
    assert {stat.S_IMODE(os.stat(listed.path("queries", name)).st_mode) for name in ("mine/call",)} == {0o666}
    assert stat.S_IMODE(os.stat(listed.path("queries/mine")).st_mode) == 0o777
    assert stat.S_IMODE(os.stat(listed.path("queries/all/call")).st_mode) == 0o660


# --- changes of the domain

def test_a_reload_changes_results(shop):
    name = "queries/big/customer=alice.json"
    assert json.loads(shop.read(name))["total"] == 12
    shop.domain.edit("queries/big.lua", "v.total or null", "-v.total or null")
    assert reload(shop) is None
    assert json.loads(shop.read(name))["total"] == -12
    shop.domain.remove("queries/big.lua")
    assert reload(shop) is None
    assert names(shop, "queries") == ["all", "broken", "mine", "slow"]
    for path in (name, "queries/big", "queries/big/call"):
        assert lib.error_of(os.stat, shop.path(path)) == "ENOENT", path
    shop.domain.put("queries/big.lua", BIG)
    assert reload(shop) is None
    assert json.loads(shop.read(name))["total"] == 12


def test_read_only(shop):
    shop.restart([*shop.options, "ro"])
    assert json.loads(shop.read("queries/big/customer=alice.json"))["total"] == 12
    assert names(shop, "queries/big") == ["call", "customer=alice.json"]
    assert lib.error_of(calling, shop) == "EROFS", "the kernel lets nothing be opened for writing"


def test_numbers_stay(shop):
    shop.ok("cat queries/big/customer=alice.json")

    def numbers():
        return {name: os.stat(shop.path(name)).st_ino
                for name in ("queries/big", "queries/big/call", "queries/big/customer=alice.json", "queries/all")}
    before = numbers()
    assert len(set(before.values())) == 4
    with os.scandir(shop.path("queries/big")) as found:
        assert {e.inode() for e in found if not e.name.startswith(".")} == {before["queries/big/call"], before["queries/big/customer=alice.json"]}
    shop.restart()
    assert numbers() == before


def test_readers_while_a_writer_is_at_work(shop):
    """Each gets one whole result, and never an older one than before."""
    program = ("import json, sys, time\nend, last, n = time.monotonic() + 3, 0, 0\n"
               "while time.monotonic() < end:\n"
               "    total = json.loads(open(sys.argv[1], 'rb').read())['total']\n"
               "    assert total >= last, (total, last)\n    last, n = total, n + 1\nprint(n)\n")
    readers = [subprocess.Popen([sys.executable, "-c", program, shop.path("queries/big/customer=alice.json")],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    end, i = time.monotonic() + 3, 100
    while time.monotonic() < end:
        placed(shop, i, "alice")
        i += 1
    for reader in readers:
        out, err = reader.communicate(timeout=lib.limit(30))
        assert reader.returncode == 0 and int(out) > 10, err.decode()
