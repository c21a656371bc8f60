"""Backups by the tools people have: tar, rsync, cp, restic, borg. A second run finds events unchanged, also after a
remount, and what is restored is what was mounted."""

import filecmp
import json
import os

import pytest

import lib
from lib import command

EVENTS = lib.size(1500, 200)


@pytest.fixture
def filled(mount):
    """Event directories of 30 aggregates."""
    mount.append(
        "",
        *(command(f"T{i % 9}", aggregate=f"order/{i % 30}", data={"n": i, "x": "é" * (i % 400)})
          for i in range(EVENTS)))
    mount.append("", command(aggregate="order/with space 'and' \"quotes\" é"))
    return mount


def event_files(root):
    """Relative path -> bytes, mtime of every event file below root/order."""
    found = {}
    for top, _, files in os.walk(os.path.join(root, "order")):
        if os.path.basename(top) == "events":
            for name in files:
                path = os.path.join(top, name)
                found[os.path.relpath(path, root)] = (open(path, "rb").read(), os.stat(path).st_mtime_ns)
    return found


def same_bytes(mount, restored, times=True):
    ours, theirs = event_files(mount.mnt), event_files(restored)
    assert len(ours) == EVENTS + 1
    assert {p: c for p, (c, _) in ours.items()} == {p: c for p, (c, _) in theirs.items()}
    if times:
        assert {p: t for p, (_, t) in ours.items()} == {p: t for p, (_, t) in theirs.items()}


def remounts(mount):
    """The three situations of a second run."""
    yield "at once", lambda: None
    yield "after a remount", mount.restart
    yield "after a kill", mount.crash


DIRECTORIES = "find order -type d -name events -print0"


def test_tar_restores_the_same_bytes_and_finds_no_difference(filled, place):
    lib.need("tar")
    archive, restored = os.path.join(place, "a.tar"), os.path.join(place, "restored")
    os.mkdir(restored)
    filled.ok(f"{DIRECTORIES} | tar --null -T - -cf {archive}")
    done = lib.sh(f"tar xf {archive} -C {restored}", cwd=place)
    assert done.rc == 0, done
    same_bytes(filled, restored, times=False)  # tar's default format keeps whole seconds
    for when, again in remounts(filled):
        again()
        assert filled.ok(f"tar --compare -f {archive}") == "", when


def test_tar_of_everything_ends_and_is_complete(filled, place):
    """All of the mount, not only events: nothing blocks, nothing has changed size as it was read."""
    lib.need("tar")
    restored = os.path.join(place, "restored")
    os.mkdir(restored)
    done = filled.sh(f"tar cf - --exclude=.esfs . | tar xf - -C {restored}", timeout=60)
    assert (done.rc, done.err) == (0, ""), done
    for name in ("log.ndjson", "order/log.ndjson", "order/7/version", "order/7/events.ndjson"):
        assert filecmp.cmp(filled.path(name), os.path.join(restored, name), shallow=False), name
    same_bytes(filled, restored, times=False)


def test_incremental_tar_finds_events_unchanged(filled, place):
    lib.need("tar")
    snapshot = os.path.join(place, "snapshot")

    def dumped():
        out = filled.ok(f"{DIRECTORIES} | tar --null -T - --listed-incremental={snapshot} --no-check-device -cf - |"
                        " tar tf - --quoting-style=literal")
        return [name for name in out.splitlines() if name.endswith(".json")]
    assert len(dumped()) == EVENTS + 1
    for when, again in remounts(filled):
        again()
        assert dumped() == [], when
    filled.append("", command("New", aggregate="order/3"))
    assert len(dumped()) == 1


def test_rsync_restores_the_same_bytes_and_finds_no_difference(filled, place):
    lib.need("rsync")
    restored = os.path.join(place, "restored")
    os.mkdir(restored)
    rsync = f"rsync -a --itemize-changes --include='*/' --include='events/*' --exclude='*' order {restored}/"
    assert len([t for t in filled.ok(rsync, timeout=60).splitlines() if t.startswith(">f")]) == EVENTS + 1
    same_bytes(filled, restored)
    for when, again in remounts(filled):
        again()
        assert [t for t in filled.ok(rsync, timeout=60).splitlines() if not t.startswith(".d")] == [], when
    assert [
        t for t in filled.ok(rsync.replace("-a ", "-a --checksum "), timeout=60).splitlines() if not t.startswith(".d")
    ] == []
    filled.append("", command("New", aggregate="order/3"))
    changed = [t for t in filled.ok(rsync, timeout=60).splitlines() if t.startswith(">f")]
    assert len(changed) == 1 and changed[0].endswith("-New.json")


def test_cp_restores_the_same_bytes_and_copies_nothing_twice(filled, place):
    restored = os.path.join(place, "restored")
    os.mkdir(restored)
    copy = ("cd order && for d in *; do [ -d \"$d/events\" ] || continue; mkdir -p {0}/order/\"$d\" &&"
            " cp -av --update \"$d/events\" {0}/order/\"$d\"/ || exit 1; done").format(restored)
    assert filled.ok(copy, timeout=60).count(".json' ->") == EVENTS + 1
    same_bytes(filled, restored)
    for when, again in remounts(filled):
        again()
        assert ".json'" not in filled.ok(copy, timeout=60), when


def test_diff_finds_no_difference(filled, place):
    restored = os.path.join(place, "restored")
    filled.ok(f"mkdir {restored}; cp -a order/7/events {restored}/")
    filled.ok(f"diff -r order/7/events {restored}/events")
    filled.append("order/7", command())
    filled.fails(f"diff -r order/7/events {restored}/events | grep . >&2 && false", "Only in order/7/events")


@pytest.mark.timeout(200)
def test_restic_finds_events_unmodified_and_restores_the_same_bytes(filled, place):
    lib.need("restic")
    repository, restored = os.path.join(place, "repository"), os.path.join(place, "restored")
    env = {"RESTIC_PASSWORD": "x", "RESTIC_REPOSITORY": repository, "RESTIC_CACHE_DIR": os.path.join(place, "cache")}
    assert lib.run(["restic", "init"], env=env, timeout=60).rc == 0

    def backup():
        done = filled.sh(f"{DIRECTORIES} > {place}/list; restic backup --json --files-from-raw {place}/list",
                         env=env,
                         timeout=60)
        assert done.rc == 0, done
        return json.loads(done.out.splitlines()[-1])
    first = backup()
    assert (first["files_new"], first["files_unmodified"]) == (EVENTS + 1, 0)
    for when, again in remounts(filled):
        again()
        told = backup()
        assert (told["files_new"], told["files_changed"], told["files_unmodified"]) == (0, 0, EVENTS + 1), when
    filled.append("", command("New", aggregate="order/3"))
    told = backup()
    assert (told["files_new"], told["files_changed"]) == (1, 0)
    done = lib.run(["restic", "restore", "latest", "--target", restored], env=env, timeout=60)
    assert done.rc == 0, done
    where = restored + filled.mnt
    theirs = event_files(where if os.path.isdir(where) else restored)
    assert theirs == event_files(filled.mnt)


@pytest.mark.timeout(200)
def test_borg_finds_events_unchanged_and_restores_the_same_bytes(filled, place):
    lib.need("borg")
    repository, restored = os.path.join(place, "repository"), os.path.join(place, "restored")
    os.mkdir(restored)
    env = {
        "BORG_BASE_DIR": os.path.join(place, "borg"), "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
        "BORG_REPO": repository
    }
    assert lib.run(["borg", "init", "-e", "none"], env=env, timeout=60).rc == 0

    def create(name):
        """Status letters of event files: A added, M modified, U unchanged."""
        done = filled.sh(
            f"{DIRECTORIES} | borg create --list --paths-from-stdin --paths-delimiter '\\0' ::{name}-dirs; "
            f"borg create --list ::{name} order --exclude '*/commands' --exclude '*/*.ndjson' --exclude '*/version'",
            env=env,
            timeout=100)
        assert done.rc == 0, done
        letters = {}
        for text in done.err.splitlines():
            if text.endswith(".json"):
                letters[text[2:]] = text[0]
        return letters
    first = create("first")
    assert len(first) == EVENTS + 1
    # the newest files of a run are not kept in borg's cache; here these are of one commit, at most
    for when, again in remounts(filled):
        again()
        letters = create(when.replace(" ", "-"))
        changed = [p for p, letter in letters.items() if letter != "U"]
        assert len(letters) == EVENTS + 1 and len(changed) <= 1, (when, changed[:5], len(changed))
    done = lib.run(["borg", "extract", "::after-a-kill"], env=env, cwd=restored, timeout=60)
    assert done.rc == 0, done
    same_bytes(filled, restored)


def test_a_backup_that_runs_while_events_are_appended_is_a_prefix(filled, place):
    """Whatever is copied meanwhile is whole: events by themselves, streams in whole lines."""
    lib.need("tar")
    restored = os.path.join(place, "restored")
    os.mkdir(restored)
    writer = "while :; do printf '%s\\n' '{\"aggregate\":\"order/7\",\"type\":\"A\"}' > commands; done"
    with lib.running(["bash", "-c", writer], cwd=filled.mnt):
        filled.sh(f"tar cf - order | tar xf - -C {restored}", timeout=60)
    theirs, ours = event_files(restored), event_files(filled.mnt)
    assert len(theirs) >= EVENTS + 1
    assert all(ours[p][0] == c for p, (c, _) in theirs.items())
