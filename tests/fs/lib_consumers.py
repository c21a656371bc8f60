"""What the tests of consumers share: their files, descriptors that read lines, and readers that run beside the test."""

import contextlib
import json
import os
import threading

import lib


def hexa(n):
    return f"{n:016x}"


def append(mount, *aggregates, kind="A"):
    for name in aggregates:
        mount.append("", lib.command(kind, aggregate=name))


def consumer(mount, name, **config):
    """Makes one, with a config; gives its path."""
    path = mount.path("consumers", name)
    os.mkdir(path)
    if config:
        configure(path, **config)
    return path


def configure(path, **config):
    write(os.path.join(path, "config.json"), json.dumps(config))


def write(path, text):
    """One open, one write(2), one close; an error of any raises."""
    fd = os.open(path, os.O_WRONLY)
    try:
        return os.write(fd, text if isinstance(text, bytes) else text.encode())
    finally:
        os.close(fd)


def read(path):
    with open(path, "rb") as f:
        return f.read().decode()


def ack(path, position):
    write(os.path.join(path, "ack"), position + "\n")


def cursor(path):
    return int(read(os.path.join(path, "ack")), 16)


def lag(path):
    return int(read(os.path.join(path, "lag")))


def status(path):
    return lib.strict(read(os.path.join(path, ".status.json")))


def nack(path, position, reason):
    write(os.path.join(path, "nack"), lib.line({"position": position, "reason": reason}))


def remove(path):
    """With what it has parked."""
    for shelf in os.path.join(path, "parked"), os.path.join(path, "parked", "retry"):
        for name in os.listdir(shelf):
            if name.endswith(".json"):
                os.rename(os.path.join(shelf, name), os.path.join(path, "parked", "skipped", name))
    os.rmdir(path)


def positions(text):
    return [int(lib.strict(line)["position"], 16) for line in text.splitlines()]


def pending(path):
    return positions(read(os.path.join(path, "pending")))


class Follower:
    """An open `follow`."""

    def __init__(self, path, flags=os.O_RDONLY):
        self.fd = os.open(os.path.join(path, "follow"), flags | os.O_CLOEXEC)
        self.rest = b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        if self.fd >= 0:
            fd, self.fd = self.fd, -1
            with contextlib.suppress(OSError):  # of a mount that was killed
                os.close(fd)

    def event(self):
        """The next event, waited for; None at the end."""
        while b"\n" not in self.rest:
            piece = os.read(self.fd, 4096)
            if not piece:
                assert not self.rest
                return None
            self.rest += piece
        line, self.rest = self.rest.split(b"\n", 1)
        return lib.strict(line)

    def events(self, n):
        return [self.event() for _ in range(n)]

    def there(self):
        """The positions of all lines that there are now; the descriptor is O_NONBLOCK."""
        text = self.rest
        with contextlib.suppress(BlockingIOError):
            while piece := os.read(self.fd, 1 << 16):
                text += piece
        self.rest = b""
        return positions(text)

    def ack(self, *positions):
        """In a group."""
        return os.write(self.fd, "".join(p + "\n" for p in positions).encode())


class Reading(threading.Thread):
    """One read(2) of a descriptor in a thread of its own."""

    def __init__(self, fd, n=4096):
        super().__init__(daemon=True)
        self.fd, self.n, self.got, self.error = fd, n, None, None
        self.start()

    def run(self):
        try:
            self.got = os.read(self.fd, self.n)
        except OSError as e:
            self.error = e.errno

    def waits(self, seconds=0.2):
        """It has not come back within that time."""
        self.join(seconds)
        return self.is_alive()

    def comes(self, seconds=10):
        self.join(lib.limit(seconds))
        assert not self.is_alive(), "the read still waits"
        return self.got


def threads(mount):
    return len(os.listdir(f"/proc/{mount.pid}/task"))


def is_waiting(task):
    """Whether a thread sleeps in a request that the daemon has not answered."""
    try:
        with open(f"{task}/wchan") as f:
            return f.read() == "request_wait_answer"
    except OSError:
        return False


def waiting(*processes):
    """How many threads wait for the daemon, in the test itself and in the processes."""
    pids = ["self", *(str(p.pid) for p in processes)]
    return sum(is_waiting(f"/proc/{pid}/task/{t}") for pid in pids for t in os.listdir(f"/proc/{pid}/task"))
