"""Views at work: they follow, fail, are repaired and rebuilt, and are never wrong."""

import os
import time

import lib
import lib_domain
from lib_daemon import pause
from lib_domain import accepted, opened, reload, started
from lib_bank_views import VIEWS, check, files, links, rebuild, settle, status

FRAGILE = """return {
  key = function(e) return e.subject end,
  init = function() return { notes = array{} } end,
  on = { Noted = function(view, e)
    if e.data.x == "bad" then error("a bad note") end
    view.notes[#view.notes + 1] = e.data.x
  end },
}
"""


def note(mount, name, x):
    accepted(mount, f"account/{name}", "Note", {"x": x})


def parked(mount, view="notes"):
    return sorted(n for n in os.listdir(mount.path("views", view, ".parked")) if n.endswith(".json"))


def skipped(mount, view="notes"):
    return sorted(os.listdir(mount.path("views", view, ".parked", "skipped")))


def fragile(daemons, place):
    mount = started(daemons, place, "bank", files={"views/notes.lua": FRAGILE})
    opened(mount, "a", "b")
    return mount


def test_they_show_what_was_there_before_them_and_what_comes(daemons, place):
    mount = started(daemons, place, "bank")
    opened(mount, "a", "b", "c")
    for n in range(20):
        accepted(mount, f"account/{'abc'[n % 3]}", "Deposit", {"amount": n + 1})
    for name, text in VIEWS.items():
        mount.domain.put(name, text)
    assert reload(mount) is None
    settle(mount)
    check(mount)
    accepted(mount, "account/a", "Withdraw", {"amount": 5})
    opened(mount, "d")
    settle(mount)
    check(mount)
    said = status(mount, "balances")
    assert (said["state"], said["lag_events"], said["keys"], said["parked"]) == ("live", 0, 4, 0)


def test_they_follow_within_fifty_milliseconds(daemons, place):
    """Of when the write returned, at the median; the machine may be busy for a moment."""
    mount = started(daemons, place, "bank", files={"views/notes.lua": FRAGILE})
    opened(mount, "a")
    note(mount, "a", "first")
    settle(mount)
    took = []
    for n in range(40):
        note(mount, "a", f"n{n}")
        began = time.monotonic()
        lib.wait_until(lambda: f'"n{n}"'.encode() in mount.read("views/notes/a.json"), 10, "the note", 0.001)
        took.append(time.monotonic() - began)
    assert sorted(took)[20] < 0.05 * lib.SLOW, took


def test_a_failed_event_is_parked_and_others_go_on(daemons, place):
    mount = fragile(daemons, place)
    for name, x in [("a", "one"), ("a", "bad"), ("b", "two"), ("a", "three")]:
        note(mount, name, x)
    settle(mount)
    assert mount.ok("jq -c .notes views/notes/a.json views/notes/b.json") == '["one"]\n["two"]'
    assert parked(mount) == ["0000000000000004.json", "0000000000000006.json"]
    first = lib.strict(mount.read("views/notes/.parked/0000000000000004.json"))
    assert (first["key"], first["error"], first["file"], first["line"]) == ("a", "a bad note", "views/notes.lua", 5)
    assert first["event"]["data"] == {"x": "bad"} and "views/notes.lua:5" in first["traceback"]
    second = lib.strict(mount.read("views/notes/.parked/0000000000000006.json"))
    assert (second["key"], second["waits_for"]) == ("a", "0000000000000004")
    told = lib_domain.last_error(mount)
    assert told["file"] == "views/notes.lua" and "views/notes" in told["what"]
    assert (told["aggregate"], told["position"]) == ("account/a", "0000000000000004")
    assert status(mount, "notes")["parked"] == 2
    mount.crash()
    settle(mount)
    assert parked(mount) == ["0000000000000004.json", "0000000000000006.json"]


def test_a_person_repairs_what_was_parked(daemons, place):
    """As the README tells."""
    mount = fragile(daemons, place)
    for x in ("one", "bad", "three"):
        note(mount, "a", x)
    settle(mount)
    mount.fails("mv views/notes/.parked/0000000000000005.json views/notes/.parked/retry/", "Device or resource busy")
    mount.fails("mv views/notes/.parked/0000000000000004.json views/notes/.parked/retry/", "Input/output error")
    mount.fails("rm views/notes/.parked/0000000000000004.json", "Operation not permitted")
    mount.domain.edit("views/notes.lua", 'if e.data.x == "bad" then error("a bad note") end', "")
    assert reload(mount) is None
    mount.ok("mv views/notes/.parked/0000000000000004.json views/notes/.parked/retry/")
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one","bad","three"]'
    assert parked(mount) == []


def test_what_is_parked_again_goes_to_retry_again(daemons, place):
    """mv does not find it there and ask whether to replace it."""
    mount = fragile(daemons, place)
    note(mount, "a", "bad")
    settle(mount)
    name, fault = "0000000000000003.json", 'if e.data.x == "bad" then error("a bad note") end'
    for _ in range(2):
        assert parked(mount) == [name]
        assert not os.path.exists(mount.path("views/notes/.parked/retry", name))
        mount.domain.edit("views/notes.lua", fault, "--")
        assert reload(mount) is None
        mount.ok(f"mv -n views/notes/.parked/{name} views/notes/.parked/retry/")
        assert mount.ok("jq -c .notes views/notes/a.json") == '["bad"]'
        assert os.path.exists(mount.path("views/notes/.parked/retry", name))
        mount.domain.edit("views/notes.lua", "--", fault)
        assert reload(mount) is None
        settle(mount)


def test_a_parked_event_is_passed_over_for_good(daemons, place):
    mount = fragile(daemons, place)
    for x in ("one", "bad", "three", "bad", "five"):
        note(mount, "a", x)
    settle(mount)
    mount.ok("mv views/notes/.parked/0000000000000004.json views/notes/.parked/skipped/")
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one","three"]'
    assert parked(mount) == ["0000000000000006.json", "0000000000000007.json"]
    mount.ok("mv views/notes/.parked/0000000000000006.json views/notes/.parked/skipped/")
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one","three","five"]'
    rebuild(mount, "notes")
    settle(mount)
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one","three","five"]'
    mount.stop()
    assert mount.verify().rc == 0 and mount.rebuild().rc == 0
    mount.start()
    settle(mount)
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one","three","five"]'
    assert parked(mount) == []
    assert skipped(mount) == ["0000000000000004.json", "0000000000000006.json"]
    assert status(mount, "notes")["skipped"] == 2


def test_what_was_passed_over_can_be_seen(daemons, place):
    mount = fragile(daemons, place)
    for x in ("bad", "bad", "bad"):
        note(mount, "a", x)
    settle(mount)
    names, top = parked(mount), mount.path("views/notes/.parked")
    before = time.time()
    mount.ok(f"mv views/notes/.parked/{names[2]} views/notes/.parked/skipped/")
    assert skipped(mount) == names[2:] and parked(mount) == names[:2]
    mount.ok(f"mv views/notes/.parked/{names[0]} views/notes/.parked/skipped/")
    assert skipped(mount) == [names[0], names[2]]

    def look():
        found = {}
        for name in skipped(mount):
            with open(f"{top}/skipped/{name}", "rb") as f:
                found[name] = (f.read(), os.stat(f"{top}/skipped/{name}"))
        return {name: (text, st.st_ino, st.st_size, st.st_mtime_ns, st.st_mode) for name, (text, st) in found.items()}
    was = look()
    for name, (text, _, size, mtime, _) in was.items():
        told = lib.strict(text)
        assert list(told) == ["position", "time", "uid", "event"] and size == len(text)
        assert (told["position"], told["uid"]) == (name[:16], os.geteuid())
        assert lib.event_time_ns(told) == mtime and mtime / 1e9 > before - 1
        assert told["event"] == next(e for e in mount.log_events() if e["position"] == name[:16])
    one = f"{top}/skipped/{names[0]}"
    for target in (f"{top}/{names[0]}", f"{top}/retry/{names[0]}", mount.path("views/notes", names[0]), f"{top}/skipped/x"):
        assert lib.error_of(os.rename, one, target) == "EPERM", target
    assert lib.error_of(os.unlink, one) == lib.error_of(os.truncate, one, 0) == lib.error_of(os.chmod, one, 0o600) == "EPERM"
    assert lib.error_of(os.open, one, os.O_WRONLY) == lib.error_of(os.link, one, f"{top}/skipped/x") == "EPERM"
    for name in (names[1], "0000000000000000.json", "ffffffffffffffff.json", names[0][:16], "x"):
        assert lib.error_of(os.stat, f"{top}/skipped/{name}") == "ENOENT", name
    assert look() == was
    rebuild(mount, "notes")
    settle(mount)
    assert look() == was
    mount.crash()
    settle(mount)
    assert look() == was and parked(mount) == names[1:2]
    mount.stop()
    assert mount.rebuild().rc == 0
    mount.start()
    settle(mount)
    assert look() == was
    mount.restart([*mount.options, "ro"])
    assert look() == was


def test_many_that_were_passed_over_are_listed_whole(daemons, place):
    """More than are fetched at a time."""
    mount = fragile(daemons, place)
    n = lib.size(1300, 600)
    mount.append("", *[{"aggregate": f"account/{'ab'[i % 2]}", "type": "Note", "data": {"x": "bad"}} for i in range(n)])
    settle(mount)
    names, top = parked(mount), mount.path("views/notes/.parked")
    assert len(names) == n
    for name in names:
        os.rename(f"{top}/{name}", f"{top}/skipped/{name}")
    assert parked(mount) == [] and skipped(mount) == names
    assert mount.ok("ls -l views/notes/.parked/skipped | grep -c json", timeout=60) == str(n)
    assert mount.ok("cat views/notes/.parked/skipped/*.json | jq -r .event.position | sort | uniq | wc -l", timeout=60) == str(n)


def test_several_parked_events_are_moved_by_one_command(daemons, place):
    mount = fragile(daemons, place)
    opened(mount, "c")
    for name in ("a", "b", "c"):
        note(mount, name, "bad")
    settle(mount)
    names = parked(mount)
    assert len(names) == 3
    said = lib.run(["bash", "-c", "mv .parked/*.json .parked/skipped/"], cwd=mount.path("views/notes"))
    assert said.rc == 0 and said.err == "", said
    assert parked(mount) == [] and skipped(mount) == names
    assert lib.error_of(os.stat, mount.path("views/notes/.parked/retry", names[0])) == "ENOENT"


def test_a_failing_key_halts_its_view_alone(daemons, place):
    key = 'return { key = function(e) if e.type == "Noted" then return e.data.x.y.z end return "k" end, ' \
          'init = function() return { n = 0 } end, on = { ["*"] = function(v) v.n = v.n + 1 end } }'
    mount = started(daemons, place, "bank", files={"views/notes.lua": FRAGILE, "views/keyed.lua": key})
    opened(mount, "a", "b")
    note(mount, "a", "one")
    said = settle(mount)
    position = f"{3:016x}"
    assert list(said["halted"]) == ["keyed"]
    assert said["halted"]["keyed"].startswith(f"position {position}, account/a: views/keyed.lua:1: key: "), said
    told, = (e for e in lib_domain.errors(mount) if e["what"] == "views/keyed: a view has halted")
    assert (told["position"], told["aggregate"], told["file"]) == (position, "account/a", "views/keyed.lua")
    assert mount.ok("jq .n views/keyed/k.json") == "2"
    assert mount.ok("jq -c .notes views/notes/a.json") == '["one"]'
    found = status(mount, "keyed")
    assert (found["state"], found["lag_events"]) == ("halted", 1) and found["reason"] == said["halted"]["keyed"]
    mount.domain.edit("views/keyed.lua", "e.data.x.y.z", '"k"')
    assert reload(mount) is None
    assert settle(mount)["halted"] == {}
    assert mount.ok("jq .n views/keyed/k.json") == "3"


def test_a_changed_view_is_built_beside_the_one_that_serves(daemons, place):
    """Nobody finds it empty or half made meanwhile."""
    mount = started(daemons, place, "bank", files={"views/count.lua":
        'return { init = function() return { v = 1, n = 0 } end, on = { ["*"] = function(s) s.n = s.n + 1 end } }'})
    opened(mount, "a")
    n = 30_000 if lib.SLOW == 1 else 4000
    with mount.commands("account/a") as c:
        for _ in range(0, n, 500):
            c.write_all(b'{"type":"Deposit","data":{"amount":1}}\n' * 500)
            c.results()
    settle(mount)
    slow = 'for i = 1, 200 do s.x = i end'
    mount.domain.edit("views/count.lua", "v = 1", "v = 2").edit("views/count.lua", "s.n = s.n + 1", f"s.n = s.n + 1 {slow}")
    assert reload(mount) is None
    seen, progress = set(), []
    while True:
        found = lib.strict(mount.read("views/count/all.json"))
        seen.add((found["v"], found["n"]))
        rebuilding = status(mount, "count").get("rebuild")
        if rebuilding:
            progress.append(rebuilding["progress"])
        if found["v"] == 2:
            break
    assert seen == {(1, n + 1), (2, n + 1)}
    assert progress == sorted(progress) and all(0 <= p <= 1 for p in progress)


def test_an_interrupted_rebuild_goes_on(daemons, place):
    mount = started(daemons, place, "bank", files={"views/count.lua":
        'return { init = function() return { n = 0 } end, on = { ["*"] = function(s) for i = 1, 100000 do s.n = s.n + 1 end end } }'})
    opened(mount, "a")
    n = 2500  # some seconds of work, whatever the build: Lua is the system's
    with mount.commands("account/a") as c:
        for _ in range(0, n, 500):
            c.write_all(b'{"type":"Deposit","data":{"amount":1}}\n' * 500)
            c.results()
    settle(mount, timeout=100)
    rebuild(mount, "count")
    lib.wait_until(lambda: status(mount, "count").get("rebuild", {}).get("position", "0") > "0000000000000200", 30,
                   "some of the rebuild")
    mount.restart()
    again = status(mount, "count").get("rebuild")
    assert again and again["position"] > "0000000000000100", again
    settle(mount, timeout=100)
    assert mount.ok("jq .n views/count/all.json") == str((n + 1) * 100000)


def test_a_view_goes_with_its_file(daemons, place):
    mount = started(daemons, place, "bank", files=VIEWS)
    opened(mount, "a")
    settle(mount)
    mount.domain.remove("views/kinds.lua")
    assert reload(mount) is None
    assert sorted(os.listdir(mount.path("views"))) == ["balances", "by_moves", "rich"]
    mount.fails("cat views/kinds/all.json", "No such file or directory")
    mount.domain.put("views/kinds.lua", VIEWS["views/kinds.lua"])
    assert reload(mount) is None
    settle(mount)
    assert files(mount, "kinds")
    for name in list(VIEWS):
        mount.domain.remove(name)
    assert reload(mount) is None
    settle(mount)


def test_a_rebuild_changes_nothing(daemons, place):
    mount = started(daemons, place, "bank", files=VIEWS)
    opened(mount, *(f"a{n}" for n in range(30)))
    for n in range(200):
        accepted(mount, f"account/a{n * 7 % 30}", "Deposit", {"amount": n % 60 + 1})
    settle(mount)
    check(mount)
    copy = os.path.join(place, "before")
    mount.ok(f"mkdir {copy} && for v in kinds balances rich; do cp -a views/$v {copy}/; done")
    mount.ok(f"find views/by_moves -type l -printf '%P %l\\n' | sort > {copy}/links")
    for view in ("kinds", "balances", "rich", "by_moves"):
        mount.ok(f"echo > views/{view}/.rebuild")
    settle(mount)
    mount.ok(f"for v in kinds balances rich; do diff -r -x '.*' {copy}/$v views/$v || exit 1; done")
    mount.ok(f"find views/by_moves -type l -printf '%P %l\\n' | sort | diff {copy}/links -")


def test_links_lead_to_aggregates_and_their_directories_vanish(daemons, place):
    mount = started(daemons, place, "bank", files=VIEWS)
    opened(mount, "a", "b")
    accepted(mount, "account/a", "Deposit", {"amount": 1})
    settle(mount)
    assert mount.ok("find views/by_moves -mindepth 1 -not -name '.*' -not -path '*/.*' | sort") == \
        "views/by_moves/owned\nviews/by_moves/owned/m1\nviews/by_moves/owned/m1/a"
    assert mount.ok("cat views/by_moves/owned/m1/a/version") == "2"
    assert mount.ok("readlink -f views/by_moves/owned/m1/a") == mount.path("account/a")
    accepted(mount, "account/a", "Deposit", {"amount": 1})
    accepted(mount, "account/b", "Deposit", {"amount": 1})
    settle(mount)
    assert links(mount, "by_moves") == {"owned/m1/b": "../../../../account/b", "owned/m2/a": "../../../../account/a"}


def test_a_view_stops_with_the_daemon_at_once(daemons, place):
    mount = started(daemons, place, "bank", files={"views/slow.lua":
        'return { on = { ["*"] = function(s) for i = 1, 100000 do s.i = i end end } }'})
    opened(mount, *(f"a{n}" for n in range(3000)))
    pause(0.2)
    began = time.monotonic()
    mount.stop()
    assert time.monotonic() - began < 5 * lib.SLOW
