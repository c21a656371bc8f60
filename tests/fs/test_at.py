"""at/<when>: an aggregate as it was at a version or a time, and ranges of versions."""

import datetime
import os
import stat
import time

import pytest

import lib
from lib import command


@pytest.fixture
def order(mount):
    """order/1 with five events, each written by itself, and events of others between."""
    mount.make("order/1", "order/0")
    for n in range(5):
        mount.append("", command(aggregate="order/1", data={"n": n}), command(aggregate="order/2"))
    mount.text = mount.lines("order/1", "events.ndjson")
    mount.times = [e["time"] for e in mount.events("order/1")]
    return mount


def at(mount, when, aggregate="order/1"):
    return mount.lines(aggregate, "at", when, "events.ndjson")


def missing(mount, when, aggregate="order/1"):
    return lib.error_of(os.stat, mount.path(aggregate, "at", when)) == "ENOENT" == \
        lib.error_of(os.stat, mount.path(aggregate, "at", when, "events.ndjson"))


def shifted(text, micros):
    """A time of an event, moved."""
    moment = datetime.datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ") + datetime.timedelta(microseconds=micros)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def test_a_version_is_the_events_up_to_it(order):
    for n in range(1, 6):
        assert at(order, str(n)) == order.text[:n]
    assert at(order, "0") == []


def test_a_range_is_its_versions_both_ends_included(order):
    for a in range(1, 6):
        for b in range(a, 6):
            assert at(order, f"{a}..{b}") == order.text[a - 1:b], (a, b)


@pytest.mark.parametrize("when", ["6", "100", "18446744073709551616", "99999999999999999999999", "1..6", "6..7", "3..2",
                                  "0..2", "..3", "3..", "1..2..3", "1...2", "1.2", "-1", "+1", " 1", "1 ", "0x1", "1e0",
                                  "now", "x", "events.ndjson", "٣"])
def test_what_is_past_the_end_or_no_moment_is_missing(order, when):
    assert missing(order, when)


def test_an_empty_aggregate_has_a_version_0_only(order):
    assert at(order, "0", "order/0") == [] and missing(order, "1", "order/0") and missing(order, "1..1", "order/0")
    assert at(order, "1s-ago", "order/0") == []


def test_a_time_is_the_events_up_to_it(order):
    for n, when in enumerate(order.times, 1):
        assert at(order, when) == order.text[:n]
        assert at(order, shifted(when, -1)) == order.text[:n - 1], "a microsecond before"
    # the clock is past the last event by now
    assert at(order, shifted(order.times[-1], 1)) == order.text


def test_times_may_have_a_fraction_of_any_length_or_none(order):
    when = order.times[2]
    whole = when[:19] + "Z"
    until = [text for text, t in zip(order.text, order.times) if t <= whole[:-1] + ".000000Z"]
    assert at(order, whole) == until
    assert at(order, when[:-1] + "999Z") == order.text[:3]
    until = [text for text, t in zip(order.text, order.times) if t[:-1] <= when[:21] + "00000"]
    assert at(order, when[:21] + "Z") == until


def test_a_date_is_its_first_moment(order):
    today = order.times[0][:10]
    assert at(order, today) == [] and at(order, "1970-01-01") == [] and at(order, "2001-09-09T01:46:40Z") == []
    assert os.stat(order.path("order/1/at", today, "events.ndjson")).st_size == 0


@pytest.mark.parametrize("when", [
    "2999-01-01", "2999-12-31T23:59:59Z", "2026-13-01", "2026-02-30", "2026-1-1", "26-01-01", "2020-01-01T25:00:00Z",
    "2020-01-01T00:60:00Z", "2020-01-01T00:00:00", "2020-01-01 00:00:00Z", "2020-01-01T00:00:00+01:00",
    "2020-01-01T00:00:00.Z", "2020-01-01T00:00Z", "2020-01-01Z", "2020-01-01T", "1h", "ago", "1-ago", "h-ago",
    "-1h-ago", "1y-ago", "1h-ago ", "1.5h-ago", "1H-ago"
])
def test_what_is_no_time_or_in_the_future_is_missing(order, when):
    assert missing(order, when)


@pytest.mark.parametrize("unit", ["s", "m", "h", "d", "w"])
def test_an_age_is_a_time_before_now(order, unit):
    assert at(order, f"0{unit}-ago") == order.text
    assert at(order, f"999999999{unit}-ago") == []
    if unit != "s":
        assert at(order, f"1{unit}-ago") == []


def test_an_age_moves_with_the_clock(order):
    lib.wait_until(lambda: at(order, "1s-ago") == order.text, 5, "the events are a second old")
    order.append("order/1", command())
    assert at(order, "0s-ago")[:-1] == order.text and at(order, "1h-ago") == []
    lib.wait_until(lambda: len(at(order, "1s-ago")) == 6, 5, "the new event is a second old too")


def test_the_past_does_not_change(order):
    names = ["3", "2..4", order.times[1], order.times[-1]]
    before = {w: (at(order, w), os.stat(order.path("order/1/at", w, "events.ndjson"))) for w in names}
    fd = os.open(order.path("order/1/at/5/events.ndjson"), os.O_RDONLY)
    try:
        order.append("order/1", *[command()] * 500)
        assert os.pread(fd, 1 << 20, 0) == b"".join(order.text)
    finally:
        os.close(fd)
    for w, (text, st) in before.items():
        now = os.stat(order.path("order/1/at", w, "events.ndjson"))
        assert at(order, w) == text
        assert (now.st_size, now.st_mtime_ns, now.st_ino) == (st.st_size, st.st_mtime_ns, st.st_ino)
    order.restart()
    for w, (text, st) in before.items():
        assert at(order, w) == text
        assert os.stat(order.path("order/1/at", w, "events.ndjson")).st_mtime_ns == st.st_mtime_ns
    assert len(at(order, "505")) == 505 and missing(order, "506")


def test_a_moment_that_was_missing_is_there_when_it_has_come(order):
    assert missing(order, "6") and missing(order, "4..6")
    order.append("order/1", command())
    assert len(at(order, "6")) == 6 and len(at(order, "4..6")) == 3


def test_attributes_are_those_of_the_last_event_shown(order):
    for when, n in (("3", 3), ("2..4", 4), (order.times[1], 2)):
        path = order.path("order/1/at", when, "events.ndjson")
        st = os.stat(path)
        assert st.st_size == len(open(path, "rb").read())
        assert st.st_mtime_ns == st.st_ctime_ns == lib.event_time_ns(lib.strict(order.text[n - 1]))
        assert stat.filemode(st.st_mode) == "-r--r-----"


def test_a_moment_is_a_directory_that_can_be_listed(order):
    for when in ("3", "2..4", order.times[1], "0s-ago", "0"):
        assert "events.ndjson" in os.listdir(order.path("order/1/at", when)), when
    assert order.ok("cd order/1/at/3 && ls && cat events.ndjson | wc -l && cd ../../at/2 && wc -l < events.ndjson") == \
        "events.ndjson\n3\n2"
    assert os.listdir(order.path("order/1/at")) == [], "what could be there is not listed"
    assert "at" not in os.listdir(order.path("order/1"))


def test_only_aggregates_have_a_past(order):
    for path in ("at", "order/at", ".esfs/at", "at/1", "order/1/events/at"):
        assert lib.error_of(os.stat, order.path(path)) == "ENOENT"


def test_an_aggregate_that_is_called_at_is_no_trap(order):
    order.append("", command(aggregate="order/at"), command(aggregate="at/at"), command(aggregate="at/1"))
    assert len(at(order, "1", "order/at")) == len(at(order, "1", "at/at")) == 1


def test_many_moments_at_once_cost_the_daemon_nothing_for_ever(order):
    """Nodes of moments are dropped when the kernel forgets them."""
    def resident():
        return int(order.ok(f"awk '/VmRSS/ {{print $2}}' /proc/{order.pid}/status"))
    base = datetime.datetime(2001, 1, 1)

    def look(n, offset):
        for i in range(n):
            when = (base + datetime.timedelta(seconds=offset + i)).strftime("%Y-%m-%dT%H:%M:%SZ")
            os.stat(order.path("order/1/at", when, "events.ndjson"))
    look(2000, 0)
    if os.geteuid() != 0:
        return
    before = resident()
    for turn in range(1, 4):
        look(lib.size(5000), turn * 100_000)
        with open("/proc/sys/vm/drop_caches", "w") as f:
            f.write("2")
        time.sleep(0)
    assert resident() - before < 20_000 * lib.SLOW, "KiB"
