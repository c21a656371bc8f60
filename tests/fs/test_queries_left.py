"""Queries that nobody waits for any more: their readers were killed, or the mount ends."""

import signal
import subprocess

import pytest

import lib
from lib_domain import errors
from lib_views import FILES, names, orders

# Goes on until somebody places order/gate, or half a minute is over.
GATE = """return {
  params = { type = "object", properties = { n = { type = "integer" } } },
  run = function(q, params)
    while #q.events("order/gate") == 0 do end
    return params
  end,
}
"""

# Much of what a handler may do, without asking for anything.
BUSY = """return { run = function(q)
  local bytes = 0
  for i = 1, 200 do bytes = bytes + #string.rep("x", 1000000) end
  return bytes
end }
"""

ONE = "return { run = function(q) return 1 end }\n"

QUERIES = {**FILES, "queries/gate.lua": GATE, "queries/busy.lua": BUSY, "queries/one.lua": ONE}


@pytest.fixture
def shop(daemons, place):
    return orders(daemons, place, files=QUERIES)


def reader(mount, name):
    return lib.start(["cat", mount.path("queries", name)], stdout=subprocess.PIPE, stderr=subprocess.PIPE)


def caller(mount, n):
    return lib.start(["bash", "-c", f"echo '{{\"n\":{n}}}' > queries/gate/call"], cwd=mount.mnt, stderr=subprocess.PIPE)


def waits(process):
    """Until it waits for the mount to open or to take what is written, and not for the name."""
    def is_there():
        with open(f"/proc/{process.pid}/stack", encoding="ascii") as f:
            return any("fuse" in text and ("open" in text or "write" in text) for text in f)
    lib.wait_until(is_there, what="it waits for the mount")


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGKILL])
@pytest.mark.parametrize("asks", [lambda mount, n: reader(mount, f"gate/n={n}.json"), caller], ids=["open", "call"])
def test_who_gives_up_keeps_nobody_waiting(shop, asks, how):
    """Two runs at once is all there is: nobody else would be answered before both have had their half a minute."""
    lib.need_root()
    left = [asks(shop, n) for n in range(6)]
    for process in left:
        waits(process)
        process.send_signal(how)
    for process in left:
        process.communicate(timeout=lib.limit(20))
        assert process.returncode == -how
    assert shop.read("queries/one/all.json") == b"1\n"
    assert errors(shop) == [], "a run that was not stopped has failed by now"
    assert names(shop, "queries/gate") == ["call"]


def test_the_mount_ends_while_handlers_are_busy(shop):
    """One may have come to its end before; the other never would."""
    lib.need_root()
    gate, busy = reader(shop, "gate/all.json"), reader(shop, "busy/all.json")
    waits(gate)
    shop.term()
    out, err = gate.communicate(timeout=lib.limit(20))
    assert (gate.returncode, out) == (1, b"") and lib.says_ended(err), err
    out, err = busy.communicate(timeout=lib.limit(20))
    assert (busy.returncode, out) in ((0, b"200000000\n"), (1, b"")), err
