"""Real input: the ticket log of a help desk, turned into commands by a shell session, and counted by standard tools.

ESFS_HELPDESK_CSV names the file; by default it is looked for in the folders beside the checkout, as
data/helpdesk.csv."""

import collections
import csv
import glob
import os

import pytest

import lib

PLACES = [os.environ.get("ESFS_HELPDESK_CSV", "")] + sorted(
    glob.glob(os.path.join(lib.ROOT, "..", "*", "data", "helpdesk.csv")))


@pytest.fixture(scope="module")
def table():
    """Path of the file."""
    for path in PLACES:
        if path and os.path.exists(path):
            return os.path.abspath(path)
    pytest.skip("helpdesk.csv is not here (ESFS_HELPDESK_CSV)")


@pytest.fixture(scope="module")
def rows(table):
    with open(table, newline="") as f:
        return list(csv.DictReader(f))


@pytest.fixture(scope="module")
def desk(tmp_path_factory, table):
    """The file, loaded by awk and cat through the mount."""
    from lib_daemon import Daemon
    lib.need("jq", "awk")
    place = tmp_path_factory.mktemp("helpdesk")
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log").start()
    daemon.make("ticket")
    daemon.ok(
        "awk -F, 'NR > 1 { printf "
        "\"{\\\"aggregate\\\":\\\"%s\\\",\\\"type\\\":\\\"Activity%s\\\",\\\"id\\\":\\\"row-%d\\\","
        "\\\"data\\\":{\\\"activity\\\":%s,\\\"completed\\\":\\\"%s\\\"}}\\n\", $1, $2, NR, $2, $3 }' " + table +
        " > ticket/commands",
        timeout=60)
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


def traces(rows):
    """Ticket -> its activities in the order of the file."""
    found = collections.defaultdict(list)
    for row in rows:
        found[row["CaseID"]].append(row["ActivityID"])
    return found


def test_every_ticket_is_a_directory(desk, rows):
    assert desk.ok("ls -d ticket/*/ | wc -l") == str(len(traces(rows))) == "3804"
    assert sorted(desk.ok("cd ticket; ls -d */").replace("/", "").split()) == sorted(traces(rows))


def test_every_row_is_an_event(desk, rows):
    assert desk.ok("wc -l < log.ndjson") == str(len(rows)) == "13710"
    assert desk.ok("wc -l < ticket/log.ndjson") == str(len(rows))
    assert desk.ok("find ticket -path '*/events/*.json' | wc -l", timeout=60) == str(len(rows))


def test_the_events_a_ticket_are_those_of_the_file(desk, rows):
    counts = collections.Counter(len(t) for t in traces(rows).values())
    told = desk.ok("cat ticket/*/version | sort -n | uniq -c", timeout=60)
    assert {int(b): int(a) for a, b in (t.split() for t in told.splitlines())} == counts
    told = desk.ok("jq -r .subject ticket/log.ndjson | sort | uniq -c")
    assert {b: int(a)
            for a, b in (t.split() for t in told.splitlines())} == {k: len(v)
                                                                    for k, v in traces(rows).items()}


def test_the_most_common_activity_sequences_are_those_of_the_file(desk, rows):
    expected = collections.Counter("-".join(t) for t in traces(rows).values())
    told = desk.ok("""jq -r '[.subject, (.data.activity|tostring)] | @tsv' log.ndjson |
        awk '{ t[$1] = t[$1] ? t[$1] "-" $2 : $2 } END { for (k in t) print t[k] }' | sort | uniq -c | sort -rn""")
    found = {b: int(a) for a, b in (t.split() for t in told.splitlines())}
    assert found == expected
    assert told.splitlines()[0].split() == [str(expected.most_common(1)[0][1]), expected.most_common(1)[0][0]]


def test_one_ticket_read_from_its_directory_is_its_rows(desk, rows):
    for ticket in list(traces(rows))[::600]:
        told = desk.ok(
            f"jq -r '[(.data.activity|tostring), .data.completed] | join(\" \")' ticket/{ticket}/events/*.json")
        assert told.splitlines() == [
            f'{r["ActivityID"]} {r["CompleteTimestamp"]}' for r in rows if r["CaseID"] == ticket
        ]


def test_the_activities_are_counted_by_file_names_too(desk, rows):
    expected = collections.Counter(f'Activity{r["ActivityID"]}' for r in rows)
    told = desk.ok("find ticket -name '*-Activity*.json' -printf '%f\\n' | sed 's/.*-//; s/.json//' | sort | uniq -c",
                   timeout=60)
    assert {b: int(a) for a, b in (t.split() for t in told.splitlines())} == expected


def test_loading_it_again_changes_nothing(desk, rows, table):
    before = desk.read("log.ndjson")
    desk.ok(
        "awk -F, 'NR > 1 { printf \"{\\\"type\\\":\\\"Activity%s\\\",\\\"aggregate\\\":\\\"ticket/%s\\\","
        "\\\"data\\\":{\\\"activity\\\": %s,"
        "\\\"completed\\\":\\\"%s\\\"},\\\"id\\\":\\\"row-%d\\\"}\\n\", $2, $1, $2, $3, NR }' " + table + " > commands",
        timeout=60)
    assert desk.read("log.ndjson") == before
    desk.restart()
    assert desk.read("log.ndjson") == before


def test_the_tickets_are_backed_up_and_restored(desk, rows, tmp_path):
    lib.need("tar", "rsync")
    desk.ok(
        f"find ticket -type d -name events -print0 | tar --null -T - -cf {tmp_path}/a.tar;"
        f"mkdir {tmp_path}/out; tar xf {tmp_path}/a.tar -C {tmp_path}/out",
        timeout=100)
    assert desk.ok(f"tar --compare -f {tmp_path}/a.tar", timeout=60) == ""
    done = lib.sh("cat ticket/*/events/* | wc -l; find . -name '*.json' | wc -l", cwd=f"{tmp_path}/out", timeout=60)
    assert done.out.split() == [str(len(rows))] * 2
    assert desk.ok(
        f"rsync -an --itemize-changes --include='*/' --include='events/*' --exclude='*' ticket {tmp_path}/out/ |"
        " grep -c '^>f..s' || true",
        timeout=60) == "0"
