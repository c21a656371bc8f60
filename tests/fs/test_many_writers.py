"""Many writers at once, and writers that die or stop."""

import os
import re
import signal
import subprocess
import sys
import threading
import time

import lib
from lib import command

SHELL_WRITER = """for j in $(seq 0 {last}); do
  echo '{{"aggregate":"w/{i}","type":"A","expectedVersion":'$j',"data":{{"j":'$j'}}}}' > commands || exit 1; done"""


def all_end_well(processes, seconds=60):
    end = time.monotonic() + lib.limit(seconds)
    for p in processes:
        try:
            assert p.wait(max(0.1, end - time.monotonic())) == 0, p.args
        except subprocess.TimeoutExpired:
            for other in processes:
                lib.kill_group(other)
            raise AssertionError("a writer did not end") from None


def test_32_processes_on_the_root_each_see_their_own_versions(mount):
    each = lib.size(40, 5)
    all_end_well([lib.start(["bash", "-c", SHELL_WRITER.format(i=i, last=each - 1)], cwd=mount.mnt) for i in range(32)])
    for i in range(32):
        assert [e["data"]["j"] for e in mount.events(f"w/{i}")] == list(range(each))
    assert len(mount.log_events()) == 32 * each
    assert mount.rejections() == []


def test_32_descriptors_that_stay_open_append_what_they_were_given(mount):
    each = lib.size(300)
    script = f"""
import os, sys
fd = os.open("commands", os.O_RDWR)
for j in range({each}):
    line = b'{{"aggregate":"w/%s","type":"A","expectedVersion":%d}}\\n' % (sys.argv[1].encode(), j)
    assert os.write(fd, line) == len(line)
    assert b'"version":%d,' % (j + 1) in os.read(fd, 4096)
"""
    all_end_well([lib.start([sys.executable, "-c", script, str(i)], cwd=mount.mnt) for i in range(32)])
    assert mount.ok("cat w/*/version | sort | uniq -c | xargs") == f"32 {each}"
    mount.log_events()


def test_writers_who_race_for_one_aggregate_retry_until_they_win(mount):
    """Optimistic concurrency as a shell user does it: read the version, expect it, try again when it was stale."""
    mount.make("order/1")
    each, writers = lib.size(15, 3), 8
    script = f"""for j in $(seq {each}); do
        until read -r v < order/1/version &&
              echo '{{"type":"A","expectedVersion":'$v'}}' 2>/dev/null > order/1/commands; do :; done; done"""
    all_end_well([lib.start(["bash", "-c", script], cwd=mount.mnt, stderr=subprocess.DEVNULL) for _ in range(writers)])
    assert mount.version("order/1") == writers * each
    assert {r["error"] for r in mount.rejections()} <= {"conflict"}


def test_writers_share_flushes(mount):
    """32 writers who wait at once get fewer commits than commands."""
    script = f"""
import os, sys
fd = os.open("commands", os.O_WRONLY)
sys.stdin.read(1)
for j in range({lib.size(60, 5)}):
    os.write(fd, b'{{"aggregate":"w/%s","type":"A"}}' % sys.argv[1].encode())
"""
    writers = [
        lib.start([sys.executable, "-c", script, str(i)], cwd=mount.mnt, stdin=subprocess.PIPE) for i in range(32)
    ]
    lib.wait_until(lambda: len([u for u in mount.users() if "/fd/" in u]) >= 32, 20, "all have it open")
    before = mount.status()
    for p in writers:
        p.stdin.close()
    all_end_well(writers)
    after = mount.status()
    events, blocks = after["events"] - before["events"], after["blocks"] - before["blocks"]
    assert events == 32 * lib.size(60, 5)
    assert blocks < events * 0.7, f"{events} events took {blocks} commits"


# --- flock

def test_flock_excludes_a_read_modify_write_stays_exact(mount, place):
    mount.make("order/1")
    counter = os.path.join(place, "counter")
    with open(counter, "w") as f:
        f.write("0\n")
    each, writers = lib.size(25, 3), 8
    script = f"""for j in $(seq {each}); do
        flock order/1/commands bash -c 'read -r n < {counter}; sleep 0.001; echo $((n+1)) > {counter}' || exit 1
        done"""
    all_end_well([lib.start(["bash", "-c", script], cwd=mount.mnt) for _ in range(writers)])
    assert int(open(counter).read()) == writers * each


def test_flock_on_a_descriptor_and_an_append_under_it(mount):
    """The lock is held on the very descriptor that writes; the version read under it is the one that is there."""
    mount.make("order/1")
    each, writers = lib.size(10, 3), 6
    script = f"""for j in $(seq {each}); do exec 9>order/1/commands; flock 9; read -r v < order/1/version
        echo '{{"type":"A","expectedVersion":'$v'}}' >&9 || exit 1; exec 9>&-; done"""
    all_end_well([lib.start(["bash", "-c", script], cwd=mount.mnt) for _ in range(writers)])
    assert mount.version("order/1") == writers * each and mount.rejections() == []


def test_flock_is_held_until_it_is_given_back(mount):
    mount.make("order/1", "order/2")
    with lib.running(["flock", "order/1/commands", "sh", "-c", "echo held; exec sleep 60"], cwd=mount.mnt,
                     stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        for _ in range(3):
            assert mount.sh("flock -n order/1/commands true").rc == 1
            assert mount.sh("flock -n -s order/1/commands true").rc == 1
        mount.ok("flock -n order/2/commands true; flock -n order/commands true; flock -n commands true")
        assert mount.sh("timeout 0.3 flock order/1/commands true").rc == 124, "whoever waits can be interrupted"
        mount.append("order/1", command())
        with lib.running(["flock", "order/1/commands", "echo", "mine"], cwd=mount.mnt,
                         stdout=subprocess.PIPE) as waiter:
            lib.wait_until(lambda: "flock" in open(f"/proc/{waiter.pid}/comm").read(), what="the waiter runs")
            os.killpg(holder.pid, signal.SIGKILL)
            assert waiter.stdout.readline() == b"mine\n", "a holder that is killed lets go"
    mount.ok("flock -n order/1/commands true")


def test_shared_locks_are_shared(mount):
    with lib.running(["flock", "-s", "commands", "sh", "-c", "echo held; exec sleep 60"],
                     cwd=mount.mnt,
                     stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        mount.ok("flock -n -s commands true")
        assert mount.sh("flock -n commands true").rc == 1
    lib.wait_until(lambda: mount.sh("flock -n commands true").rc == 0, what="free again")


def test_a_waiter_for_a_lock_that_is_killed_leaves_no_trace(mount):
    with lib.running(["flock", "commands", "sh", "-c", "echo held; read x"],
                     cwd=mount.mnt,
                     stdin=subprocess.PIPE,
                     stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        waiters = [lib.start(["flock", "commands", "sleep", "60"], cwd=mount.mnt) for _ in range(5)]
        lib.wait_until(lambda: all(open(f"/proc/{w.pid}/comm").read() == "flock\n" for w in waiters), what="they run")
        for w in waiters:
            w.kill()
            assert w.wait(lib.limit(10)) == -signal.SIGKILL
        holder.stdin.close()
        assert holder.wait(lib.limit(10)) in (0, 1)
    mount.ok("flock -w 5 commands true")


# --- writers that die or stop

HALF = b'{"type":"Half","data":{"k":'


def half_writer(mount, scope="order/1"):
    """A process that has written half a command, and waits."""
    script = f"""
import os, sys
fd = os.open({scope!r} + "/commands", os.O_WRONLY)
os.write(fd, {HALF!r})
print("half", flush=True)
sys.stdin.read(1)
os.write(fd, b'1}}}}')
print("whole", flush=True)
"""
    process = lib.start([sys.executable, "-c", script], cwd=mount.mnt, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout.readline() == b"half\n"
    return process


def put_away(process):
    lib.kill_group(process)
    for stream in (process.stdin, process.stdout):
        stream.close()


def test_a_writer_killed_in_mid_command_blocks_nobody_and_appends_nothing(mount):
    mount.make("order/1")
    process = half_writer(mount)
    try:
        mount.append("order/1", command())
        process.kill()
        process.wait(10)
    finally:
        put_away(process)
    told = lib.wait_until(lambda: mount.rejections("order"), what="the rejection of what was cut off")
    assert len(told) == 1 and told[0]["error"] == "malformed" and told[0]["pid"] == process.pid
    mount.append("order/1", command())
    assert [e["type"] for e in mount.events("order/1")] == ["A", "A"]


def test_a_writer_stopped_in_mid_command_blocks_nobody_and_finishes_later(mount):
    mount.make("order/1")
    process = half_writer(mount)
    try:
        process.send_signal(signal.SIGSTOP)
        for n in range(1, 51):
            mount.append("order/1", command())
            assert mount.version("order/1") == n
        process.send_signal(signal.SIGCONT)
        process.stdin.close()
        assert process.stdout.readline() == b"whole\n"
        assert process.wait(lib.limit(10)) == 0
    finally:
        put_away(process)
    assert mount.events("order/1")[-1]["type"] == "Half"
    assert mount.rejections() == []


def test_writers_killed_at_any_moment_leave_whole_commands_only(mount):
    """Rounds of writers that are killed while they write megabytes."""
    script = """
import os, sys
fd = os.open("commands", os.O_WRONLY)
n = 0
while True:
    text = b"".join(b'[{"aggregate":"a/%s","type":"A","data":{"n":%d}},'
                    b'{"aggregate":"b/%s","type":"B","data":{"n":%d}}]' % (w, i, w, i)
                    for w in [sys.argv[1].encode()] for i in range(n, n + 700))
    n += 700
    while text: text = text[os.write(fd, text):]
"""
    rounds = lib.size(5, 2)
    for r in range(rounds):
        writers = [lib.start([sys.executable, "-c", script, f"{r}-{i}"], cwd=mount.mnt) for i in range(3)]
        lib.wait_until(lambda: all(os.path.exists(mount.path(f"b/{r}-{i}")) for i in range(3)), what="all write")
        for w in writers:
            w.kill()
            w.wait(lib.limit(20))
    events = mount.log_events()
    sides = {side: [(e["subject"], e["data"]["n"]) for e in events if e["type"] == side] for side in "AB"}
    assert sides["A"] == sides["B"] and len(sides["A"]) * 2 == len(events) > 700
    for r in range(rounds):
        for i in range(3):
            mine = [n for who, n in sides["A"] if who == f"{r}-{i}"]
            assert mine == list(range(len(mine)))


def test_a_hung_reader_blocks_nobody(mount):
    """One has read a piece of a large log and was stopped; others write and read, and the log it sees is whole."""
    mount.append("", b"".join(command(aggregate="order/1", data={"x": "y" * 900}) for _ in range(3000)))
    size = os.path.getsize(mount.path("log.ndjson"))
    with lib.running(["cat", "log.ndjson"], cwd=mount.mnt, stdout=subprocess.PIPE) as reader:
        first = os.read(reader.stdout.fileno(), 1000)
        reader.send_signal(signal.SIGSTOP)
        for n in range(50):
            mount.append("order/1", command())
        assert mount.version("order/1") == 3050
        assert mount.ok("wc -l < log.ndjson") == "3050"
        reader.send_signal(signal.SIGCONT)
        text = first + reader.stdout.read()
    assert len(text) >= size and text == mount.read("log.ndjson")[:len(text)]


def test_a_results_reader_that_never_reads_blocks_nobody(mount):
    mount.make("order/1")
    with mount.commands("order/1") as silent:
        for _ in range(lib.size(30, 3)):
            silent.write_all(command() * 1000)
        with mount.commands("order/1") as other:
            assert other.ask({"type": "A"})["status"] == "appended"


def test_two_threads_on_one_descriptor_do_not_tear_commands(mount):
    mount.make("order/1")
    each = lib.size(300)
    with mount.commands("order/1") as c:
        def write(who):
            for n in range(each):
                os.write(c.fd, command(data={"who": who, "n": n}))
        threads = [threading.Thread(target=write, args=(i,)) for i in range(6)]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
        results = c.results()
    events = mount.events("order/1")
    assert len(events) == 6 * each and {r["status"] for r in results} == {"appended"}
    for who in range(6):
        assert [e["data"]["n"] for e in events if e["data"]["who"] == who] == list(range(each))


def test_the_daemon_needs_no_thread_for_each_writer(mount):
    """200 writers who wait at once (each for its commit) do not exhaust it."""
    mount.make(*(f"w/{i}" for i in range(200)))
    channels = [mount.commands(f"w/{i}") for i in range(200)]
    try:
        threads = [
            threading.Thread(target=lambda c: [c.write(command()) for _ in range(5)], args=(c, )) for c in channels
        ]
        for t in threads:
            t.start()
        for t in threads:
            t.join()
    finally:
        for c in channels:
            c.close()
    assert mount.ok("cat w/*/version | sort | uniq -c | xargs") == "200 5"
    threads = int(re.search(r"Threads:\s+(\d+)", open(f"/proc/{mount.pid}/status").read()).group(1))
    assert threads < 150
