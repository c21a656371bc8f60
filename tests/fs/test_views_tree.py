"""views/ as a tree: what is listed, what files and links show, what can be done there, and who may."""

import json
import os
import signal
import stat
import subprocess
import sys
import time

import pytest

import lib
from lib_domain import reload
from lib_user import user
from lib_views import BY_CUSTOMER, BY_STATUS, FILES, SAID, barrier, names, orders, placed, said, shown

READER, STRANGER = 61002, 61009
READERS, NOBODYS = 62002, 62009


@pytest.fixture
def shop(daemons, place):
    return orders(daemons, place)


# --- projections

def test_what_is_listed(shop):
    assert names(shop, "views") == ["by_customer", "by_status", "said"]
    assert sorted(os.listdir(shop.path("views/by_customer"))) == [
        ".parked", ".rebuild", ".status.json", "alice.json", "bob.json"]
    assert sorted(os.listdir(shop.path("views/by_status"))) == [".parked", ".rebuild", ".status.json", "alice", "bob"]
    assert sorted(os.listdir(shop.path("views/said/.parked"))) == ["retry", "skipped"]
    assert os.listdir(shop.path("views/said/.parked/retry")) == []
    assert shop.ok("find views -type f | sort").split() == [
        "views/by_customer/.rebuild", "views/by_customer/.status.json", "views/by_customer/alice.json",
        "views/by_customer/bob.json", "views/by_status/.rebuild", "views/by_status/.status.json",
        "views/said/.rebuild", "views/said/.status.json", "views/said/1.json", "views/said/2.json",
        "views/said/3.json"]
    assert shop.ok("cd views/by_customer && echo *.json") == "alice.json bob.json"


def test_files_have_their_size_and_the_time_of_their_last_event(shop):
    assert shown(shop, "views/by_customer/alice.json") == {"orders": 2, "total": 12}
    assert shown(shop, "views/by_customer/bob.json") == {"orders": 1, "total": 1}
    at = lib.event_time_ns(shop.events("order/2")[0])
    st = os.stat(shop.path("views/by_customer/alice.json"))
    assert (st.st_mtime_ns, st.st_ctime_ns, st.st_nlink, stat.S_IMODE(st.st_mode)) == (at, at, 1, 0o440)
    assert shop.ok("wc -c < views/by_customer/alice.json") == str(st.st_size)
    assert shop.ok("jq -c .total views/by_customer/*.json").split() == ["12", "1"]
    placed(shop, 4, "bob", 10)
    barrier(shop)
    assert shown(shop, "views/by_customer/bob.json") == {"orders": 2, "total": 11}


def test_names_of_keys_are_escaped(shop):
    keys = {".hidden": "%2Ehidden", "a/b": "a%2Fb", "100%": "100%25", "\n": "%0A", "": "%", "ü €": "ü €"}
    for n, key in enumerate(keys):
        placed(shop, 10 + n, key)
    barrier(shop)
    for key, name in keys.items():
        assert shown(shop, "views/by_customer", name + ".json")["orders"] == 1, key
    assert set(names(shop, "views/by_customer")) == {f"{name}.json" for name in [*keys.values(), "alice", "bob"]}
    for name in ("nobody.json", "alice", "alice.json.json", ".json", "a%2fb.json", "x" * 251 + ".json"):
        wrong = "ENAMETOOLONG" if len(name) > 255 else "ENOENT"
        assert lib.error_of(os.stat, shop.path("views/by_customer", name)) == wrong, name


def test_what_was_opened_stays_what_it_was(shop):
    """Also when the file has changed since, and when it has gone."""
    with open(shop.path("views/said/1.json"), "rb", buffering=0) as f:
        first = f.read(3)
        said(shop, 1, text="news")
        barrier(shop)
        assert json.loads(first + f.read()) == {"placed": True}
        assert shown(shop, "views/said/1.json") == {"placed": True, "text": "news"}
        said(shop, 1, remove=True)
        barrier(shop)
        assert json.loads(os.pread(f.fileno(), 1000, 0)) == {"placed": True}
        assert lib.error_of(os.stat, shop.path("views/said/1.json")) == "ENOENT"
        assert names(shop, "views/said") == ["2.json", "3.json"]


LARGE = """return {
  from = { "order" },
  key = function(e) return e.subject end,
  init = function() return { n = 0 } end,
  on = { ["*"] = function(view) view.n = view.n + 1 end },
  output = function(view, key) return { n = view.n, key = key, pad = string.rep(tostring(view.n), 4000000) } end,
}
"""


def test_what_was_looked_up_long_ago(daemons, place):
    """The daemon keeps 64 MiB of texts between LOOKUP and OPEN. When one has gone it is fetched again; when it has
    changed by then, this reader gets all of the new one."""
    shop = orders(daemons, place, files={**FILES, "views/large.lua": LARGE})
    n = 20
    shop.append("", *[{"type": "Say", "aggregate": f"order/{i}", "data": {}} for i in range(100, 100 + n)])
    barrier(shop)
    looked_up = {name: os.open(shop.path("views/large", name), os.O_PATH) for name in ("2.json", "3.json")}
    said(shop, 3)
    barrier(shop)
    for i in range(100, 100 + n):
        assert os.stat(shop.path(f"views/large/{i}.json")).st_size > 4000000
    for name, times in (("2.json", 1), ("3.json", 2)):
        with open(f"/proc/self/fd/{looked_up[name]}", "rb") as f:
            seen = json.loads(f.read())
        assert (seen["n"], seen["key"]) == (times, name[0]) and set(seen["pad"]) == {str(times)}, name
        assert shop.read("views/large", name) == json.dumps(seen, separators=(",", ":")).encode() + b"\n"
        os.close(looked_up[name])


def test_a_file_can_be_mapped(shop):
    done = shop.ok(f"{sys.executable} -c 'import mmap; f = open(\"views/said/1.json\", \"rb\");"
                   "print(mmap.mmap(f.fileno(), 0, mmap.MAP_SHARED, mmap.PROT_READ)[:].decode().strip())'")
    assert json.loads(done) == {"placed": True}


FAILING_OUTPUT = BY_CUSTOMER.replace("from =", 'output = function(v, key) if key == "bob" then error("no") end return v '
                                     "end, from =")


def test_a_file_whose_output_failed_is_there_and_cannot_be_read(daemons, place):
    shop = orders(daemons, place, files={**FILES, "views/by_customer.lua": FAILING_OUTPUT})
    assert names(shop, "views/by_customer") == ["alice.json", "bob.json"]
    assert os.stat(shop.path("views/by_customer/bob.json")).st_size == 0
    assert lib.error_of(shop.read, "views/by_customer/bob.json") == "EIO"
    assert shown(shop, "views/by_customer/alice.json")["orders"] == 2


def test_an_aggregate_has_its_part(shop):
    assert sorted(os.listdir(shop.path("order/1/views"))) == ["said.json", "state.json"]
    assert shown(shop, "order/1/views/said.json") == shown(shop, "views/said/1.json") == {"placed": True}
    said(shop, 1, text="x")
    barrier(shop)
    assert shown(shop, "order/1/views/said.json") == {"placed": True, "text": "x"}
    for name in ("by_customer.json", "by_status.json", "said", "nothing.json"):
        assert lib.error_of(os.stat, shop.path("order/1/views", name)) == "ENOENT", name
    said(shop, 1, remove=True)
    barrier(shop)
    assert os.listdir(shop.path("order/1/views")) == ["state.json"]


def test_status(shop):
    status = shown(shop, "views/by_customer/.status.json")
    assert status["position"] == "%016x" % 4, status
    assert os.stat(shop.path("views/by_customer/.status.json")).st_size > 0


# --- indexes

def test_links_lead_to_the_aggregates(shop):
    assert shop.ok("cd views/by_status && find . -type l | sort").split() == [
        "./alice/paid/1", "./alice/placed/2", "./bob/placed/3"]
    link = shop.path("views/by_status/alice/placed/2")
    assert os.readlink(link) == "../../../../order/2"
    assert os.lstat(link).st_size == len(os.readlink(link))
    assert shop.ok("readlink -f views/by_status/alice/paid/1") == shop.path("order/1")
    assert shop.ok("cat views/by_status/alice/*/*/version").split() == ["2", "1"]
    assert shop.ok("ls -F views/by_status/alice/placed") == "2@"
    assert os.lstat(link).st_mtime_ns == os.stat(link).st_mtime_ns
    with os.scandir(shop.path("views/by_status/alice/placed")) as found:
        for entry in found:
            assert entry.is_symlink() and entry.inode() == os.lstat(link).st_ino


def test_links_move_and_directories_vanish(shop):
    held = os.open(shop.path("views/by_status/alice/placed"), os.O_RDONLY | os.O_DIRECTORY)
    shop.append("order/2", {"type": "Pay"})
    barrier(shop)
    assert names(shop, "views/by_status/alice") == ["paid"]
    assert names(shop, "views/by_status/alice/paid") == ["1", "2"]
    assert lib.error_of(os.listdir, shop.path("views/by_status/alice/placed")) == "ENOENT"
    assert lib.error_of(os.stat, shop.path("views/by_status/alice/placed/2")) == "ENOENT"
    assert lib.error_of(os.listdir, held) in ("ESTALE", "ENOENT", None)
    os.close(held)
    placed(shop, 9, "alice")
    barrier(shop)
    assert names(shop, "views/by_status/alice/placed") == ["9"], "a directory of the same name"
    assert shop.ok("readlink -f views/by_status/alice/placed/9") == shop.path("order/9")


def test_parents_of_directories(shop):
    assert shop.ok("cd views/by_status/alice/placed/.. && ls") == "paid\nplaced"
    assert shop.ok("cd -P views/by_status/alice/placed/../.. && pwd -P") == shop.path("views/by_status")
    def inode(path):
        return os.stat(shop.path("views/by_status", path)).st_ino
    assert inode("alice/placed/..") == inode("alice") and inode("alice/..") == inode(".")


def test_an_index_without_levels(daemons, place):
    flat = 'return { kind = "index", path = function(order) return {} end }'
    shop = orders(daemons, place, files={**FILES, "views/by_status.lua": flat})
    assert names(shop, "views/by_status") == ["1", "2", "3"]
    assert os.readlink(shop.path("views/by_status/1")) == "../../order/1"
    assert shop.ok("readlink -f views/by_status/1") == shop.path("order/1")


# --- many

def test_long_listings(daemons, place):
    """More than a READDIR takes: each name once, files and links, directories and links beside each other."""
    wide = 'return { kind = "index", path = function(order) if order.total < 10 then return { order.customer } end ' \
           'return {} end }'
    shop = orders(daemons, place, files={**FILES, "views/by_status.lua": wide})
    n = lib.size(3000, 300)
    shop.append("", *[{"type": "Place", "aggregate": f"order/{i}",
                       "data": {"customer": f"customer of {i}", "total": i % 20}} for i in range(100, 100 + n)])
    barrier(shop)
    keys = {"alice.json", "bob.json", *(f"customer of {i}.json" for i in range(100, 100 + n))}
    listed = names(shop, "views/by_customer")
    assert len(listed) == len(set(listed)) and set(listed) == keys
    mixed = {"alice", "bob", *(f"customer of {i}" if i % 20 < 10 else str(i) for i in range(100, 100 + n))}
    listed = names(shop, "views/by_status")
    assert len(listed) == len(set(listed)) and set(listed) == mixed
    assert shop.ok("ls -f views/by_customer | wc -l") == str(len(keys) + 5)
    assert shop.ok("find views/by_status -type l | wc -l") == str(n + 3)
    assert shop.ok("ls -lR views > /dev/null && cat views/by_customer/*.json | wc -l") == str(len(keys))


# --- copies

def test_copies_are_whole_and_nothing_is_new_the_second_time(shop, place):
    lib.need("rsync")
    tar = os.path.join(place, "views.tar")
    assert shop.ok(f"tar -cf {tar} views 2>&1") == ""
    assert shop.ok(f"tar -df {tar} 2>&1") == "", "compares bytes, sizes and times"
    assert shop.ok(f"rsync -ai --exclude=.rebuild views/ {place}/copy/") != ""
    assert shop.ok(f"rsync -ai --exclude=.rebuild views/ {place}/copy/") == ""
    assert shop.ok(f"diff -r --no-dereference --exclude=.rebuild views {place}/copy") == ""


def test_the_numbers_of_files_stay(shop):
    def numbers():
        paths = shop.ok("find views queries -not -name '.*' | sort").split("\n")
        return {path: os.lstat(shop.path(path)).st_ino for path in paths}
    before = numbers()
    assert len(set(before.values())) == len(before)
    for path, ino in before.items():
        assert path in ("views", "queries") or ino == next(
            e.inode() for e in os.scandir(shop.path(os.path.dirname(path))) if e.name == os.path.basename(path)), path
    shop.restart()
    barrier(shop)
    assert numbers() == before
    shop.ok("for view in views/*/; do echo > $view/.rebuild; done")
    barrier(shop)
    lib.wait_until(lambda: not any(b"rebuil" in shop.read("views", v, ".status.json") for v in names(shop, "views")))
    files = {path: ino for path, ino in numbers().items() if not path.startswith("views/by_status/")}
    assert files == {path: ino for path, ino in before.items() if path in files}, "a build anew changes no file"
    placed(shop, 7, "alice")
    barrier(shop)
    assert numbers()["views/by_customer/alice.json"] == before["views/by_customer/alice.json"]


def test_read_only(shop):
    before = {name: shop.read(name) for name in ("views/by_customer/alice.json", "order/1/views/said.json")}
    shop.restart([*shop.options, "ro"])
    for name, text in before.items():
        assert shop.read(name) == text
    assert os.readlink(shop.path("views/by_status/alice/placed/2")) == "../../../../order/2"
    assert shop.ok("find views -type l | wc -l") == "3"
    assert lib.error_of(lambda: open(shop.path("views/said/.rebuild"), "w").write("1\n")) == "EROFS"


# --- what cannot be done

def test_views_cannot_be_changed_by_hand(shop):
    for call, *arguments in [
            (os.mkdir, "views/new"), (os.mkdir, "views/by_customer/new"), (os.rmdir, "views/by_customer"),
            (os.rmdir, "views/by_status/alice"), (os.rmdir, "views/said/.parked/retry"),
            (os.unlink, "views/by_customer/alice.json"), (os.unlink, "views/by_status/alice/placed/2"),
            (os.unlink, "views/said/.status.json"), (os.unlink, "views/said/.rebuild"),
            (os.symlink, "views/by_status/x"), (os.mknod, "views/by_customer/new.json"),
            (os.rename, "views/by_customer/alice.json", "views/by_customer/carol.json"),
            (os.rename, "views/by_customer/alice.json", "views/said/.parked/retry/alice.json"),
            (os.rename, "views/by_customer", "views/said/.parked/retry/by_customer"),
            (os.rename, "order/1/events/0000000001-Placed.json", "views/said/.parked/retry/0000000000000001.json")]:
        paths = [shop.path(a) for a in arguments]
        if call is os.symlink:
            paths.insert(0, "nowhere")
        assert lib.error_of(call, *paths) == "EPERM", (call, arguments)
    for name in ("views/by_customer/alice.json", "views/said/.status.json"):
        assert lib.error_of(lambda n=name: open(shop.path(n), "r+b")) == "EPERM", name
        assert lib.error_of(os.chmod, shop.path(name), 0o666) == "EPERM"
        assert lib.error_of(os.truncate, shop.path(name), 0) == "EPERM"
    for name in ("views", "views/by_customer", "views/by_status/alice", "views/said/.parked"):
        assert not os.access(shop.path(name), os.W_OK), name
    assert os.access(shop.path("views/said/.parked/retry"), os.W_OK)


def test_without_a_domain_there_are_none(mount):
    assert not {"views", "queries"} & set(os.listdir(mount.mnt))
    for name in ("views", "queries", ".esfs/barrier", ".esfs/barrier@1s"):
        assert lib.error_of(os.stat, mount.path(name)) == "ENOENT", name


# --- parked events

def position(mount, aggregate, version):
    return mount.events(aggregate)[version - 1]["position"]


@pytest.fixture
def failed(shop):
    """Three events of order/1 that `said` fails on or has waiting, one of order/2 that it fails on."""
    said(shop, 1, fail=True)
    said(shop, 1, text="waits")
    said(shop, 2, fail=True)
    barrier(shop)
    shop.parked = [position(shop, "order/1", 3), position(shop, "order/1", 4), position(shop, "order/2", 2)]
    return shop


def parked(mount):
    return sorted(name for name in os.listdir(mount.path("views/said/.parked")) if name.endswith(".json"))


def mended(mount):
    mount.domain.edit("views/said.lua", "if e.data.fail then error(\"as it was told\") end",
                      "if e.data.fail then view.mended = true end")
    assert reload(mount) is None


def test_what_fails_is_parked(failed):
    assert set(parked(failed)) >= {f"{failed.parked[0]}.json", f"{failed.parked[2]}.json"}
    text = shown(failed, f"views/said/.parked/{failed.parked[0]}.json")
    assert text["event"]["position"] == failed.parked[0] and "as it was told" in json.dumps(text)
    st = os.stat(failed.path(f"views/said/.parked/{failed.parked[0]}.json"))
    assert stat.S_IMODE(st.st_mode) == 0o440
    assert st.st_mtime_ns == lib.event_time_ns(failed.events("order/1")[2])
    assert shown(failed, "views/said/1.json") == {"placed": True}
    for name in ("0000000000000001.json", "0000000000000000.json", "ffffffffffffffff.json", "1.json", "x.json",
                 failed.parked[0], f"{failed.parked[0].upper()}.jsoN"):
        assert lib.error_of(os.stat, failed.path("views/said/.parked", name)) == "ENOENT", name


def test_a_parked_event_cannot_be_removed_or_renamed(failed):
    one = failed.path(f"views/said/.parked/{failed.parked[0]}.json")
    before = parked(failed)
    failed.fails(f"rm -f views/said/.parked/{failed.parked[0]}.json", "Operation not permitted")
    for target in (".parked/other.json", ".parked/retry/other.json", ".parked/skipped/other.json",
                   f"{failed.parked[0]}.json", f"../by_customer/.parked/retry/{failed.parked[0]}.json",
                   f"../by_customer/{failed.parked[0]}.json"):
        assert lib.error_of(os.rename, one, failed.path("views/said", target)) == "EPERM", target
    assert parked(failed) == before


def test_skipping(failed):
    first, second, _ = failed.parked
    failed.ok(f"mv views/said/.parked/{first}.json views/said/.parked/skipped/")
    barrier(failed)
    assert parked(failed) == [f"{failed.parked[2]}.json"]
    assert os.listdir(failed.path("views/said/.parked/skipped")) == [f"{first}.json"]
    assert shown(failed, "views/said/1.json") == {"placed": True, "text": "waits"}
    failed.fails(f"mv views/said/.parked/{first}.json views/said/.parked/skipped/", "No such file")


def test_retrying(failed):
    mended(failed)
    barrier(failed)
    for name in parked(failed):
        failed.sh(f"mv views/said/.parked/{name} views/said/.parked/retry/")
    barrier(failed)
    assert parked(failed) == []
    assert shown(failed, "views/said/1.json") == {"placed": True, "mended": True, "text": "waits"}
    assert shown(failed, "views/said/2.json") == {"placed": True, "mended": True}


def test_retrying_what_fails_again(failed):
    first, *_ = failed.parked
    failed.fails(f"mv views/said/.parked/{first}.json views/said/.parked/retry/", "Input/output error")
    assert f"{first}.json" in parked(failed)
    assert os.listdir(failed.path("views/said/.parked/retry")) == []


def test_a_retry_that_waits_can_be_interrupted(failed):
    """While a view is being rebuilt a retry waits for the new build."""
    failed.domain.edit("views/said.lua", "Said = function(view, e)", "Said = function(view, e) "
                       "if e.data.slow then for i = 1, 400000 do view.x = i end end")
    failed.append("", *[{"type": "Say", "aggregate": "order/3", "data": {"slow": True}} for _ in range(5000)])
    barrier(failed)  # what serves is at the end: the new build has all the way to go
    assert reload(failed) is None
    begin = time.monotonic()
    mv = lib.start(["mv", failed.path(f"views/said/.parked/{failed.parked[2]}.json"),
                    failed.path("views/said/.parked/retry/")], stderr=subprocess.PIPE)
    time.sleep(0.3)
    assert mv.poll() is None, "it should wait"
    assert failed.version("order/3") > 5000, "others are served"
    mv.send_signal(signal.SIGINT)
    mv.communicate(timeout=lib.limit(10))
    assert mv.returncode == -signal.SIGINT and time.monotonic() - begin < lib.limit(2)
    program = "import os, sys\nos.rename(*sys.argv[1:])"
    name = f"{failed.parked[2]}.json"
    mv = lib.start([sys.executable, "-c", program, failed.path("views/said/.parked", name),
                    failed.path("views/said/.parked/retry", name)], stderr=subprocess.PIPE)
    time.sleep(0.3)
    assert mv.poll() is None
    failed.term()
    _, err = mv.communicate(timeout=lib.limit(10))
    assert mv.returncode == 1 and lib.says_ended(err), err


# --- who may

VIEW_LIST = f"allow = {{ users = {{ {READER} }}, groups = {{ {READERS} }} }},"


@pytest.fixture
def listed(daemons, place):
    """by_customer and by_status have a list, said has none."""
    lib.need_root()
    files = {**FILES, "views/by_customer.lua": BY_CUSTOMER.replace("return {", "return { " + VIEW_LIST, 1),
             "views/by_status.lua": BY_STATUS.replace("return {", "return { " + VIEW_LIST, 1)}
    return orders(daemons, place, ["allow_other"], files)


OPEN = ["views/by_customer/alice.json", "views/by_customer/bob.json"]


def opening(mount, name, flags=os.O_RDONLY):
    return lib.error_of(lambda: os.close(os.open(mount.path(name), flags)))


def test_a_list_says_who_reads_a_view(listed):
    for who in ((READER, NOBODYS), (STRANGER, READERS), (STRANGER, NOBODYS, [READERS])):
        with user(*who):
            for _ in range(2):
                for name in OPEN:
                    assert shown(listed, name)["total"]
                assert names(listed, "views/by_status/alice") == ["paid", "placed"]
                assert os.readlink(listed.path("views/by_status/alice/placed/2"))
                assert shown(listed, "views/by_status/.status.json")
            for name in ("views/said/1.json", "views/by_customer/.parked", "order/1/version", "order", "log.ndjson",
                         "views/by_status/alice/placed/2/version"):
                assert opening(listed, name) == "EACCES", name
            assert opening(listed, "views/by_customer/.rebuild", os.O_WRONLY) == "EACCES"
            assert "views" in os.listdir(listed.mnt)
    with user(STRANGER, NOBODYS):
        for name in (*OPEN, "views", "views/by_customer", "views/by_status/alice", "views/said/1.json",
                     "views/by_customer/.status.json"):
            assert opening(listed, name) == "EACCES", name


def test_root_is_not_exempt_where_a_view_has_a_list(listed):
    for name in OPEN:
        assert opening(listed, name) == "EACCES", name
    assert names(listed, "views/by_customer") == ["alice.json", "bob.json"], "names are the owner's"
    assert shown(listed, "views/by_customer/.status.json")
    assert shown(listed, "views/said/1.json"), "no list"
    listed.restart([*listed.options, "root_allowed"])
    for name in OPEN:
        assert opening(listed, name) is None, name


def test_not_even_by_a_descriptor_of_a_directory(listed):
    with user(READER, NOBODYS):
        fd = os.open(listed.path("views/by_customer"), os.O_RDONLY)
    with user(STRANGER, NOBODYS):
        assert lib.error_of(lambda: os.open("alice.json", os.O_RDONLY, dir_fd=fd)) == "EACCES"
    os.close(fd)


def acl_of(mount, name):
    lib.need("getfacl")
    return set(mount.ok(f"getfacl -cnE {name}").split())


def test_modes_and_acls_show_who_may(listed):
    read = {"user::---", f"user:{READER}:r--", "group::---", f"group:{READERS}:r--", "mask::r--", "other::---"}
    look = {"user::r-x", f"user:{READER}:r-x", "group::r-x", f"group:{READERS}:r-x", "mask::r-x", "other::---"}
    assert acl_of(listed, "views/by_customer/alice.json") == read
    for name in ("views", "views/by_customer", "views/by_status", "views/by_status/alice"):
        assert acl_of(listed, name) == look, name
    assert f"user:{READER}:r-x" in acl_of(listed, ".")
    def mode(name):
        return stat.S_IMODE(os.lstat(listed.path(name)).st_mode)
    assert {name: mode(name) for name in (
        "views/said", "views/said/1.json", "order/1/views/said.json", "views/said/.status.json", "views/said/.rebuild",
        "views/said/.parked", "views/said/.parked/retry", "views/by_status/alice/placed/2")} == {
        "views/said": 0o550, "views/said/1.json": 0o440, "order/1/views/said.json": 0o440,
        "views/said/.status.json": 0o440, "views/said/.rebuild": 0o200, "views/said/.parked": 0o550,
        "views/said/.parked/retry": 0o750, "views/by_status/alice/placed/2": 0o777}
    assert os.listxattr(listed.path("views/said/1.json")) == []


def test_a_reload_changes_who_may_read(listed):
    with user(READER, NOBODYS):
        assert shown(listed, OPEN[0])
    text = listed.domain.get("views/by_customer.lua").replace(VIEW_LIST, f"allow = {{ users = {{ {STRANGER} }} }},")
    listed.domain.put("views/by_customer.lua", text)
    assert reload(listed) is None
    with user(READER, NOBODYS):
        assert opening(listed, OPEN[0]) == "EACCES"
    with user(STRANGER, NOBODYS):
        lib.wait_until(lambda: opening(listed, OPEN[0]) is None)


def test_parked_events_are_the_owners_and_the_groups(daemons, place):
    lib.need_root()
    shop = orders(daemons, place, ["allow_other"], {**FILES, "views/said.lua": SAID.replace(
        "return {", "return { allow = { anyone = true },", 1)})
    said(shop, 1, fail=True)
    barrier(shop)
    one = parked(shop)[0]
    with user(STRANGER, NOBODYS):
        assert shown(shop, "views/said/1.json")
        assert opening(shop, f"views/said/.parked/{one}") == "EACCES"
        assert lib.error_of(os.rename, shop.path("views/said/.parked", one),
                            shop.path("views/said/.parked/skipped", one)) == "EACCES"
    with user(STRANGER, 0):
        assert shown(shop, f"views/said/.parked/{one}")
        assert lib.error_of(os.rename, shop.path("views/said/.parked", one),
                            shop.path("views/said/.parked/skipped", one)) == "EACCES", "of the group"
    assert parked(shop) == [one]


# --- changes of the domain

def test_a_view_that_is_taken_out_goes_and_one_that_is_put_in_comes(shop):
    before = shop.read("views/by_customer/alice.json")
    ino = os.stat(shop.path("views/by_customer/alice.json")).st_ino
    held = open(shop.path("views/by_customer/alice.json"), "rb")
    text = shop.domain.get("views/by_customer.lua")
    shop.domain.remove("views/by_customer.lua")
    assert reload(shop) is None
    assert names(shop, "views") == ["by_status", "said"]
    for name in ("views/by_customer", "views/by_customer/alice.json", "views/by_customer/.status.json",
                 "views/by_customer/.parked/retry"):
        assert lib.error_of(os.stat, shop.path(name)) == "ENOENT", name
    assert lib.error_of(os.listdir, shop.path("views/by_customer")) == "ENOENT"
    with held:
        assert held.read() == before
    shop.domain.put("views/by_customer.lua", text)
    assert reload(shop) is None
    barrier(shop)
    lib.wait_until(lambda: lib.error_of(shop.read, "views/by_customer/alice.json") is None)
    assert shop.read("views/by_customer/alice.json") == before
    assert os.stat(shop.path("views/by_customer/alice.json")).st_ino == ino


def test_a_changed_view_takes_over_at_once(shop):
    shop.domain.edit("views/by_customer.lua", "view.orders + 1, ", "view.orders + 100, ")
    assert reload(shop) is None
    lib.wait_until(lambda: json.loads(shop.read("views/by_customer/alice.json"))["orders"] == 200)
    assert shown(shop, "views/by_customer/bob.json") == {"orders": 100, "total": 1}


# --- while a writer is at work

READ_ON = """
import json, os, sys, time
path, seconds = sys.argv[1], float(sys.argv[2])
end, last, reads = time.monotonic() + seconds, -1, 0
while time.monotonic() < end:
    fd = os.open(path, os.O_RDONLY)
    size = os.fstat(fd).st_size
    text = b""
    while piece := os.read(fd, 4096):
        text += piece
        if len(text) == 4096 and reads % 3 == 0:
            time.sleep(0.002)
    os.close(fd)
    seen = json.loads(text)
    assert text.endswith(b"}\\n"), text[-20:]
    assert set(seen["pad"]) == {str(seen["n"] % 10)}, "the halves of two"
    assert seen["n"] >= last, (seen["n"], last)
    last, reads = seen["n"], reads + 1
print(reads, last)
"""

COUNT = """return {
  init = function() return { n = 0, pad = "" } end,
  on = { ["*"] = function(view) view.n = view.n + 1 end },
  output = function(view) return { n = view.n, pad = string.rep(tostring(view.n % 10), 5000 + view.n % 9000) } end,
}
"""


def test_no_reader_gets_the_halves_of_two_contents(daemons, place):
    shop = orders(daemons, place, files={**FILES, "views/count.lua": COUNT})
    seconds = 4
    readers = [subprocess.Popen([sys.executable, "-c", READ_ON, shop.path("views/count/all.json"), str(seconds)],
                                stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(4)]
    end, n = time.monotonic() + seconds, 0
    with shop.commands("order") as c:
        while time.monotonic() < end:
            c.write_all(lib.line({"type": "Say", "aggregate": "1", "data": {"text": "x"}}))
            n += 1
    for reader in readers:
        out, err = reader.communicate(timeout=lib.limit(30))
        assert reader.returncode == 0, err.decode()
        reads, last = map(int, out.split())
        assert reads > 20 and last > 4, (reads, last)
    barrier(shop)
    assert shown(shop, "views/count/all.json")["n"] == n + 4


def test_listing_and_reading_while_keys_come_and_go(shop):
    """Whatever a tool meets, it is a whole file or it is not there."""
    stop = lib.start([sys.executable, "-c", READ_ALL, shop.path("views/said")], stdout=subprocess.PIPE,
                     stderr=subprocess.PIPE)
    end, i = time.monotonic() + 3, 0
    with shop.commands("order") as c:
        while time.monotonic() < end:
            i += 1
            data = {"remove": True} if i % 3 == 0 else {"text": "x" * (i % 700)}
            c.write_all(lib.line({"type": "Say", "aggregate": str(1 + i % 7), "data": data}))
    out, err = stop.communicate(timeout=lib.limit(30))
    assert stop.returncode == 0, err.decode()
    assert int(out) > 20


READ_ALL = """
import json, os, sys, time
top, end, reads = sys.argv[1], time.monotonic() + 3, 0
while time.monotonic() < end:
    for name in os.listdir(top):
        if name.startswith("."):
            continue
        try:
            with open(os.path.join(top, name), "rb") as f:
                json.loads(f.read())
            reads += 1
        except FileNotFoundError:
            pass
print(reads)
"""
