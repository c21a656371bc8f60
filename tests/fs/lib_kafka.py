"""A Kafka broker of the tests' own (tools/kafka.sh), kcat as an independent consumer, and what the publisher says.

Without Java, Maven, kcat, or a way to get Kafka's jars, tests skip and say so."""

import contextlib
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys

import pytest

import lib
import lib_daemon

SCRIPT = os.path.join(lib.ROOT, "tools", "kafka.sh")
CACHE = os.environ.get("ESFS_KAFKA", os.path.join(lib.ROOT, "build", "kafka"))
ENV = {"ESFS_KAFKA": CACHE, "ESFS_KAFKA_JAVA": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"}
"""Half the CPU of a start: a test's broker never runs long enough for more than that to pay."""

LONG = os.environ.get("ESFS_KAFKA_LONG", "0") not in ("", "0")
"""More rounds of what kills something."""

MESSAGE_MAX = 200000
"""message.max.bytes of the broker: small, so that little data is too large."""


def need_kafka():
    lib.need("java", "mvn", "kcat")
    done = lib.run([SCRIPT, "fetch"], timeout=600, env=ENV)
    if done.rc != 0:
        pytest.skip(done.err.strip().splitlines()[-1])


def free_port():
    """Such that the next one is free too."""
    while True:
        with socket.socket() as one, socket.socket() as two:
            one.bind(("127.0.0.1", 0))
            port = one.getsockname()[1]
            with contextlib.suppress(OSError, OverflowError):
                two.bind(("127.0.0.1", port + 1))
                return port


class Broker:
    """One node on ports of its own, which it keeps over restarts."""

    def __init__(self, directory, *properties):
        self.directory, self.properties, self.port = directory, properties, free_port()
        self.address = f"localhost:{self.port}"

    def start(self):
        """Everybody may do everything, but for what topics() denies."""
        done = lib.run([SCRIPT, "start", self.directory, str(self.port), f"message.max.bytes={MESSAGE_MAX}",
                        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer",
                        "allow.everyone.if.no.acl.found=true",
                        *self.properties], timeout=90, env=ENV)
        assert done.rc == 0, done
        return self

    @property
    def pid(self):
        with open(os.path.join(self.directory, "pid")) as f:
            return int(f.read())

    def kill9(self):
        os.kill(self.pid, signal.SIGKILL)
        lib_daemon.wait_for_process_end(self.pid)

    def stop(self):
        done = lib.run([SCRIPT, "stop", self.directory], timeout=40, env=ENV)
        assert done.rc == 0, done

    def pause(self):
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self):
        os.kill(self.pid, signal.SIGCONT)

    def put_away(self):
        with contextlib.suppress(OSError, ValueError):
            self.resume()
            self.kill9()

    def topics(self, verb, topic, *more):
        """tests/faults/topics.c"""
        done = lib.run([lib.compiled("topics.c", "-lrdkafka"), verb, self.address, topic, *more], timeout=60)
        assert done.rc == 0, done

    def messages(self, topic, *options):
        """All that is in a topic, by kcat: partition, offset, key, headers (a list of pairs), payload."""
        done = lib.run(["kcat", "-b", self.address, "-C", "-t", topic, "-e", "-q", "-J", *options], timeout=60)
        assert done.rc == 0, done
        found = []
        for text in done.out.splitlines():
            m = json.loads(text)
            flat = m.get("headers", [])
            m["headers"] = list(zip(flat[::2], flat[1::2]))
            found.append(m)
        return found

    def produce(self, topic, key, payload, headers, partition=0):
        options = [x for name, value in headers for x in ("-H", f"{name}={value}")]
        done = lib.run(["kcat", "-b", self.address, "-P", "-t", topic, "-p", str(partition), "-k", key, *options],
                       stdin=payload, timeout=30)
        assert done.rc == 0, done


class Publishing:
    """A daemon that publishes to topics that no other test has."""

    def __init__(self, daemons, broker, *options, topic="{type}", name=None):
        self.broker = broker
        self.prefix = name or f"t{os.getpid()}-{os.urandom(4).hex()}."
        self.options = [f"kafka={broker.address}", f"kafka-topic={self.prefix}{topic}", *options]
        self.daemon = daemons(options=self.options)

    def topic(self, name):
        return self.prefix + name

    def status(self):
        return lib.strict(self.daemon.read(".esfs/kafka/status.json"))

    def wait(self, holds, seconds=30, what=None):
        """Until the status is so; gives it."""
        last = {}

        def holds_now():
            last.clear()
            last.update(self.status())
            return holds(last)
        try:
            lib.wait_until(holds_now, seconds, what, step=0.02)
        except AssertionError as e:
            raise AssertionError(f"{e}\n{json.dumps(last, indent=1)}\n{self.daemon.log()[-2000:]}") from None
        return last

    def caught_up(self, seconds=60):
        return self.wait(lambda s: s["lag_events"] == 0, seconds, "everything is published")

    def parked(self):
        return sorted(n for n in os.listdir(self.daemon.path(".esfs/kafka/parked")) if n.endswith(".json"))

    def parked_event(self, name):
        return lib.strict(self.daemon.read(".esfs/kafka/parked", name))

    def refused(self):
        """Those that were refused themselves; what waits behind them may go at any time."""
        names = []
        for name in self.parked():
            with contextlib.suppress(OSError):
                names += [name] if "error" in self.parked_event(name) else []
        return names

    def move(self, name, to):
        """The errno of mv parked/<name> parked/<to>/, None when it succeeded."""
        at = self.daemon.path(".esfs/kafka/parked")
        return lib.error_of(os.rename, os.path.join(at, name), os.path.join(at, to, name))

    def ctl(self, verb, *more):
        return lib.run([lib.esfsctl(), "kafka", verb, self.daemon.store, *more], timeout=120)

    def verified(self, *more):
        """Unmounts; esfsctl finds Kafka sound. What it says."""
        self.daemon.stop()
        done = self.ctl("verify", "--brokers", self.broker.address, *more)
        assert done.rc == 0, done
        return done.out


def murmur2_partition(key, partitions):
    """Where Java's clients send a key."""
    mask, m, h = 0xffffffff, 0x5bd1e995, 0x9747b28c ^ len(key)
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i:i + 4], "little") * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = key[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7fffffff) % partitions


def python_package(name, *requirements):
    """A package from the index (and what it needs), in a directory of the cache; None where pip cannot get it."""
    where = os.path.join(CACHE, requirements[0])
    os.makedirs(where, exist_ok=True)
    with open(os.path.join(where, "lock"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not os.path.isdir(os.path.join(where, name)):
            subprocess.run([sys.executable, "-m", "pip", "install", "-q", "--target", where, *requirements],
                           check=False, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, timeout=300)
    return where if os.path.isdir(os.path.join(where, name)) else None
