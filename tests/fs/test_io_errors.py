"""The disk under the store fails: tests/faults/failio.c makes calls of the daemon fail when told.

After any failed write or sync of the write-ahead log the outcome of that commit is unknown, nothing is acknowledged
any more, and the store is read-only at once and says so. A restart, and the command's id, settle it."""

import errno
import os
import subprocess
import threading

import pytest

import lib
from lib import command
from lib_daemon import is_mounted


@pytest.fixture
def sick(daemons, place):
    """A mount whose disk fails on sick.fail(...)."""
    shim = lib.compiled("failio.c", "-shared", "-fPIC", "-ldl")
    rule = os.path.join(place, "rule")
    open(rule, "w").close()
    daemon = daemons(env={"LD_PRELOAD": shim, "FAILIO": rule})

    def fail(operations, pattern, error="EIO", skip=0, count=0):
        with open(rule + ".new", "w") as f:
            f.write(f"{operations} {pattern} {error} {skip} {count}\n")
        os.rename(rule + ".new", rule)

    def heal():
        open(rule, "w").close()

    def failures():
        return open(rule + ".log").read() if os.path.exists(rule + ".log") else ""
    daemon.fail, daemon.heal, daemon.failures = fail, heal, failures
    return daemon.start()


def end(daemon):
    """Ends the daemon by SIGTERM. It may say that not all is on disk (exit 1), but not crash."""
    daemon.process.terminate()
    rc = daemon.wait()
    assert rc in (0, 1), f"exit {rc}\n{daemon.log()}"
    daemon.detach()
    return rc


def healed(daemon):
    """A restart on a disk that works again."""
    end(daemon)
    daemon.heal()
    return daemon.start()


WAL = [("fdatasync,fsync", ".log", "EIO"), ("fdatasync-after,fsync-after", ".log", "EIO"),
       ("write,pwrite", ".log", "EIO"), ("write,pwrite", ".log", "ENOSPC"),
       ("write,pwrite,fdatasync,fsync", "/db/", "EIO")]


@pytest.mark.parametrize("operations, pattern, error", WAL)
def test_a_failed_commit_is_unknown_and_the_store_is_read_only_at_once(sick, operations, pattern, error):
    sick.append("", command("Before", aggregate="order/1"))
    sick.fail(operations, pattern, error)
    with sick.commands("order/1") as c:
        result = c.ask({"type": "Unknown", "id": "c-1"})
        assert (result["status"], result["commandid"]) == ("unknown", "c-1")
        assert lib.error_of(c.write, command("Later")) == "EROFS"
    with sick.commands() as c:
        assert lib.error_of(c.write, command("Later", aggregate="order/2")) == "EROFS"
        assert c.results()[0]["errno"] == "EROFS"
    assert sick.failures(), "the shim was asked"
    sick.heal()
    sick.fails("""echo '{"type":"Later"}' > order/1/commands""", "Read-only file system")
    assert lib.error_of(os.mkdir, sick.path("order/3")) == "EROFS"
    assert lib.error_of(os.rmdir, sick.path("order")) in ("EROFS", "ENOTEMPTY")
    status = sick.status()
    assert status["state"] == "read-only" and status["reason"]
    assert "read-only" in sick.log() and sick.lines(".esfs/errors.ndjson"), "it says so loudly"
    assert [e["type"] for e in sick.events("order/1")] == ["Before"], "what is unknown is not shown"
    assert sick.version("order/1") == 1 and len(sick.log_events()) == 1

    healed(sick)
    before = sick.version("order/1")
    assert before in (1, 2)
    with sick.commands("order/1") as c:
        result = c.ask({"type": "Unknown", "id": "c-1"})
        assert (result["status"], result["version"], result.get("duplicate", False)) == ("appended", 2, before == 2)
        assert c.ask({"type": "Unknown", "id": "c-1"})["duplicate"] is True
    assert [e["type"] for e in sick.events("order/1")] == ["Before", "Unknown"]
    sick.restart()
    assert [e["type"] for e in sick.events("order/1")] == ["Before", "Unknown"]


def test_the_write_that_failed_gets_eio_and_those_after_it_erofs(sick):
    sick.make("order/1")
    sick.fail("fdatasync,fsync", ".log")
    with sick.commands("order/1") as c:
        assert lib.error_of(c.write, command(id="x")) == "EIO"
        for _ in range(3):
            assert lib.error_of(c.write, command(id="x")) in ("EROFS", "EIO")
    with sick.commands("order/1") as c:
        assert lib.error_of(c.write, command(id="x")) == "EROFS"
    end(sick)


@pytest.mark.parametrize("tool, says",
                         [("echo '{\"type\":\"A\"}' > order/1/commands", "Input/output error"),
                          ("echo '{\"type\":\"A\"}' | cat > order/1/commands", "Input/output error"),
                          ("echo '{\"type\":\"A\"}' | dd of=order/1/commands status=none", "Input/output error")])
def test_a_shell_user_is_told(sick, tool, says):
    sick.make("order/1")
    sick.fail("fdatasync,fsync", ".log")
    sick.fails(tool, says)
    sick.fails(tool, "Read-only file system")
    end(sick)


def test_what_came_before_in_the_same_write_is_not_acknowledged_either(sick):
    """A batch and a transaction whose commit fails: neither bytes nor results say that any of it is done."""
    sick.make("order/1")
    sick.fail("fdatasync,fsync", ".log")
    with sick.commands("order/1") as c:
        assert lib.error_of(c.write,
                            command("A", id="a") +
                            lib.line([{"type": "B", "id": "b"}, {"type": "C", "id": "c"}])) == "EIO"
        assert {r["status"] for r in c.results()} == {"unknown"}
    healed(sick)
    sick.append("order/1", command("A", id="a"), [{"type": "B", "id": "b"}, {"type": "C", "id": "c"}])
    assert [e["type"] for e in sick.events("order/1")] == ["A", "B", "C"]


def test_one_failure_is_enough(sick):
    """The disk works again at once; the store trusts nothing that was built on the failed commit."""
    sick.make("order/1")
    sick.fail("fdatasync,fsync", ".log", count=1)
    with sick.commands("order/1") as c:
        assert lib.error_of(c.write, command()) == "EIO"
        for _ in range(5):
            assert lib.error_of(c.write, command()) in ("EROFS", "EIO")
    assert sick.failures().count("\n") == 1, "and it does not try again on that handle"
    healed(sick)
    assert sick.version("order/1") <= 1
    sick.append("order/1", command())


@pytest.mark.parametrize("durability", ["fsync", "os"])
def test_a_failed_fsync_is_told_to_who_asked(sick, durability):
    end(sick)
    sick.options = [f"durability={durability}"]
    sick.start()
    sick.make("order/1")
    with sick.commands("order/1") as c:
        c.write(command())
        sick.fail("fdatasync,fsync", ".log")
        assert lib.error_of(os.fsync, c.fd) == "EIO"
        assert lib.error_of(c.write, command()) == "EROFS"
        lib.error_of(c.close)
    assert sick.status()["state"] == "read-only"
    healed(sick)
    assert sick.version("order/1") in (0, 1)


@pytest.mark.timeout(200)
@pytest.mark.parametrize("operations, pattern, error", WAL)
def test_under_load_everything_acknowledged_is_there_after_the_restart(sick, operations, pattern, error):
    acknowledged, unknown, wrong = [0] * 12, [None] * 12, []

    def write(i):
        with sick.commands() as c:
            n = 0
            while True:
                text = b"".join(
                    command(aggregate=f"w/{i}", id=f"{n + k}", data={"n": n + k, "x": "y" * 200}) for k in range(5))
                try:
                    c.write_all(text)
                except OSError as e:
                    said = errno.errorcode[e.errno]
                    if said not in ("EIO", "EROFS"):
                        wrong.append(said)
                    done = [r for r in c.results() if r["status"] == "appended"]
                    acknowledged[i] = n + len(done)
                    unknown[i] = text
                    return
                if [r["status"] for r in c.results()] != ["appended"] * 5:
                    wrong.append("acknowledged without results")
                n += 5
                acknowledged[i] = n
    threads = [threading.Thread(target=write, args=(i,)) for i in range(12)]
    for t in threads:
        t.start()
    lib.wait_until(lambda: min(acknowledged) > 10, 30, "all write")
    sick.fail(operations, pattern, error)
    for t in threads:
        t.join(lib.limit(60))
        assert not t.is_alive(), "a writer hangs"
    assert not wrong, wrong
    for i in range(12):
        assert sick.version(f"w/{i}") <= acknowledged[i] + 5
    healed(sick)
    for i in range(12):
        assert acknowledged[i] <= sick.version(f"w/{i}") <= acknowledged[i] + 5
        sick.append("", unknown[i])
        ns = [e["data"]["n"] for e in sick.events(f"w/{i}")]
        assert ns == list(range(len(ns))) and len(ns) >= acknowledged[i]
    sick.log_events()
    sick.stop()
    done = sick.verify()
    assert done.rc == 0, done
    sick.start()


# operation, file: what is not the log's own commit. It may go on or fall; it may not lose, lie, crash or hang.
BEHIND = [("write,pwrite", ".sst", "EIO"), ("fsync,fdatasync", ".sst", "EIO"), ("write,pwrite", ".sst", "ENOSPC"),
          ("write,pwrite", "MANIFEST", "EIO"), ("fsync,fdatasync", "MANIFEST", "EIO"),
          ("fsync,fdatasync", "/db", "EIO"), ("pwrite,write,fdatasync", "/head", "EIO"), ("ftruncate", "/db/", "EIO"),
          ("fallocate", "/db/", "ENOSPC"), ("write", "/db/LOG", "EIO"), ("write,pwrite", ".sst", "short")]


@pytest.mark.timeout(200)
@pytest.mark.parametrize("operations, pattern, error", BEHIND)
def test_a_failure_behind_the_commit_loses_nothing_and_hangs_nobody(sick, operations, pattern, error):
    """50 MB of events, so that memtables are flushed and windows are ingested, while those files cannot be written."""
    sick.append("", command(aggregate="many/0", data={"n": -1}))
    sick.fail(operations, pattern, error)
    acknowledged, failed = 1, None
    batch = 4000
    with sick.commands("", os.O_WRONLY) as c:
        try:
            for first in range(0, lib.size(280_000), batch):
                c.write_all(lib.spread(batch, first, over=1, pad=100))
                acknowledged += batch
        except OSError as e:
            failed = errno.errorcode[e.errno]
    assert failed in (None, "EIO", "EROFS")
    assert sick.alive(), sick.log()
    assert acknowledged <= sick.version("many/0") < acknowledged + batch + 1
    assert sick.ok("tail -n 1 log.ndjson | wc -l") == "1"
    if failed:
        lib.wait_until(lambda: sick.status()["state"] == "read-only", what="it says so")
    elif sick.failures() and lib.SLOW == 1 and pattern == ".sst":
        told = sick.status()
        assert told["state"] != "ok" or "derived_fault" in told or sick.lines(".esfs/errors.ndjson"), "it says so"
    healed(sick)
    n = sick.version("many/0")
    assert acknowledged <= n < acknowledged + batch + 1
    assert sick.ok("wc -l < log.ndjson", timeout=60) == sick.ok("wc -l < many/0/events.ndjson", timeout=60) == str(n)
    sick.append("", command(aggregate="many/0"))
    sick.stop()
    done = sick.verify()
    assert done.rc == 0, done
    sick.start()


@pytest.mark.parametrize("operations, pattern", [("write,pwrite", "/db/"), ("fsync,fdatasync", "/db/"),
                                                 ("write,pwrite", "/lock"), ("write,pwrite,fsync", "format"),
                                                 ("pwrite,write", "/head"), ("ftruncate", "lock")])
@pytest.mark.parametrize("new", [True, False])
def test_a_start_on_a_failing_disk_is_refused_with_the_reason_or_works(sick, operations, pattern, new):
    sick.append("", command(aggregate="order/1"))
    (sick.stop if new else sick.kill9)()
    if new:
        sick.store += ".new"
    sick.fail(operations, pattern)
    sick.spawn()
    lib.wait_until(lambda: sick.process.poll() is not None or is_mounted(sick.mnt), 20, "an answer")
    if sick.process.poll() is None:
        assert new is False or sick.failures() == "", "it was not met"
        end(sick)
    else:
        assert sick.process.returncode == 1 and sick.log(), sick.log()
        sick.process = None
    sick.heal()
    sick.start()
    assert new or sick.version("order/1") == 1
    sick.append("", command(aggregate="order/1"))


def test_a_failed_store_can_still_be_read_copied_and_unmounted(sick):
    lib.need("tar")
    sick.append("", *[command(aggregate=f"order/{i}") for i in range(50)])
    sick.fail("fdatasync,fsync", ".log")
    sick.sh("""echo '{"type":"A"}' > order/1/commands""")
    assert sick.ok("tar cf - order/*/events | tar tf - | grep -c json") == "50"
    assert sick.ok("cat log.ndjson | wc -l") == "50"
    done = lib.run(["fusermount3", "-u", sick.mnt])
    assert done.rc == 0, done
    assert sick.wait() in (0, 1)
    sick.heal()
    sick.start()
    assert len(sick.log_events()) in (50, 51)


def test_sigterm_during_a_failure_ends(sick):
    """No waiter is left behind when the daemon ends while the disk fails."""
    sick.make(*(f"w/{i}" for i in range(8)))
    with lib.running(["bash", "-c", "while echo '{\"type\":\"A\"}' > w/1/commands; do :; done"],
                     cwd=sick.mnt,
                     stderr=subprocess.DEVNULL):
        lib.wait_until(lambda: sick.version("w/1") > 5, what="it writes")
        sick.fail("fdatasync,fsync,write,pwrite", "/db/")
        lib.wait_until(lambda: sick.status()["state"] == "read-only", what="the failure")
        sick.process.terminate()
        assert sick.wait() in (0, 1)
    sick.detach()
    sick.heal()
    sick.start()
