"""Stores with flipped bits, cut, missing and swapped files: mount and verify name the spot, and nothing is guessed.

The rule for every kind of damage: what can still be read is what was acknowledged, byte for byte, or an error. Never
fewer events, never other ones, in silence."""

import os
import random
import re
import shutil
import subprocess

import pytest

import lib
from lib import command
from lib_daemon import Daemon

MANY = lib.size(300_000)
PAD = 100


def files(store):
    """Paths of all files below the store, relative to it."""
    return sorted(os.path.relpath(os.path.join(top, f), store) for top, _, names in os.walk(store) for f in names)


def log_of(store):
    """What `esfsctl cat` prints, and its exit code."""
    done = subprocess.run([lib.esfsctl(), "cat", store],
                          stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE,
                          timeout=lib.limit(60))
    assert done.returncode in (0, 1), f"exit {done.returncode}: {done.stderr[-2000:]}"
    return done.returncode, done.stdout, done.stderr.decode(errors="replace")


def verify(store):
    done = lib.run([lib.esfsctl(), "verify", store], timeout=60)
    assert done.rc in (0, 1), f"verify crashed: {done}"
    assert done.rc == 0 or len(done.err) > 20, "it says what is wrong"
    return done


class Original:
    """A store as it was before the damage, and what was acknowledged."""

    def __init__(self, place, fill, end):
        daemon = Daemon(os.path.join(place, "store"), os.path.join(place, "mnt"), os.path.join(place, "log")).start()
        fill(daemon)
        self.log = daemon.read("log.ndjson")
        getattr(daemon, end)()
        assert daemon.put_away() is None
        self.store = daemon.store

    def copy(self, place):
        """A copy to damage."""
        to = os.path.join(place, "damaged")
        shutil.rmtree(to, ignore_errors=True)
        shutil.copytree(self.store, to)
        return to


def a_little(daemon):
    for n in range(40):
        daemon.append("", *(command(aggregate=f"order/{n % 7}", data={"n": n, "k": k}) for k in range(25)))
    daemon.make("order/declared")


def a_lot(daemon):
    """Tables of both families on disk, and a log behind them."""
    with daemon.commands("", os.O_WRONLY) as c:
        for first in range(0, MANY, 20_000):
            c.write_all(lib.spread(20_000, first, pad=PAD))


@pytest.fixture(scope="module")
def stopped(tmp_path_factory):
    return Original(tmp_path_factory.mktemp("stopped"), a_little, "stop")


@pytest.fixture(scope="module")
def killed(tmp_path_factory):
    return Original(tmp_path_factory.mktemp("killed"), a_little, "kill9")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    """The large store, stopped. Removed at the end: it is a hundred megabytes."""
    place = tmp_path_factory.mktemp("large")
    yield Original(place, a_lot, "stop")
    shutil.rmtree(place, ignore_errors=True)


def flip(path, offset, bit):
    with open(path, "r+b") as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ (1 << bit)]))


def undone(store, original, verdicts, what):
    """Judges a damaged store: refused in words, or every byte as it was."""
    done = verify(store)
    rc, text, said = log_of(store)
    if rc == 0:
        assert text == original.log, f"{what}: other events, {len(text)} bytes for {len(original.log)}, and no word"
    else:
        assert len(said) > 20, f"{what}: refused without a word"
        assert original.log.startswith(text) or text == b"", f"{what}: other bytes than were acknowledged"
    verdicts.append((what, done.rc, rc))


# --- one bit, in every file

@pytest.mark.timeout(200)
@pytest.mark.parametrize("which", ["stopped", "killed"])
def test_a_flipped_bit_anywhere_is_named_or_harmless(which, request, place):
    original = request.getfixturevalue(which)
    store, picks, verdicts = original.copy(place), random.Random(5), []
    for name in files(store):
        path = os.path.join(store, name)
        size = os.path.getsize(path)
        offsets = range(size) if size <= 64 and lib.SLOW == 1 else sorted(
            {0, size - 1, *(picks.randrange(size) for _ in range(lib.size(12, 3)))}) if size else []
        for offset in offsets:
            bit = picks.randrange(8)
            flip(path, offset, bit)
            undone(store, original, verdicts, f"{name} byte {offset} bit {bit}")
            flip(path, offset, bit)
    assert files(store) == files(original.store), "nothing was written"
    assert verify(store).rc == 0
    found = {re.sub(r"\d+", "N", what.split(" ")[0]) for what, rc, _ in verdicts if rc == 1}
    assert {"db/N.log", "head", "format"} <= found | {"head"}, f"damage is found in {found}"


@pytest.mark.timeout(200)
def test_a_flipped_bit_in_the_write_ahead_log_is_refused_by_the_mount(killed, place, daemons):
    picks = random.Random(9)
    wal = max((f for f in files(killed.store) if f.endswith(".log") and "/" in f),
              key=lambda f: os.path.getsize(os.path.join(killed.store, f)))
    used = len(open(os.path.join(killed.store, wal), "rb").read().rstrip(b"\0"))
    assert used > 20_000
    for i in range(lib.size(12, 3)):
        store = killed.copy(place)
        offset = picks.randrange(used) if i else used - 1
        flip(os.path.join(store, wal), offset, picks.randrange(8))
        said = daemons(store=store).refused()
        where = f"byte {offset} of {used}: {said.err}"
        assert os.path.basename(store) in said.err, where
        assert re.search(r"damaged|corrupt|checksum|cut short|mismatch", said.err, re.I), where
        assert verify(store).rc == 1


@pytest.mark.parametrize("by", ["half", "one byte", "a record", "to nothing", "missing"])
@pytest.mark.parametrize("which", ["stopped", "killed"])
def test_a_shortened_write_ahead_log_is_refused(which, by, request, place, daemons):
    original = request.getfixturevalue(which)
    store = original.copy(place)
    cut = 0
    for name in files(store):
        path = os.path.join(store, name)
        if not (name.startswith("db/") and name.endswith(".log")) or not open(path, "rb").read().strip(b"\0"):
            continue
        cut += 1
        used = len(open(path, "rb").read().rstrip(b"\0"))
        if by == "missing":
            os.unlink(path)
        else:
            os.truncate(path, {"half": used // 2, "one byte": used - 1, "a record": used - 200, "to nothing": 0}[by])
    if not cut:
        pytest.skip("this store has no events in its write-ahead log")
    before = {f: os.path.getsize(os.path.join(store, f)) for f in files(store)}
    done = verify(store)
    assert done.rc == 1 and re.search(r"position [0-9a-f]{16}", done.err), done
    said = daemons(store=store).refused()
    assert re.search(r"cut short|missing|corrupt|position", said.err, re.I), said.err
    assert "position" in said.err
    assert log_of(store)[0] == 1
    assert before["head"] == os.path.getsize(os.path.join(store, "head"))


def test_a_refused_store_is_refused_again_and_whole_after_the_repair(killed, place, daemons):
    """Refusing changes nothing that matters: with the right bytes back, everything is there."""
    store = killed.copy(place)
    wal = max((f for f in files(store) if f.endswith(".log") and "/" in f),
              key=lambda f: os.path.getsize(os.path.join(store, f)))
    path = os.path.join(store, wal)
    flip(path, 10_000, 3)
    daemon = daemons(store=store)
    for _ in range(3):
        daemon.refused()
    assert os.path.exists(path), "the log that was refused is still there"
    flip(path, 10_000, 3)
    assert daemon.start().read("log.ndjson") == killed.log


# --- files cut, emptied, missing, swapped

@pytest.mark.timeout(200)
@pytest.mark.parametrize("which", ["stopped", "killed"])
def test_a_cut_or_missing_file_is_named_or_harmless(which, request, place):
    original = request.getfixturevalue(which)
    verdicts = []
    for name in files(original.store):
        size = os.path.getsize(os.path.join(original.store, name))
        for keep in sorted({None, 0, size // 2, size - 1} - {size, -1}, key=str) if size else [None]:
            store = original.copy(place)
            path = os.path.join(store, name)
            os.unlink(path) if keep is None else os.truncate(path, keep)
            undone(store, original, verdicts, f"{name} cut to {keep}")
    assert sum(rc for _, rc, _ in verdicts) >= 8, verdicts


def test_files_of_another_store_are_not_taken_for_ones_own(stopped, killed, place):
    verdicts = []
    for name in ("head", "format", "db/CURRENT", *(f for f in files(stopped.store) if "MANIFEST" in f)):
        if not os.path.exists(os.path.join(killed.store, name)):
            continue
        store = stopped.copy(place)
        shutil.copy(os.path.join(killed.store, name), os.path.join(store, name))
        undone(store, stopped, verdicts, f"{name} of another store")
    assert verdicts


def test_an_older_copy_of_the_database_under_a_newer_head_is_refused(place, daemons):
    """A half restored backup: db/ is of yesterday, the rest of today."""
    daemon = daemons().start()
    a_little(daemon)
    daemon.stop()
    shutil.copytree(os.path.join(daemon.store, "db"), os.path.join(place, "yesterday"))
    daemon.start()
    daemon.append("", *[command(aggregate="order/1")] * 50)
    daemon.stop()
    shutil.rmtree(os.path.join(daemon.store, "db"))
    shutil.copytree(os.path.join(place, "yesterday"), os.path.join(daemon.store, "db"))
    assert "position" in daemon.refused().err
    assert verify(daemon.store).rc == 1


def test_a_db_directory_that_is_missing_is_refused(stopped, place, daemons):
    store = stopped.copy(place)
    shutil.rmtree(os.path.join(store, "db"))
    assert "db" in daemons(store=store).refused().err
    assert verify(store).rc == 1
    assert not os.path.exists(os.path.join(store, "db"))


# --- a large store: damage in tables

def find_event(store, n):
    """File and offset where the data of event n of a_lot() is stored in the clear."""
    want = b'{"n":%d,"pad"' % n
    for name in files(store):
        if name.endswith((".sst", ".log")):
            at = open(os.path.join(store, name), "rb").read().find(want)
            if at >= 0:
                return os.path.join(store, name), at
    return None


@pytest.mark.timeout(300)
def test_a_flipped_bit_in_a_table_of_the_log_gives_eio_for_the_events_concerned(large, place, daemons):
    store = large.copy(place)
    n = MANY // 7
    path, at = find_event(store, n)
    if not path.endswith(".sst"):
        pytest.skip("no event of this store is in a table yet (a slow build makes a small one)")
    flip(path, at + 40, 2)
    done = verify(store)
    found = re.search(r"position ([0-9a-f]{16}).*aggregate (\S+?):", done.err)
    assert done.rc == 1 and found, done
    position = int(found.group(1), 16)
    assert position <= n + 1 < position + 400, "the first event of the chunk that holds it"
    assert found.group(2).rstrip(":") in (f"many/{(position - 1) % 997}", f"many/{n % 997}")

    daemon = daemons(store=store).start()
    lines = large.log.splitlines(keepends=True)
    aggregate, version = f"many/{n % 997}", n // 997 + 1
    event = daemon.path(aggregate, "events", f"{version:010}-A.json")
    assert lib.error_of(lambda: open(event, "rb").read()) == "EIO"
    assert lib.error_of(lambda: daemon.read(aggregate, "events.ndjson")) == "EIO"
    daemon.fails("cat log.ndjson > /dev/null", "Input/output error")
    daemon.fails("tail -n 1 log.ndjson > /dev/null; cat log.ndjson | wc -l | grep -x 1", "Input/output error")
    far = (n + MANY // 2) % MANY
    assert daemon.read(f"many/{far % 997}", "events", f"{far // 997 + 1:010}-A.json") == lines[far], "others are read"
    start = sum(map(len, lines[:far]))
    with open(daemon.path("log.ndjson"), "rb", buffering=0) as f:
        assert os.pread(f.fileno(), len(lines[far]), start) == lines[far]
        assert lib.error_of(os.pread, f.fileno(), 100, sum(map(len, lines[:n]))) == "EIO"
    told = [lib.strict(t)["error"] for t in daemon.lines(".esfs/errors.ndjson")]
    assert any("position" in t for t in told), told
    assert daemon.append("", command(aggregate=aggregate))[0]["version"] == MANY // 997 + (n % 997 < MANY % 997) + 1


@pytest.mark.timeout(300)
def test_flipped_bits_in_tables_are_all_found(large, place):
    """Bits all over each table: verify finds each, or every byte is as it was."""
    store, picks, verdicts = large.copy(place), random.Random(11), []
    tables = [f for f in files(store) if f.endswith(".sst")]
    if not tables:
        pytest.skip("a slow build makes a store without tables")
    for name in tables:
        path = os.path.join(store, name)
        for offset in [picks.randrange(os.path.getsize(path)) for _ in range(2)]:
            bit = picks.randrange(8)
            flip(path, offset, bit)
            undone(store, large, verdicts, f"{name} byte {offset} bit {bit}")
            flip(path, offset, bit)
    missed = [v for v in verdicts if v[1] == 0]
    assert len(missed) <= len(verdicts) // 5, f"verify calls these sound: {missed}"


@pytest.mark.timeout(300)
def test_a_missing_or_cut_table_is_refused(large, place, daemons):
    tables = [f for f in files(large.store) if f.endswith(".sst")]
    if not tables:
        pytest.skip("a slow build makes a store without tables")
    verdicts = []
    for name in (tables[0], tables[-1]):
        for keep in (None, 0, 5000):
            store = large.copy(place)
            path = os.path.join(store, name)
            os.unlink(path) if keep is None else os.truncate(path, keep)
            undone(store, large, verdicts, f"{name} cut to {keep}")
    assert all(rc == 1 for _, rc, _ in verdicts), verdicts
    said = daemons(store=store).refused()
    assert os.path.basename(tables[-1]).lstrip("0") in said.err or "position" in said.err


@pytest.mark.timeout(300)
def test_damage_in_derived_data_is_mended_by_a_rebuild(large, place, daemons):
    """The log is the truth: with it intact, a rebuild brings everything back."""
    store = large.copy(place)
    tables = [
        f for f in files(store)
        if f.endswith(".sst") and b'"pad":"xxx' not in open(os.path.join(store, f), "rb").read()
    ]
    if not tables:
        pytest.skip("a slow build makes a store without derived tables")
    path = os.path.join(store, tables[0])
    flip(path, os.path.getsize(path) // 3, 1)
    assert verify(store).rc == 1
    done = lib.run([lib.esfsctl(), "rebuild", store], timeout=100)
    assert done.rc == 0, done
    assert verify(store).rc == 0
    daemon = daemons(store=store).start()
    assert daemon.read("log.ndjson") == large.log
