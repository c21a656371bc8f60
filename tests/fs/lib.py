"""What every test of the mount shares: the programs, shells with a time limit, waiting, commands and results.

The daemon is in lib_daemon.py. Nothing here waits without a limit."""

import calendar
import contextlib
import errno
import functools
import glob
import json
import os
import re
import shutil
import signal
import subprocess
import time
from typing import NamedTuple

import pytest

# A child begins with chdir(2) into the mount. With vfork(2) all of Python would stand still while that waits for a
# hung daemon, the watchdog too.
subprocess._USE_VFORK = False

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
FAULTS = os.path.join(os.path.dirname(HERE), "faults")

SLOW = 8 if os.environ.get("ESFS_SLOW", "0") not in ("", "0") else 1
"""A sanitizer build: time limits are multiplied by this, sizes divided (see `size`)."""


def limit(seconds):
    return seconds * SLOW


def size(n, least=1):
    """How much work to do: n for a release build, less for a slow one."""
    return max(least, n // SLOW)


# --- programs

def program(name, variable):
    """A built program: what the environment names, else the newest in a build directory."""
    if os.environ.get(variable):
        return os.path.abspath(os.environ[variable])
    places = [f"{ROOT}/build*/{name}", f"{ROOT}/build*/*/{name}", f"/tmp/b-tests/{name}", f"/tmp/b-tests/*/{name}"]
    found = [p for place in places for p in glob.glob(place) if os.path.isfile(p) and os.access(p, os.X_OK)]
    return max(found, key=os.path.getmtime, default=None)


def esfs():
    return _built("esfs", "ESFS")


def esfsctl():
    return _built("esfsctl", "ESFSCTL")


def _built(name, variable):
    path = program(name, variable)
    if not path:
        pytest.fail(f"{name} is not built: set {variable}, or build into {ROOT}/build", pytrace=False)
    return path


def need(*tools):
    """Skips the test, with the reason, where a tool is missing."""
    for tool in tools:
        if not shutil.which(tool):
            pytest.skip(f"{tool} is not installed")


def need_root():
    if os.geteuid() != 0:
        pytest.skip("needs root")


# --- running things

class Result(NamedTuple):
    rc: int
    out: str
    err: str

    def __str__(self):
        return f"exit {self.rc}\nstdout: {self.out[:4000]}\nstderr: {self.err[:4000]}"


def run(argv, *, cwd=None, timeout=20, stdin=None, env=None, **options):
    """Runs a program to its end. Too late is a failure, and nothing of it is left."""
    given = stdin if isinstance(stdin, (bytes, type(None))) else stdin.encode()
    source = subprocess.DEVNULL if given is None else subprocess.PIPE
    process = subprocess.Popen(argv, cwd=cwd, stdin=source, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               env=None if env is None else {**os.environ, **env}, start_new_session=True, **options)
    try:
        out, err = process.communicate(given, timeout=limit(timeout))
    except subprocess.TimeoutExpired:
        kill_group(process)
        raise AssertionError(f"still running after {limit(timeout)} s: {argv}") from None
    return Result(process.returncode, out.decode(errors="surrogateescape"), err.decode(errors="surrogateescape"))


def kill_group(process):
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(5)


def sh(command, *, cwd, shell="bash", **options):
    return run([shell, "-c", command], cwd=cwd, **options)


def start(argv, **options):
    """A program that runs beside the test; end it with `finish`."""
    return subprocess.Popen(argv, start_new_session=True, **options)


@contextlib.contextmanager
def running(argv, **options):
    process = start(argv, **options)
    try:
        yield process
    finally:
        kill_group(process)
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream:
                with contextlib.suppress(OSError):
                    stream.close()


def says_ended(err):
    """What a tool says whose mount has ended: the daemon's answer, or the kernel's to what the daemon had not yet seen."""
    return any(text in err for text in (b"shutdown", b"connection abort", b"not connected"))


def wait_until(holds, seconds=10, what=None, step=0.005):
    """Polls until holds() is true, and gives what it said. Fails past the limit."""
    end = time.monotonic() + limit(seconds)
    while True:
        value = holds()
        if value:
            return value
        if time.monotonic() > end:
            raise AssertionError(f"not so within {limit(seconds)} s: {what or holds}")
        time.sleep(step)


@functools.lru_cache
def compiled(source, *flags):
    """A C file of tests/faults, compiled once a run. With -shared: a library to preload."""
    compiler = os.environ.get("CC", "cc").split()[0]
    need(compiler)
    out_dir = os.path.join("/tmp", f"esfs-faults-{os.getpid()}")
    os.makedirs(out_dir, exist_ok=True)
    out = os.path.join(out_dir, source.replace(".c", ".so" if "-shared" in flags else ""))
    objects = [f for f in flags if not f.startswith("-l")]
    libraries = [f for f in flags if f.startswith("-l")]
    made = run([compiler, "-O1", "-g", "-Wall", "-Wextra", "-Werror", *objects, "-o", out,
                os.path.join(FAULTS, source), *libraries], timeout=60)
    assert made.rc == 0, made
    return out


def forget_compiled():
    shutil.rmtree(os.path.join("/tmp", f"esfs-faults-{os.getpid()}"), ignore_errors=True)


# --- commands

def command(kind="A", **members):
    """One command as a line of JSON. `kind` is its type."""
    return line({"type": kind, **members})


def line(value):
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def numbered(n, first=0, **members):
    """n commands of type A whose data counts: {"n":0}, {"n":1} ..."""
    rest = "".join(f',"{k}":{json.dumps(v)}' for k, v in members.items())
    return "".join(f'{{"type":"A","data":{{"n":{i}}}{rest}}}\n' for i in range(first, first + n)).encode()


def spread(n, first=0, over=997, pad=0):
    """n commands for the root, over many/0, many/1 ... in turn; data counts as in `numbered`."""
    tail = b',"pad":"%s"}}\n' % (b"x" * pad) if pad else b"}}\n"
    return b"".join(b'{"aggregate":"many/%d","type":"A","data":{"n":%d' % (i % over, i) + tail
                    for i in range(first, first + n))


class Channel:
    """An open `commands` file. write() is one write(2); refusals raise OSError."""

    def __init__(self, path, flags=os.O_RDWR):
        self.path = path
        self.fd = os.open(path, flags | os.O_CLOEXEC)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        """Closes, and passes on what close(2) says."""
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            os.close(fd)

    def write(self, data):
        return os.write(self.fd, data)

    def write_all(self, data):
        """Writes everything, over as many write(2)s as it takes."""
        data = memoryview(data)
        while data:
            n = os.write(self.fd, data)
            assert n > 0, "a write returned 0"
            data = data[n:]

    def results(self):
        """The result lines that have not been read yet."""
        text = b""
        while True:
            piece = os.read(self.fd, 1 << 16)
            text += piece
            if not piece:
                break
        assert text == b"" or text.endswith(b"\n"), text[-200:]
        return [strict(t) for t in text.splitlines()]

    def ask(self, value):
        """Writes one value and gives its result line, refused or not."""
        text = value if isinstance(value, bytes) else line(value)
        with contextlib.suppress(OSError):
            self.write_all(text)
        results = self.results()
        assert len(results) == 1, results
        return results[0]


def error_of(call, *arguments):
    """The errno that a call fails with, by name; None when it succeeds."""
    try:
        call(*arguments)
    except OSError as e:
        return errno.errorcode[e.errno]
    return None


# --- events

def strict(text):
    """JSON as jq reads it, but refusing a member that is given twice."""
    def members(pairs):
        assert len(dict(pairs)) == len(pairs), f"a member twice in {text!r}"
        return dict(pairs)
    return json.loads(text, object_pairs_hook=members)


def data_bytes(event_line):
    """The bytes of `data`, which is last in an event's line."""
    at = event_line.index(b',"data":') + len(b',"data":')
    assert event_line.endswith(b"}\n") or event_line.endswith(b"}"), event_line
    return event_line.rstrip(b"\n")[at:-1]


def event_time_ns(event):
    """An event's `time` in nanoseconds since 1970, exactly."""
    m = re.fullmatch(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)\.(\d{6})Z", event["time"])
    assert m, event["time"]
    year, month, day, hour, minute, second, micro = map(int, m.groups())
    return calendar.timegm((year, month, day, hour, minute, second)) * 10**9 + micro * 1000


def check_log(lines):
    """What holds for every log: valid lines, rising positions, strictly rising times, versions without gaps, no id
    twice. Gives the events."""
    events = [strict(text) for text in lines]
    versions, ids, last_position, last_time = {}, set(), "", ""
    for e in events:
        assert e["position"] > last_position and e["time"] > last_time, e
        last_position, last_time = e["position"], e["time"]
        versions[e["source"]] = versions.get(e["source"], 0) + 1
        assert e["version"] == versions[e["source"]] and int(e["sequence"]) == e["version"], e
        ids.add(e["id"])
    assert len(ids) == len(events), "an event id twice"
    return events
