"""A hundred readers of one query that nobody has asked before: it is run once, and all of them have its result."""

import concurrent.futures
import os
import threading
import time

import pytest

import lib
from lib_bank_views import settle
from lib_domain import opened, started

READERS = 100

SLOW = """return {
  params = { type = "object", properties = { n = { type = "integer" } }, additionalProperties = false },
  run = function(q, params)
    local sum = 0
    for i = 1, 900000 do sum = sum + i end
    return { n = params.n, sum = sum, accounts = #q.keys("owners") }
  end,
}
"""
OWNERS = 'return { key = function(e) return e.subject end, on = { Opened = function(v, e) v.owner = e.data.owner end } }'


def read(path, gate):
    gate.wait()
    with open(path, "rb") as f:
        return f.read()


@pytest.mark.timeout(200)
def test_a_hundred_readers_of_one_query(daemons, place):
    mount = started(daemons, place, "bank", files={"queries/slow.lua": SLOW, "views/owners.lua": OWNERS})
    opened(mount, "a", "b", "c")
    settle(mount)
    began = time.monotonic()
    assert lib.strict(mount.read("queries/slow/n=0.json")) == {"n": 0, "sum": 405000450000, "accounts": 3}
    alone = time.monotonic() - began
    good, rounds, took = 0, 5, []
    for n in range(1, rounds + 1):
        path, gate = mount.path(f"queries/slow/n={n}.json"), threading.Barrier(READERS)
        with concurrent.futures.ThreadPoolExecutor(READERS) as pool:
            asked = [pool.submit(read, path, gate) for _ in range(READERS)]
            began = time.monotonic()
            for one in asked:
                try:
                    good += lib.strict(one.result()) == {"n": n, "sum": 405000450000, "accounts": 3}
                except OSError:
                    pass
            took.append(time.monotonic() - began)
        assert os.getxattr(path, "user.esfs.cached") == b"1"
    print(f"alone {alone:.3f} s, a hundred {sorted(took)[rounds // 2]:.3f} s, {good} of {rounds * READERS}")
    assert good > 0.99 * rounds * READERS
    assert sorted(took)[rounds // 2] < 20 * alone + lib.limit(1), "a run each would have taken a hundred times as long"
