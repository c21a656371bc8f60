"""Real input through deciders: the ticket log of a help desk, whose rows are commands that a rule accepts or refuses,
with a new version of its event half-way. What should come is worked out from the CSV alone.

ESFS_HELPDESK_CSV names the file; by default it is looked for in the folders beside the checkout, as
data/helpdesk.csv."""

import collections
import csv
import glob
import json
import os
import shutil

import pytest

import lib
import lib_domain
from lib import line
from lib_daemon import Daemon

PLACES = [os.environ.get("ESFS_HELPDESK_CSV", "")] + sorted(
    glob.glob(os.path.join(lib.ROOT, "..", "*", "data", "helpdesk.csv")))

A_WRITE = 500
"""Commands that are written at once."""


@pytest.fixture(scope="module")
def rows():
    for path in PLACES:
        if path and os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as f:
                return list(csv.DictReader(f))
    pytest.skip("helpdesk.csv is not here (ESFS_HELPDESK_CSV)")


@pytest.fixture(scope="module")
def judged(rows):
    """The rule, over the rows: for each the reason why it is refused, or None."""
    reasons, kept = [], collections.defaultdict(list)
    for row in rows:
        before, activity, reason = kept[row["CaseID"]], int(row["ActivityID"]), None
        if not before and activity not in (1, 3):
            reason = f"a ticket does not begin with {activity}"
        elif activity == 9 and 8 not in before:
            reason = "nobody has taken it in charge"
        elif before and before[-1] == 6 and activity != 8:
            reason = "the ticket is closed"
        else:
            before.append(activity)
        reasons.append(reason)
    return reasons


def command(number, row):
    return line({"aggregate": f"ticket/{row['CaseID']}", "type": "Perform", "id": f"row-{number}",
                 "data": {"activity": int(row["ActivityID"]), "completed": row["CompleteTimestamp"]}})


def replay(mount, numbered):
    """Sends rows, passing over those that are refused; number -> result line."""
    told = {}
    with mount.commands() as c:
        for at in range(0, len(numbered), A_WRITE):
            todo = [(n, command(n, row)) for n, row in numbered[at:at + A_WRITE]]
            while todo:
                text = b"".join(t for _, t in todo)
                try:
                    taken = c.write(text)
                except OSError:
                    taken = len(todo[0][1])
                results = c.results()
                for result in results:
                    n, sent = todo.pop(0)
                    assert result["commandid"] == f"row-{n}"
                    told[n] = result
                    taken -= len(sent)
                    if result["status"] == "rejected":
                        break
    return told


@pytest.fixture(scope="module")
def desk(tmp_path_factory, rows):
    """All rows, replayed; version 2 of the event came in after the first half."""
    place = tmp_path_factory.mktemp("desk")
    domain = lib_domain.Domain(place / "domain", like="helpdesk")
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log", [domain.option]).start()
    numbered = list(enumerate(rows))
    half = len(rows) // 2
    daemon.told = replay(daemon, numbered[:half])
    daemon.first = daemon.lines("log.ndjson")
    shutil.copytree(os.path.join(lib_domain.DOMAINS, "helpdesk-2"), domain.path, dirs_exist_ok=True)
    assert lib_domain.reload(daemon) is None, lib_domain.errors(daemon)[-1:]
    daemon.told.update(replay(daemon, numbered[half:]))
    daemon.domain = domain
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


@pytest.mark.timeout(300)
def test_every_row_is_judged_as_the_rule_says(desk, rows, judged):
    assert len(rows) == len(desk.told) == 13710
    for n, reason in enumerate(judged):
        result = desk.told[n]
        assert (result["status"] == "rejected") == (reason is not None), (n, rows[n], reason, result)
        if reason:
            assert (result["errno"], result["detail"]) == ("EPERM", reason), (n, rows[n])
    accepted = judged.count(None)
    assert accepted > 12_000 and len(rows) - accepted > 300, "a rule that says yes mostly, and no at times"
    assert desk.ok("wc -l < log.ndjson") == str(accepted)
    assert len({e["commandid"] for e in desk.log_events()}) == accepted
    reasons = collections.Counter(r for r in judged if r)
    print(f"{accepted} accepted, {len(rows) - accepted} refused: {dict(reasons)}")
    assert len(reasons) >= 3


def tickets_of(rows, judged):
    """Ticket -> the rows that were accepted."""
    found = {row["CaseID"]: [] for row, reason in zip(rows, judged) if reason is None}
    for row, reason in zip(rows, judged):
        if reason is None:
            found[row["CaseID"]].append(row)
    return found


def test_tickets_are_those_with_an_accepted_row(desk, rows, judged):
    assert sorted(desk.ok("ls ticket | grep -v '[a-z]'").split()) == sorted(tickets_of(rows, judged))


def check_states(desk, rows, judged):
    for ticket, kept in tickets_of(rows, judged).items():
        activities = [int(r["ActivityID"]) for r in kept]
        assert lib_domain.state(desk, f"ticket/{ticket}") == {
            "done": len(kept), "taken": 8 in activities, "closed": activities.count(6), "last": activities[-1],
            "day": kept[-1]["CompleteTimestamp"][:10]}, ticket


@pytest.mark.timeout(200)
def test_states_are_those_of_the_rows(desk, rows, judged):
    check_states(desk, rows, judged)


def test_stored_events_have_the_version_of_their_time(desk):
    events = [lib.strict(text) for text in desk.lines("log.ndjson")]
    assert desk.lines("log.ndjson")[:len(desk.first)] == desk.first, "not a byte of the first half has changed"
    versions = [e["dataschema"] for e in events]
    one, two = "/schemas/ticket/Performed/1", "/schemas/ticket/Performed/2"
    assert versions == [one] * len(desk.first) + [two] * (len(events) - len(desk.first))
    assert all(("completed" in e["data"]) == (e["dataschema"] == one) for e in events)


@pytest.mark.timeout(200)
def test_streams_show_version_2_throughout(desk, rows, judged):
    checked = 0
    for ticket, kept in tickets_of(rows, judged).items():
        found = lib_domain.stream(desk, f"ticket/{ticket}")
        assert [e["data"] for e in found] == [
            {"activity": int(r["ActivityID"]), "day": r["CompleteTimestamp"][:10], "time": r["CompleteTimestamp"][11:]}
            for r in kept], ticket
        assert {e["dataschema"] for e in found} == {"/schemas/ticket/Performed/2"}
        checked += len(found)
    assert checked == judged.count(None)


def test_time_travel_goes_over_the_change(desk, rows, judged):
    longest = max(tickets_of(rows, judged).items(), key=lambda item: len(item[1]))
    ticket, kept = longest
    for v in range(1, len(kept) + 1):
        activities = [int(r["ActivityID"]) for r in kept[:v]]
        found = lib_domain.state(desk, f"ticket/{ticket}", v)
        assert (found["done"], found["last"], found["closed"]) == (v, activities[-1], activities.count(6))


@pytest.mark.timeout(300)
def test_sent_again_it_is_all_known(desk, rows, judged):
    before = desk.read("log.ndjson")
    some = [(n, row) for n, row in enumerate(rows) if judged[n] is None][::7]
    for n, result in replay(desk, some).items():
        assert result == {**desk.told[n], "duplicate": True}
    assert desk.read("log.ndjson") == before


@pytest.mark.timeout(300)
def test_it_is_the_same_after_a_kill_and_a_rebuild(desk, rows, judged):
    desk.crash()
    check_states(desk, rows, judged)
    desk.stop()
    assert desk.rebuild().rc == 0 and desk.verify().rc == 0
    desk.start()
    check_states(desk, rows, judged)
    assert json.loads(desk.read("schemas/ticket/Performed/2.json"))["required"] == ["activity", "day", "time"]
