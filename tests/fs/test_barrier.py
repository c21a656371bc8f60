""".esfs/barrier: reading it returns when every view shows what had been appended before."""

import os
import signal
import subprocess
import threading
import time

import pytest

import lib
from lib_domain import reload
from lib_user import user
from lib_views import FILES, barrier, orders, placed, shown

SLOW = """return {
  key = function(e) return "all" end,
  init = function() return { n = 0 } end,
  on = { ["*"] = function(view, e)
    if e.data.slow then for i = 1, 400000 do view.x = i end end
    view.n = view.n + 1
  end },
}
"""
"""A view that takes some milliseconds for an event that says so."""


@pytest.fixture
def shop(daemons, place):
    return orders(daemons, place, files={**FILES, "views/slow.lua": SLOW})


BUSY = 20_000


def keep_busy(mount):
    """Gives the slow view work for a minute and more."""
    mount.append("", *[{"type": "Say", "aggregate": "order/1", "data": {"slow": True}} for _ in range(BUSY)])


def relieve(mount):
    """Whoever waits for the slow view is to wait no longer."""
    mount.domain.remove("views/slow.lua")
    assert reload(mount) is None


def seen(mount):
    return shown(mount, "views/slow/all.json")["n"]


def test_a_view_has_seen_what_came_before(shop):
    n = seen(shop)
    for i in range(20):
        placed(shop, 100 + i, "carol")
        barrier(shop)
        assert seen(shop) == n + i + 1
        assert shown(shop, "views/by_customer/carol.json")["orders"] == i + 1


def test_it_is_not_listed_and_its_stat_does_not_wait(shop):
    assert "barrier" not in os.listdir(shop.path(".esfs"))
    keep_busy(shop)
    begin = time.monotonic()
    assert os.stat(shop.path(".esfs/barrier")).st_size == 0
    os.close(os.open(shop.path(".esfs/barrier"), os.O_RDONLY))
    shop.ok("grep -r nothing .esfs || true; tar -cf /dev/null .esfs")
    assert time.monotonic() - begin < lib.limit(1)
    assert seen(shop) < BUSY


def test_shells_read_it(shop):
    for shell in ("bash", "dash"):
        assert lib.strict(shop.ok("read -r line < .esfs/barrier && printf '%s' \"$line\"", shell=shell)) is not None
    assert shop.ok("cat .esfs/barrier | jq -c type") == '"object"'
    with open(shop.path(".esfs/barrier"), "rb", buffering=0) as f:
        first = f.read(1)
        rest = b"".join(iter(lambda: f.read(3), b""))
        assert lib.strict(first + rest) == barrier(shop)
        assert f.read(10) == b""


@pytest.mark.parametrize("name, waits", [("barrier@1ms", True), ("barrier@5m", False), ("barrier@1h", False),
                                         ("barrier@60s", False), ("barrier@500000ms", False)])
def test_a_time(shop, name, waits):
    if waits:
        keep_busy(shop)
        assert lib.error_of(shop.read, ".esfs", name) == "ETIMEDOUT"
        shop.fails(f"cat .esfs/{name}", "timed out")
    else:
        assert barrier(shop, name) is not None


@pytest.mark.parametrize("name", ["barrier@", "barrier@0s", "barrier@5", "barrier@s", "barrier@-1s", "barrier@5d",
                                  "barrier@1.5s", "barrier@5s ", "barrier@99999999999999999999s", "barrier5s",
                                  "barrier@5ss", "Barrier"])
def test_what_is_no_time(shop, name):
    assert lib.error_of(os.stat, shop.path(".esfs", name)) == "ENOENT"


def blocked(shop, n, name="barrier"):
    """n readers that wait."""
    readers = [subprocess.Popen(["cat", shop.path(".esfs", name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)
               for _ in range(n)]
    time.sleep(0.3)
    for reader in readers:
        assert reader.poll() is None, "it should wait"
    return readers


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_it_can_be_interrupted(shop, how):
    keep_busy(shop)
    reader, = blocked(shop, 1)
    begin = time.monotonic()
    reader.send_signal(how)
    assert reader.wait(lib.limit(5)) == -how
    assert time.monotonic() - begin < lib.limit(1)
    reader.communicate()
    relieve(shop)
    assert barrier(shop) is not None


def test_more_readers_wait_than_there_are_threads(shop):
    keep_busy(shop)
    n = 150
    readers = blocked(shop, n)
    threads = len(os.listdir(f"/proc/{shop.pid}/task"))
    assert shop.version("order/1") > BUSY, "others are served"
    assert threads < n
    relieve(shop)
    for reader in readers:
        out, err = reader.communicate(timeout=lib.limit(60))
        assert reader.returncode == 0 and lib.strict(out) is not None, err


def test_the_mount_ends_with_readers_that_wait(shop):
    keep_busy(shop)
    readers = blocked(shop, 5) + blocked(shop, 2, "barrier@1h")
    begin = time.monotonic()
    shop.term()
    assert time.monotonic() - begin < lib.limit(10)
    for reader in readers:
        out, err = reader.communicate(timeout=lib.limit(5))
        assert reader.returncode == 1 and out == b"", err
        assert lib.says_ended(err), err


def test_commands_go_on_while_somebody_waits(shop):
    keep_busy(shop)
    readers = blocked(shop, 3)
    before = shop.version("order/2")
    for _ in range(20):
        shop.append("order/2", {"type": "Say", "data": {}})
    assert shop.version("order/2") == before + 20
    relieve(shop)
    for reader in readers:
        reader.communicate(timeout=lib.limit(60))


def test_who_may(daemons, place):
    lib.need_root()
    shop = orders(daemons, place, ["allow_other"], FILES)
    with user(61009, 0):
        assert barrier(shop) is not None
    with user(61009, 62009):
        assert lib.error_of(shop.read, ".esfs/barrier") == "EACCES"


def test_many_at_once(shop):
    """Each of them has seen what its own process appended."""
    failures = []

    def work(i):
        for n in range(10):
            placed(shop, f"{i}-{n}", f"customer {i}")
            barrier(shop)
            if shown(shop, f"views/by_customer/customer {i}.json")["orders"] < n + 1:
                failures.append((i, n))
    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join(lib.limit(60))
    assert failures == []
