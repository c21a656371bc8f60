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
import lib_bank_views
import lib_domain
import lib_rocks
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

    def __init__(self, place, fill, end, options=()):
        daemon = Daemon(os.path.join(place, "store"), os.path.join(place, "mnt"), os.path.join(place, "log"), options)
        self.options = options
        try:
            daemon.start()
            fill(daemon)
            self.log = daemon.read("log.ndjson")
            getattr(daemon, end)()
        finally:
            said = daemon.put_away()
        assert said is None
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


ACCOUNTS = lib.size(4000, 100)
DEPOSITS = 4


def a_bank(daemon):
    """Accounts with deposits, and a view of them. Each stop makes tables of the view, and the restart of what is in the
    write-ahead log: the log's and those of folds."""
    with daemon.commands("account", os.O_WRONLY) as c:
        c.write_all(b"".join(
            command("Open", aggregate=f"{n}", data={"owner": f"o{n}", "iban": f"DE{n:09}"}) for n in range(ACCOUNTS)))
        c.write_all(b"".join(
            command("Deposit", aggregate=f"{n % ACCOUNTS}", data={"amount": 1 + n}) for n in range(DEPOSITS * ACCOUNTS)))
    lib_bank_views.settle(daemon)
    daemon.restart()


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


@pytest.fixture(scope="module")
def folded(tmp_path_factory):
    place = tmp_path_factory.mktemp("folded")
    domain = lib_domain.Domain(os.path.join(place, "domain"), "bank")
    domain.put("views/balances.lua", lib_bank_views.VIEWS["views/balances.lua"])
    return Original(place, a_bank, "stop", [domain.option, "snapshot_every=2"])


def tables(store):
    return [f for f in files(store) if f.endswith(".sst")]


def table_of_look_ups(store, database="db"):
    """The largest table of what is derived from the log. It has filters, as it is looked up by key; the log's have none."""
    found = [os.path.join(store, f) for f in tables(store) if f.startswith(database + "/")]
    found = [path for path in found if "filter top" in [kind for kind, _, _ in lib_rocks.regions(path)]]
    need_tables(found)
    return max(found, key=os.path.getsize)


def need_tables(found):
    """A slow build makes smaller stores; in others a store without tables would be a test of nothing."""
    if not found and lib.SLOW > 1:
        pytest.skip("a slow build makes a store without such tables")
    assert found


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
    assert {"db/N.log", "format"} <= found, f"damage is found in {found}"


@pytest.mark.timeout(200)
def test_a_flipped_bit_in_the_write_ahead_log_is_refused_by_the_mount(killed, place, daemons):
    picks = random.Random(9)
    wal = max((f for f in files(killed.store) if f.endswith(".log") and "/" in f),
              key=lambda f: os.path.getsize(os.path.join(killed.store, f)))
    records = lib_rocks.records(os.path.join(killed.store, wal))
    assert len(records) > 30
    for i in range(lib.size(12, 3)):
        store = killed.copy(place)
        begin, end = picks.choice(records) if i else records[-1]
        offset = picks.randrange(begin, end) if i else end - 1
        flip(os.path.join(store, wal), offset, picks.randrange(8))
        said = daemons(store=store).refused()
        where = f"byte {offset} of {records[-1][1]}: {said.err}"
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


@pytest.mark.parametrize("offset, half", [(19, "first"), (32 + 19, "second")])
def test_a_torn_half_of_the_head_is_noted(stopped, place, daemons, offset, half):
    """By verify, which finds the store sound, and by the mount, which writes it anew."""
    store = stopped.copy(place)
    flip(os.path.join(store, "head"), offset, 0)
    noted = rf"/head: its {half} half does not hold.* cut short after position [0-9a-f]{{16}} might not be noticed"
    done = verify(store)
    assert done.rc == 0 and "sound" in done.out and re.search("note: .*" + noted, done.err), done
    daemon = daemons(store=store).start()
    assert daemon.read("log.ndjson") == stopped.log
    assert re.search(noted, daemon.log()), daemon.log()
    daemon.append("", command(aggregate="order/1"))
    daemon.stop()
    done = verify(store)
    assert done.rc == 0 and done.err == "", done


# --- files cut, emptied, missing, swapped

def needed(store, name, keep):
    """Whether a store cannot be whole with so much of a file. One of the slots of the head is enough, and the manifest may
    end with what changed nothing."""
    if name.startswith("db/") and name.endswith(".log"):
        records = lib_rocks.records(os.path.join(store, name))
        return bool(records) and (keep or 0) < records[-1][1]
    return name in ("format", "db/CURRENT") or not keep and (name == "head" or "MANIFEST" in name)


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
            undone(store, original, verdicts, (name, keep))
            assert verdicts[-1][1] == 1 or not needed(original.store, name, keep), f"verify calls {name} cut to {keep} sound"
    assert {"head", "format", "db/CURRENT"} <= {name for (name, _), rc, _ in verdicts if rc == 1}, verdicts
    assert any(name.endswith(".log") for (name, _), rc, _ in verdicts if rc == 1), verdicts


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
    """Table and offset where the data of event n of a_lot() is stored in the clear."""
    want = b'{"n":%d,"pad"' % n
    for name in tables(store):
        at = open(os.path.join(store, name), "rb").read().find(want)
        if at >= 0:
            return os.path.join(store, name), at
    return None


@pytest.mark.timeout(300)
def test_a_flipped_bit_in_a_table_of_the_log_gives_eio_for_the_events_concerned(large, place, daemons):
    store = large.copy(place)
    n = MANY // 7
    found = find_event(store, n)
    need_tables(found)
    path, at = found
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


def spots(begin, end, most):
    """Bytes of a region to damage: its ends, and some between them, more of them in a large one."""
    n = min(most, 3 + (end - begin) // 500)
    return sorted({begin + (end - 1 - begin) * i // (n - 1) for i in range(n)})


def flip_all_over(store, original, most):
    """Flips bits in every region of every table, one at a time. Gives the regions, and what verify calls sound though
    something depends on it."""
    picks, kinds, missed, verdicts = random.Random(11), set(), [], []
    for name in tables(store):
        path = os.path.join(store, name)
        for kind, begin, end in lib_rocks.regions(path):
            kinds.add(kind)
            harmless = kind in lib_rocks.HARMLESS
            for i, offset in enumerate(spots(begin, end, 2 if harmless else most)):
                # The upper bit of a number's last byte says that there are more: with padding behind it it may. That of
                # the last number of the properties has a test of its own.
                bit = picks.randrange(7)
                what = f"{kind} of {name}, byte {offset} of {end}, bit {bit}"
                flip(path, offset, bit)
                if i == 0 or harmless:
                    undone(store, original, verdicts, what)
                    found = verdicts[-1][1]
                else:
                    found = verify(store).rc
                flip(path, offset, bit)
                if not found and not harmless:
                    missed.append(what)
    return kinds, missed


@pytest.mark.timeout(300)
def test_flipped_bits_in_tables_are_all_found(large, place):
    store = large.copy(place)
    need_tables(tables(store))
    kinds, missed = flip_all_over(store, large, 8)
    assert not missed, "verify calls these sound"
    assert {"data", "index parts", "index top", "properties", "metaindex", "footer", "magic"} <= kinds
    assert {"filter parts", "filter top"} <= kinds or lib.SLOW > 1


@pytest.mark.timeout(300)
def test_flipped_bits_in_what_a_domain_makes_are_all_found(folded, place):
    store = folded.copy(place)
    assert {os.path.dirname(f) for f in tables(store)} == {"db", "views"}
    kinds, missed = flip_all_over(store, folded, lib.size(30, 5))
    assert not missed, "verify calls these sound"
    assert {"data", "filter parts", "filter top", "index parts", "index top", "properties", "metaindex"} <= kinds


def test_a_bit_that_makes_rocksdb_stop_is_explained(folded, place, daemons):
    """It looks at the last number of a table's properties before it looks at their checksum, and asserts that the upper
    bit is not set."""
    store = folded.copy(place)
    path = os.path.join(store, tables(store)[0])
    end = next(end for kind, _, end in lib_rocks.regions(path) if kind == "properties")
    flip(path, end - lib_rocks.BLOCK_TRAILER - 1, 7)
    done = verify(store)
    assert done.rc == 1 and "a table of the store is damaged" in done.err, done
    assert "a table of it is damaged" in daemons(store=store).refused().err


@pytest.mark.timeout(300)
def test_a_missing_or_cut_table_is_refused(large, place, daemons):
    found = tables(large.store)
    need_tables(found)
    verdicts = []
    for name in (found[0], found[-1]):
        for keep in (None, 0, 5000):
            store = large.copy(place)
            path = os.path.join(store, name)
            os.unlink(path) if keep is None else os.truncate(path, keep)
            undone(store, large, verdicts, f"{name} cut to {keep}")
    assert all(rc == 1 for _, rc, _ in verdicts), verdicts
    said = daemons(store=store).refused()
    assert os.path.basename(found[-1]).lstrip("0") in said.err or "position" in said.err


def harmed(path):
    """Each time it is asked: the name of a harm that it has just done to a table, undoing the one before."""
    whole = open(path, "rb").read()
    for kind, begin, end in lib_rocks.regions(path):
        if kind not in lib_rocks.HARMLESS:
            flip(path, (begin + end) // 2, 1)
            yield kind
            with open(path, "wb") as f:
                f.write(whole)
    os.truncate(path, len(whole) // 2)
    yield "cut"
    os.unlink(path)
    yield "missing"


@pytest.mark.timeout(300)
@pytest.mark.parametrize("which, database", [("large", "db"), ("folded", "db"), ("folded", "views")])
def test_damage_in_derived_data_is_mended_by_a_rebuild(which, database, request, place, daemons):
    """The log is the truth: with it intact, a rebuild brings everything back, also where no mount can open the store."""
    original = request.getfixturevalue(which)
    damaged, mended = original.copy(place), os.path.join(place, "mended")
    for harm in harmed(table_of_look_ups(damaged, database)):
        shutil.rmtree(mended, ignore_errors=True)
        shutil.copytree(damaged, mended)
        assert verify(mended).rc == 1, harm
        done = lib.run([lib.esfsctl(), "rebuild", mended], timeout=100)
        assert done.rc == 0, (harm, done)
        assert verify(mended).rc == 0, harm
    daemon = daemons(store=mended, options=original.options).start()
    assert daemon.read("log.ndjson") == original.log


def flip_in_data(path):
    kind, begin, end = lib_rocks.regions(path)[0]
    assert kind == "data"
    flip(path, begin + (end - begin) // 10, 4)


def mend(store, family, table):
    """Verify says of which family and table the damage is, and a rebuild mends it."""
    done = verify(store)
    assert done.rc == 1 and f"family `{family}`" in done.err and table in done.err, done
    done = lib.run([lib.esfsctl(), "rebuild", store], timeout=100)
    assert done.rc == 0, done
    assert verify(store).rc == 0


def test_damage_that_makes_states_unreadable_is_found(folded, place, daemons):
    """What a look-up meets, verify finds."""
    store = folded.copy(place)
    path = table_of_look_ups(store)
    flip_in_data(path)
    daemon = daemons(store=store, options=folded.options).start()
    errors = {lib.error_of(lambda n=n: lib_domain.state(daemon, f"account/{n}")) for n in range(ACCOUNTS)}
    daemon.stop()
    assert errors == {None, "EIO"}
    mend(store, "folds", os.path.relpath(path, store))
    daemon.start()
    for n in range(0, ACCOUNTS, 7):
        assert lib_domain.state(daemon, f"account/{n}")["moves"] == DEPOSITS


def test_damage_in_what_views_have_made_is_found(folded, place, daemons):
    store = folded.copy(place)
    path = table_of_look_ups(store, "views")
    flip_in_data(path)
    mend(store, "views", os.path.relpath(path, store))
    daemon = daemons(store=store, options=folded.options).start()
    lib_bank_views.settle(daemon)
    for n in range(0, ACCOUNTS, 7):
        assert lib.strict(daemon.read("views/balances", f"{n}.json"))["moves"] == DEPOSITS
