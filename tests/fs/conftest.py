"""Fixtures of the tests on a real mount.

`mount` is a daemon on a fresh store. `daemons` makes others. When a test ends every daemon is unmounted and must
have exited with 0, without a sanitizer's report in its log; what is still there is killed, and the test fails."""

import os
import shutil
import tempfile
import threading

import pytest

pytest.register_assert_rewrite("lib", "lib_daemon")

import lib
import lib_daemon
from lib_daemon import Daemon

TIMEOUT = 120


def pytest_addoption(parser):
    parser.addoption("--cycles", type=int, default=None, help="kill -9 cycles of test_crash.py (or ESFS_CYCLES)")


def pytest_collection_modifyitems(items):
    """Every test has a time limit, longer in a slow build."""
    for item in items:
        marker = item.get_closest_marker("timeout")
        seconds = marker.args[0] if marker else TIMEOUT
        item.add_marker(pytest.mark.timeout(lib.limit(seconds) + 60, method="signal"), append=False)
        item.seconds = lib.limit(seconds)


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item, call):
    report = (yield).get_result()
    if report.when == "call" or report.skipped:
        item.ended_well = not report.failed


def pytest_sessionfinish():
    lib.forget_compiled()


@pytest.fixture(autouse=True)
def watchdog(request):
    """A test that waits for a hung daemon cannot be interrupted: end the daemon, and the wait ends with it."""
    def too_late():
        for daemon in list(lib_daemon.live):
            daemon.abort()
    timer = threading.Timer(request.node.seconds, too_late)
    timer.daemon = True
    timer.start()
    yield
    timer.cancel()


@pytest.fixture
def place(request):
    """The test's own directory, which other users can reach too. Kept when the test fails."""
    path = tempfile.mkdtemp(prefix=f"esfs-{request.node.name.split('[')[0][:60]}-")
    os.chmod(path, 0o755)
    yield path
    if getattr(request.node, "ended_well", False) and not lib_daemon.mounts_below(path):
        shutil.rmtree(path, ignore_errors=True)


@pytest.fixture
def daemons(place, watchdog):
    """Makes daemons (not started): daemons(store="store", options=[...], ...)."""
    made = []

    def make(store=None, mnt=None, options=(), **more):
        n = len(made) or ""
        daemon = Daemon(store or os.path.join(place, f"store{n}"), mnt or os.path.join(place, f"mnt{n}"),
                        os.path.join(place, f"esfs{n}.log"), options, **more)
        made.append(daemon)
        return daemon
    yield make
    faults = [fault for daemon in made if (fault := daemon.put_away())]
    if faults:
        pytest.fail("\n".join(faults) + f"\n(see {place})", pytrace=False)


@pytest.fixture
def mount(daemons, request):
    """A mounted, empty store. Options by @pytest.mark.options("durability=os")."""
    marker = request.node.get_closest_marker("options")
    return daemons(options=marker.args if marker else ()).start()


def pytest_configure(config):
    config.addinivalue_line("markers", "options(*options): mount options of the `mount` fixture")
    config.addinivalue_line("markers", "inodes(n): inodes of the `disk` fixture")
    config.addinivalue_line("markers", "timeout(seconds): time limit of a test")
