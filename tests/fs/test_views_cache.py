"""Views in the kernel's cache: no reader sees two contents mixed, and nobody sees an old one after the barrier.

ESFS_CACHE_SECONDS: for how long (a minute is what was promised)."""

import json
import multiprocessing
import os
import time

import pytest

import lib
from lib_bank_views import settle
from lib_domain import opened, started

READERS = 8
SECONDS = float(os.environ.get("ESFS_CACHE_SECONDS", 6))

VIEW = """return {
  from = { "account" }, key = function(e) return e.subject end,
  init = function() return { n = 0, fill = "" } end,
  on = { Deposited = function(view, e)
    view.n = view.n + 1
    view.fill = (tostring(view.n % 10)):rep(4000 + view.n * 37 % 9000)
  end },
}
"""


def look(path):
    """The number in a file that is whole: all of its filling belongs to it."""
    with open(path, "rb") as f:
        size = os.fstat(f.fileno()).st_size
        text = f.read()
    view = json.loads(text)
    assert view["fill"] == str(view["n"] % 10) * (4000 + view["n"] * 37 % 9000), f"mixed at {view['n']}"
    return view["n"], len(text) - size


def reader(path, seconds, out):
    seen, reads, other_size, fault = 0, 0, 0, None
    end = time.monotonic() + seconds
    try:
        while time.monotonic() < end:
            n, difference = look(path)
            if n < seen:
                fault = f"went back from {seen} to {n}"
                break
            seen, reads, other_size = n, reads + 1, other_size + (difference != 0)
    except Exception as e:  # pylint: disable=broad-except
        fault = f"{type(e).__name__}: {e}"
    out.put((reads, seen, other_size, fault))


@pytest.mark.timeout(300)
def test_readers_beside_a_writer(daemons, place):
    mount = started(daemons, place, "bank", files={"views/filled.lua": VIEW})
    opened(mount, "a")
    mount.append("account/a", {"type": "Deposit", "data": {"amount": 1}})
    settle(mount)
    path, out = mount.path("views/filled/a.json"), multiprocessing.Queue()
    readers = [multiprocessing.Process(target=reader, args=(path, SECONDS, out)) for _ in range(READERS)]
    for r in readers:
        r.start()
    written, end, fd = 1, time.monotonic() + SECONDS, os.open(mount.path("account/a/commands"), os.O_WRONLY)
    while time.monotonic() < end:
        assert os.write(fd, b'{"type":"Deposit","data":{"amount":1}}\n') > 0
        written += 1
        if written % 3 == 0:
            settle(mount)
            assert look(path)[0] == written, "an old content after the barrier"
    os.close(fd)
    results = [out.get(timeout=lib.limit(30)) for _ in readers]
    for r in readers:
        r.join(lib.limit(30))
    faults = [fault for _, _, _, fault in results if fault]
    assert not faults, faults
    reads = sum(n for n, _, _, _ in results)
    print(f"{written} contents, {reads} reads, {sum(d for _, _, d, _ in results)} of another size than stat said")
    assert reads > 20 * READERS and written > 20
