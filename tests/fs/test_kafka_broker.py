"""tools/kafka.sh: what it says of what cannot be, and that it never loses sight of a broker that runs."""

import os

import pytest

import lib
import lib_kafka
from lib_kafka import ENV, SCRIPT, free_port

pytestmark = pytest.mark.timeout(180)


def script(*arguments):
    return lib.run([SCRIPT, *arguments], timeout=90, env=ENV)


@pytest.fixture
def directory(tmp_path):
    lib_kafka.need_kafka()
    where = str(tmp_path / "broker")
    yield where
    if os.path.exists(f"{where}/pid"):
        script("stop", where)


def properties(directory):
    with open(os.path.join(directory, "server.properties")) as f:
        return f.read().splitlines()


@pytest.mark.parametrize("arguments, says", [
    (["abc"], "abc: a port is meant, from 1 to 65534"),
    (["0"], "0: a port is meant"),
    (["65535"], "65535: a port is meant"),
    (["9092", "num.partitions"], "num.partitions: PROPERTY=VALUE is meant"),
])
def test_wrong_arguments_are_refused_in_words(tmp_path, arguments, says):
    done = script("start", str(tmp_path / "broker"), *arguments)
    assert done.rc == 1 and says in done.err, done
    assert not os.path.exists(tmp_path / "broker")


def test_a_broker_that_runs_is_not_started_again_but_stopped(directory):
    port = free_port()
    assert script("start", directory, str(port), "num.partitions=3").rc == 0
    with open(f"{directory}/pid") as f:
        pid = f.read().strip()
    done = script("start", directory, str(port))
    assert done.rc == 1 and f"runs already, on localhost:{port}, as process {pid}" in done.err, done
    other = f"{directory}-other"
    done = script("start", other, str(port))
    assert done.rc == 1 and f"port {port} or {port + 1}: Address already in use" in done.err, done
    assert script("stop", directory).rc == 0
    assert not os.path.exists(f"/proc/{pid}")

    moved = free_port()
    assert script("start", directory, str(moved), "num.partitions=5").rc == 0
    assert any(line.startswith(f"listeners=PLAINTEXT://localhost:{moved},") for line in properties(directory))
    assert "num.partitions=5" in properties(directory) and "num.partitions=3" not in properties(directory)
    assert script("stop", directory).rc == 0
    assert script("start", directory).rc == 0
    assert "num.partitions=5" in properties(directory)
