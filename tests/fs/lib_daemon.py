"""The daemon under test: starting, stopping, killing and looking at it.

Every daemon is in the foreground, writes its log into the test's directory and is known to `live`, so that
conftest.py can see that none outlives its test."""

import contextlib
import glob
import os
import re
import signal
import subprocess
import time

import lib

live = []
"""Daemons that were started and have not been put away."""

SANITIZER = re.compile(r"ERROR: (Address|Leak)Sanitizer|runtime error:|WARNING: ThreadSanitizer|Assertion .* failed|"
                       r"terminate called")

ABORTED = "esfs: RocksDB stopped the process"
"""What is said after an assertion of Debian's RocksDB, when the disk failed while it opened a database."""


def mountpoints():
    """Where something is mounted. Asks the kernel only: a stat() would ask a daemon that may hang."""
    with open("/proc/self/mountinfo", encoding="utf-8", errors="surrogateescape") as f:
        return [text.split(" ")[4].replace("\\040", " ") for text in f]


def is_mounted(path):
    return path in mountpoints()


def mounts_below(path):
    return [m for m in mountpoints() if m.startswith(path + "/")]


class Daemon:
    """A store, a mountpoint, and the process between them."""

    def __init__(self, store, mnt, log, options=(), env=None, prefix=()):
        self.store, self.mnt, self.log_path = str(store), os.path.realpath(mnt), str(log)
        self.options, self.env, self.prefix = list(options), dict(env or {}), list(prefix)
        self.process = None
        self.hung = False

    # --- life

    def argv(self):
        options = ["-o", ",".join(self.options)] if self.options else []
        return [*self.prefix, lib.esfs(), self.store, self.mnt, *options, "-f"]

    def spawn(self):
        assert self.process is None, "already running"
        os.makedirs(self.mnt, exist_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(self.argv(), stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                            env={**os.environ, **self.env}, start_new_session=True, cwd="/")
        if self not in live:
            live.append(self)

    def start(self, timeout=20):
        """Starts and returns when the mount is there."""
        self.spawn()
        lib.wait_until(lambda: self.process.poll() is not None or is_mounted(self.mnt), timeout, "the mount", 0.002)
        if self.process.poll() is not None:
            rc, self.process = self.process.returncode, None
            raise AssertionError(f"esfs died before it mounted: exit {rc}\n{self.log()}")
        return self

    def refused(self, timeout=20):
        """Starts, expecting it to say no: gives exit code and what it said, as `Result`."""
        before = len(self.log())
        self.spawn()
        lib.wait_until(lambda: self.process.poll() is not None or is_mounted(self.mnt), timeout, "an answer", 0.002)
        if self.process.poll() is None:
            self.stop()
            raise AssertionError("it was mounted, and should have been refused")
        rc, self.process = self.process.returncode, None
        said = self.log()[before:]
        assert rc > 0, f"exit {rc} (a signal?)\n{said}"
        return lib.Result(rc, "", said)

    def wait(self, timeout=20):
        """The exit code of the process, once it has ended."""
        try:
            rc = self.process.wait(lib.limit(timeout))
        except subprocess.TimeoutExpired:
            self.dump("did not end")
            self.kill9()
            raise AssertionError(f"esfs did not end within {lib.limit(timeout)} s") from None
        self.process = None
        return rc

    def stop(self, timeout=30):
        """A clean unmount: fusermount3 says yes, the daemon exits 0, nothing is mounted."""
        done = lib.run(["fusermount3", "-u", self.mnt], timeout=timeout)
        assert done.rc == 0, f"fusermount3 -u {self.mnt}: {done}\nusers: {self.users()}"
        self.expect_clean_exit(timeout)

    def expect_clean_exit(self, timeout=30):
        rc = self.wait(timeout)
        assert rc == 0, f"esfs exited with {rc}\n{self.log()[-8000:]}"
        assert not is_mounted(self.mnt), "still mounted after a clean exit"

    def term(self, timeout=30):
        self.process.send_signal(signal.SIGTERM)
        self.expect_clean_exit(timeout)

    def kill9(self):
        """The process is gone without a word, and so is the mount."""
        if self.process:
            self.process.kill()
            self.process.wait(30)
            self.process = None
        self.detach()

    def detach(self):
        while is_mounted(self.mnt):
            subprocess.run(["umount", "-l", self.mnt] if os.geteuid() == 0 else ["fusermount3", "-uz", self.mnt],
                           check=True, timeout=30, stdin=subprocess.DEVNULL)

    def restart(self, options=None):
        """A clean stop and a new start."""
        self.stop()
        if options is not None:
            self.options = list(options)
        return self.start()

    def crash(self):
        """kill -9 and a new start."""
        self.kill9()
        return self.start()

    @property
    def pid(self):
        return self.process.pid

    def alive(self):
        return self.process is not None and self.process.poll() is None

    # --- when something is wrong

    def log(self):
        with contextlib.suppress(FileNotFoundError):
            with open(self.log_path, encoding="utf-8", errors="replace") as f:
                return f.read()
        return ""

    def users(self):
        """Processes with something of the mount open."""
        found = []
        for path in glob.glob("/proc/[0-9]*/fd/*") + glob.glob("/proc/[0-9]*/cwd"):
            with contextlib.suppress(OSError):
                if os.readlink(path).startswith(self.mnt):
                    found.append(f"{path} -> {os.readlink(path)}")
        return found

    def dump(self, why):
        """What every thread of the daemon and every child of ours is doing, into a file beside the log."""
        path = self.log_path + ".stacks"
        with open(path, "ab") as out:
            out.write(f"=== {why}\n".encode())
            out.flush()
            if self.alive():
                with contextlib.suppress(OSError, subprocess.SubprocessError):
                    subprocess.run(["gdb", "-p", str(self.pid), "-batch", "-ex", "thread apply all bt"], stdout=out,
                                   stderr=out, stdin=subprocess.DEVNULL, timeout=20)
            for pid in descendants(os.getpid()):
                for name in ("cmdline", "wchan", "stack"):
                    for place in glob.glob(f"/proc/{pid}/task/*/{name}"):
                        with contextlib.suppress(OSError):
                            out.write(f"--- {place}: ".encode() + open(place, "rb").read().replace(b"\0", b" ") + b"\n")
        return path

    def abort(self):
        """Last resort, from another thread: whoever waits for the daemon gets an error."""
        self.hung = True
        self.dump("the test took too long")
        if self.alive():
            self.process.kill()

    def put_away(self):
        """Ends whatever is left; says what was wrong with it, or None."""
        faults = []
        if self.hung:
            faults.append(f"it hung; stacks in {self.log_path}.stacks")
        elif self.alive():
            try:
                self.stop()
            except AssertionError as e:
                faults.append(f"no clean unmount: {e}")
        elif self.process is not None:
            faults.append(f"it had died: exit {self.process.returncode}\n{self.log()[-4000:]}")
        if self.process is not None:
            self.process.kill()
            self.process.wait(30)
            self.process = None
        self.detach()
        with contextlib.suppress(ValueError):
            live.remove(self)
        found = SANITIZER.search(self.log())
        if found and ABORTED not in self.log():
            faults.append(f"its log has a report: {self.log()[found.start():][:8000]}")
        return "\n".join(faults) or None

    # --- the mounted tree

    def path(self, *names):
        return os.path.join(self.mnt, *names)

    def sh(self, command, **options):
        return lib.sh(command, cwd=self.mnt, **options)

    def ok(self, command, **options):
        """A shell command that must succeed; gives its output."""
        done = self.sh(command, **options)
        assert done.rc == 0, f"{command}\n{done}"
        return done.out.rstrip("\n")

    def fails(self, command, saying="", **options):
        """A shell command that must fail with this text on stderr."""
        done = self.sh(command, **options)
        assert done.rc != 0 and saying in done.err, f"{command}\nshould fail with {saying!r}\n{done}"
        return done

    def commands(self, scope="", flags=os.O_RDWR):
        return lib.Channel(self.path(scope, "commands"), flags)

    def make(self, *aggregates):
        for name in aggregates:
            os.makedirs(self.path(name), exist_ok=True)
        return aggregates[0] if len(aggregates) == 1 else aggregates

    def append(self, scope, *commands):
        """Appends through one descriptor; the results."""
        with self.commands(scope) as c:
            c.write_all(b"".join(x if isinstance(x, bytes) else lib.line(x) for x in commands))
            return c.results()

    def read(self, *names):
        with open(self.path(*names), "rb") as f:
            return f.read()

    def lines(self, *names):
        text = self.read(*names)
        assert text == b"" or text.endswith(b"\n"), text[-100:]
        return text.splitlines(keepends=True)

    def version(self, aggregate):
        text = self.read(aggregate, "version")
        assert text.endswith(b"\n"), text
        return int(text)

    def events(self, aggregate):
        return [lib.strict(text) for text in self.lines(aggregate, "events.ndjson")]

    def event_files(self, aggregate):
        return sorted(os.listdir(self.path(aggregate, "events")))

    def log_events(self, scope=""):
        return lib.check_log(self.lines(scope, "log.ndjson"))

    def rejections(self, scope=""):
        return [lib.strict(text) for text in self.lines(scope, "rejections.ndjson")]

    def status(self):
        return lib.strict(self.read(".esfs/status.json"))

    def verify(self, timeout=60):
        """esfsctl verify on the store, which must not be mounted."""
        return lib.run([lib.esfsctl(), "verify", self.store], timeout=timeout)

    def rebuild(self, timeout=120):
        return lib.run([lib.esfsctl(), "rebuild", self.store], timeout=timeout)

    def snapshot(self):
        """Everything below the mountpoint that must survive: name -> (inode, mode, size, mtime, bytes)."""
        passing = ("commands", "rejections.ndjson", "call", ".rebuild", ".status.json")
        seen = {}
        for top, _, files in os.walk(self.mnt):
            if os.path.basename(top) == ".esfs":
                continue
            for path in [top, *(os.path.join(top, f) for f in files if f not in passing)]:
                st = os.lstat(path)
                content = b"" if path == top else open(path, "rb").read()
                assert path == top or st.st_size == len(content), path
                name = os.path.relpath(path, self.mnt)
                seen[name] = (st.st_ino, oct(st.st_mode), len(content), st.st_mtime_ns, content)
        return seen


def descendants(pid):
    children = {}
    for path in glob.glob("/proc/[0-9]*/stat"):
        with contextlib.suppress(OSError, IndexError, ValueError):
            text = open(path).read()
            children.setdefault(int(text.rpartition(")")[2].split()[1]), []).append(int(path.split("/")[2]))
    found, todo = [], [pid]
    while todo:
        one = todo.pop()
        found.append(one)
        todo += children.get(one, [])
    return found


def wait_for_process_end(pid, seconds=20):
    """A process that is not our child has ended."""
    def gone():
        try:
            state = open(f"/proc/{pid}/stat").read().rpartition(")")[2].split()[0]
        except OSError:
            return True
        return state == "Z"
    lib.wait_until(gone, seconds, f"process {pid} to end")


def pause(seconds):
    """Lets work go on for a while: a duration under test, never a way to wait for something."""
    time.sleep(seconds)
