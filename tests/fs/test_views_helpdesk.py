"""Real input through views and queries: the ticket log of a help desk by activity, by month and by state, and its slowest
tickets, against what Python makes of the CSV alone.

ESFS_HELPDESK_CSV names the file; by default it is looked for in the folders beside the checkout, as
data/helpdesk.csv."""

import collections
import csv
import datetime
import glob
import os
import shutil

import pytest

import lib
import lib_domain
from lib_bank_views import files, links, rebuild, settle
from lib_daemon import Daemon

PLACES = [os.environ.get("ESFS_HELPDESK_CSV", "")] + sorted(
    glob.glob(os.path.join(lib.ROOT, "..", "*", "data", "helpdesk.csv")))

VIEWS = {
    "views/activities.lua": """return {
  key = function(e) return e.data.activity end,
  init = function(activity) return { activity = activity, n = 0 } end,
  on = { Performed = function(view, e) view.n = view.n + 1 view.last = e.subject end },
}
""",
    "views/months.lua": """return {
  key = function(e) return e.data.day:sub(1, 7) end,
  init = function(month) return { events = 0, begun = 0, closed = 0 } end,
  on = { Performed = function(view, e, ticket)
    view.events = view.events + 1
    if e.version == 1 then view.begun = view.begun + 1 end
    if e.data.activity == 6 then view.closed = view.closed + 1 end
  end },
}
""",
    "views/spans.lua": """return {
  key = function(e) return e.subject end,
  init = function(ticket) return { ticket = ticket } end,
  on = { Performed = function(view, e) view.first = view.first or e.data.day view.last = e.data.day end },
}
""",
    "views/by_activity.lua": """return { kind = "index", path = function(t) return { "last-" .. t.last, t.day:sub(1, 4) } end }
""",
    "views/by_state.lua": """return { kind = "index", path = function(t) return { t.last == 6 and "closed" or "open" } end }
""",
    "lib/days.lua": """-- Days since a day long ago; years begin in March, so that a leap day is a year's last.
return function(text)
  local y, m, d = tonumber(text:sub(1, 4)), tonumber(text:sub(6, 7)), tonumber(text:sub(9, 10))
  if m < 3 then y, m = y - 1, m + 12 end
  return 365 * y + y // 4 - y // 100 + y // 400 + (153 * (m - 3) + 2) // 5 + d
end
""",
    "queries/slowest.lua": """local days = require("days")
return {
  params = { type = "object", properties = { n = { type = "integer", minimum = 1, maximum = 1000 } }, required = { "n" },
             additionalProperties = false },
  run = function(q, params)
    local all = array{}
    for _, ticket in ipairs(q.keys("spans")) do
      local span = q.view("spans", ticket)
      all[#all + 1] = { ticket = ticket, days = days(span.last) - days(span.first) }
    end
    table.sort(all, function(a, b)
      if a.days ~= b.days then return a.days > b.days end
      return a.ticket < b.ticket
    end)
    local found = array{}
    for i = 1, math.min(params.n, #all) do found[i] = all[i] end
    return found
  end,
}
""",
    "queries/ticket.lua": """return {
  params = { type = "object", properties = { id = { type = "string" } }, required = { "id" }, additionalProperties = false },
  run = function(q, params)
    local state = q.state("ticket/" .. params.id)
    if not state then return { found = false } end
    local activities = array{}
    for i, e in ipairs(q.events("ticket/" .. params.id)) do activities[i] = e.data.activity end
    return { found = true, last = state.last, activities = activities }
  end,
}
""",
}


@pytest.fixture(scope="module")
def rows():
    for path in PLACES:
        if path and os.path.exists(path):
            with open(path, newline="", encoding="utf-8") as f:
                return list(csv.DictReader(f))
    pytest.skip("helpdesk.csv is not here (ESFS_HELPDESK_CSV)")


@pytest.fixture(scope="module")
def taken(rows):
    """The rows that the domain's rule takes."""
    before, found = collections.defaultdict(list), []
    for row in rows:
        kept, activity = before[row["CaseID"]], int(row["ActivityID"])
        begins = kept or activity in (1, 3)
        charged = activity != 9 or 8 in kept
        if begins and charged and (not kept or kept[-1] != 6 or activity == 8):
            kept.append(activity)
            found.append(row)
    return found


@pytest.fixture(scope="module")
def tickets(taken):
    """Ticket -> its (activity, day)."""
    found = collections.defaultdict(list)
    for row in taken:
        found[row["CaseID"]].append((int(row["ActivityID"]), row["CompleteTimestamp"][:10]))
    return found


@pytest.fixture(scope="module")
def desk(tmp_path_factory, taken):
    """All rows that are taken; the first half under version 1 of the event and without views."""
    place = tmp_path_factory.mktemp("desk")
    domain = lib_domain.Domain(place / "domain", like="helpdesk")
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log", [domain.option]).start()
    half = len(taken) // 2
    send(daemon, taken[:half])
    shutil.copytree(os.path.join(lib_domain.DOMAINS, "helpdesk-2"), domain.path, dirs_exist_ok=True)
    for name, text in VIEWS.items():
        domain.put(name, text)
    assert lib_domain.reload(daemon) is None, lib_domain.errors(daemon)[-1:]
    send(daemon, taken[half:])
    settle(daemon)
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


def command(row):
    data = {"activity": int(row["ActivityID"]), "completed": row["CompleteTimestamp"]}
    return lib.line({"aggregate": f"ticket/{row['CaseID']}", "type": "Perform", "data": data})


def send(daemon, rows):
    with daemon.commands(flags=os.O_WRONLY) as c:
        for at in range(0, len(rows), 500):
            c.write_all(b"".join(map(command, rows[at:at + 500])))


def shown(desk, view):
    return {key: lib.strict(text) for key, text in files(desk, view).items()}


@pytest.mark.timeout(300)
def test_projections_count_what_python_counts(desk, tickets):
    every = [(activity, day, n == 0) for kept in tickets.values() for n, (activity, day) in enumerate(kept)]
    assert len(every) == int(desk.ok("wc -l < log.ndjson"))
    found = shown(desk, "activities")
    assert {int(k): v["n"] for k, v in found.items()} == collections.Counter(a for a, _, _ in every)
    months = collections.defaultdict(lambda: {"events": 0, "begun": 0, "closed": 0})
    for activity, day, first in every:
        month = months[day[:7]]
        month["events"] += 1
        month["begun"] += first
        month["closed"] += activity == 6
    assert shown(desk, "months") == months


@pytest.mark.timeout(300)
def test_indexes_hold_the_tickets_that_python_puts_there(desk, tickets):
    assert links(desk, "by_state") == {
        f"{'closed' if kept[-1][0] == 6 else 'open'}/{ticket}": f"../../../ticket/{ticket}"
        for ticket, kept in tickets.items()}
    wanted = sorted(f"last-{kept[-1][0]}/{kept[-1][1][:4]}/{ticket}" for ticket, kept in tickets.items())
    assert sorted(links(desk, "by_activity")) == wanted
    nine = [w for w in wanted if w.startswith("last-9/")]
    assert desk.ok("find views/by_activity -path '*last-9/*' -type l -printf '%P\\n' | sort").split() == nine


@pytest.mark.timeout(300)
def test_queries_find_the_slowest_tickets(desk, tickets):
    def days(kept):
        first, last = (datetime.date.fromisoformat(kept[i][1]) for i in (0, -1))
        return (last - first).days
    slowest = sorted(({"ticket": t, "days": days(kept)} for t, kept in tickets.items()),
                     key=lambda s: (-s["days"], s["ticket"]))
    for n in (1, 10, 500):
        assert lib.strict(desk.read(f"queries/slowest/n={n}.json")) == slowest[:n]
    for ticket in list(tickets)[::400]:
        assert lib.strict(desk.read(f"queries/ticket/id={ticket}.json")) == {
            "found": True, "last": tickets[ticket][-1][0], "activities": [a for a, _ in tickets[ticket]]}
    assert lib.strict(desk.read("queries/ticket/id=nobody.json")) == {"found": False}


@pytest.mark.timeout(300)
def test_it_is_the_same_after_a_rebuild_and_a_kill(desk, tmp_path):
    before = {v: files(desk, v) for v in ("activities", "months", "spans")}
    moved = {v: links(desk, v) for v in ("by_activity", "by_state")}
    for view in (*before, *moved):
        rebuild(desk, view)
    settle(desk)
    assert {v: files(desk, v) for v in before} == before
    assert {v: links(desk, v) for v in moved} == moved
    desk.crash()
    settle(desk)
    assert {v: files(desk, v) for v in before} == before
    assert {v: links(desk, v) for v in moved} == moved
