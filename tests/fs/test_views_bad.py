"""Views that are wrong, or that misbehave: the view pays for it, and says where; writers and other views do not."""

import os
import threading
import time

import pytest

import lib
import lib_domain
from lib_daemon import Daemon
from lib_bank_views import files, links, rebuild, settle, status
from lib_domain import Domain, reload, started

THING = """return {
  commands = { Do = { decide = function(s, cmd) return event("Did", cmd.data) end } },
  events = { Did = { evolve = function(s, e) s.n, s.data = (s.n or 0) + 1, e.data end } },
}
"""

COUNT = 'return { init = function() return { n = 0 } end, on = { Did = function(v) v.n = v.n + 1 end } }\n'

GOOD = {"aggregates/thing.lua": THING, "views/count.lua": COUNT}


def do(mount, *data, thing="1"):
    mount.append("", *[{"type": "Do", "aggregate": f"thing/{thing}", "data": d} for d in data])


def shown(mount, *names):
    return lib.strict(mount.read("views", *names))


def parked(mount, view):
    names = sorted(n for n in os.listdir(mount.path("views", view, ".parked")) if n.endswith(".json"))
    return [shown(mount, view, ".parked", n) for n in names]


# --- definitions

REFUSED = {
    "syntax": ("return {\n\n  on = { = },\n}", ["views/bad.lua:3"]),
    "fails while it loads": ("local t\nreturn t.x", ["views/bad.lua:2"]),
    "gives nothing": ("local x = 1", ["views/bad.lua"]),
    "loops while it loads": ("while true do end", ["views/bad.lua:1"]),
    "binary": ("\x1bLua nonsense", ["views/bad.lua"]),
    "unknown member": ('return { form = { "thing" }, on = {} }', ["views/bad.lua", "form", "from"]),
    "unknown kind": ('return { kind = "tree" }', ["views/bad.lua", "kind", "tree"]),
    "a member of the other kind": ("return { path = function() end }", ["views/bad.lua", "path", "index"]),
    "another member of the other kind": (
        'return { kind = "index", path = function() end, key = function() end }', ["views/bad.lua", "key", "index"]),
    "an index without a path": ('return { kind = "index" }', ["views/bad.lua", "path"]),
    "no handlers": ("return {}", ["views/bad.lua", "on"]),
    "an empty list of handlers": ("return { on = {} }", ["views/bad.lua", "on"]),
    "no function": ("return { on = { Did = 7 } }", ["views/bad.lua", "Did"]),
    "a key that is no function": ('return { key = "x", on = { Did = function() end } }', ["views/bad.lua", "key"]),
    "an unknown type": ('return { from = { "thng" }, on = { Did = function() end } }',
                        ["views/bad.lua", "thng", "thing"]),
    "a type twice": ('return { from = { "thing", "thing" }, on = { Did = function() end } }',
                     ["views/bad.lua", "thing", "twice"]),
    "no types": ("return { from = {}, on = { Did = function() end } }", ["views/bad.lua", "from"]),
    "types that are none": ("return { from = { 7 }, on = { Did = function() end } }", ["views/bad.lua", "from"]),
    "an unknown event": ("return { on = { Didd = function() end } }", ["views/bad.lua", "Didd", "Did"]),
    "an event by number": ("return { on = { function() end } }", ["views/bad.lua", "on"]),
    "an unknown user": ('return { allow = { users = { "no-such-user" } }, on = { Did = function() end } }',
                        ["views/bad.lua", "no-such-user"]),
    "a handler that keeps something": (
        "local n = 0\nreturn { on = { Did = function() n = n + 1 end } }", ["views/bad.lua:2", "n"]),
    "io": ('io.open("/etc/passwd") return {}', ["views/bad.lua:1", "io"]),
    "a library that is missing": ('require("nolib") return {}', ["views/bad.lua", "nolib"]),
}


@pytest.fixture(scope="module")
def victim(tmp_path_factory):
    """A mount whose domain is good, and stays in force whatever is tried."""
    place = tmp_path_factory.mktemp("victim")
    domain = Domain(place / "domain", files=GOOD)
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log", [domain.option]).start()
    daemon.domain = domain
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


@pytest.mark.parametrize("case", REFUSED, ids=lambda name: name.replace(" ", "-"))
def test_a_bad_definition_is_refused_and_the_old_domain_goes_on(victim, case):
    text, words = REFUSED[case]
    victim.domain.put("views/bad.lua", text)
    try:
        assert reload(victim) == "EINVAL"
    finally:
        victim.domain.remove("views/bad.lua")
    said = lib_domain.last_error(victim)
    for word in words:
        assert word in said["error"], said
    assert len(said["error"]) < 1000
    assert os.listdir(victim.path("views")) == ["count"]
    do(victim, {})
    settle(victim)
    assert shown(victim, "count/all.json") == {"n": victim.version("thing/1")}


@pytest.mark.parametrize("case", ["syntax", "unknown member", "an unknown type"])
def test_a_bad_definition_is_not_mounted(daemons, place, case):
    text, words = REFUSED[case]
    said = lib_domain.prepared(daemons, place, files={**GOOD, "views/bad.lua": text}).refused()
    assert said.rc == 1
    for word in words:
        assert word in said.err, said


@pytest.mark.parametrize("name", ["$x", "a\nb", "x" * 129])
def test_a_view_cannot_have_every_name(victim, name):
    victim.domain.put(f"views/{name}.lua", COUNT)
    try:
        assert reload(victim) == "EINVAL"
    finally:
        victim.domain.remove(f"views/{name}.lua")
    assert "views/" in lib_domain.last_error(victim)["error"]


# --- keys

KEYS = ["alice", "Alice", "ALICE", "\u00e9", "e\u0301", "\u212b", "\u00c5", "A\u030a",
        "k" * 300, "k" * 299 + "l", "k" * 250, "k" * 251, "\u00e9" * 150, "%" * 100, "\U0001f600" * 70, "/" * 200,
        "a/b", "a", "b", ".", "..", "...", ".hidden", "hidden", ".status", ".status.json", ".parked", ".rebuild", "/",
        "\n", "a\nb", "\t", "\x7f", "\x00", "%", "%%", "%2F", "%2f", "%~", "a%~" + "0" * 32, "", " ", "-rf", "~", "*",
        "\\", "x.json", "x", "all", "state", "retry", "\u2028", "0", "-0"]


def test_every_text_is_a_key_of_its_own(daemons, place):
    """Keys that differ in case, in Unicode form, in what a file name cannot hold, in their 300th byte."""
    view = """return { key = function(e) return e.data.key end, init = function(key) return { key = key, n = 0 } end,
      on = { Did = function(v) v.n = v.n + 1 end } }"""
    mount = started(daemons, place, files={**GOOD, "views/keyed.lua": view})
    for n in (1, 2):
        do(mount, *({"key": key} for key in KEYS))
        settle(mount)
        found = {name: lib.strict(text) for name, text in files(mount, "keyed").items()}
        assert sorted(v["key"] for v in found.values()) == sorted(KEYS) and {v["n"] for v in found.values()} == {n}
    for name, view in found.items():
        key = view["key"]
        assert len(name) <= 250 and not name.startswith(".") and name.isprintable() or "\u2028" in key, name
        assert name == key or not key.isprintable() or set(key) & set("/%") or len(key.encode()) > 250 \
            or key[:1] in ("", "."), "as it is, where it can be"
    long = [name for name in found if "%~" in name]
    assert len(long) == len([k for k in KEYS if len(k.encode().replace(b"/", b"%2F").replace(b"%", b"%25")) > 250])
    said = status(mount, "keyed")
    assert (said["keys"], said["shortened_names"]) == (len(KEYS), len(long))

    def seen():
        return {n: (os.stat(mount.path("views/keyed", n + ".json")).st_ino, t) for n, t in files(mount, "keyed").items()}
    before = seen()
    assert len({ino for ino, _ in before.values()}) == len(KEYS)
    rebuild(mount, "keyed")
    settle(mount)
    assert seen() == before
    mount.restart()
    settle(mount)
    assert seen() == before
    assert status(mount, "keyed")["shortened_names"] == len(long)


def test_keys_come_as_numbers_and_in_lists(daemons, place):
    """A list may name a key twice: the event is in it once."""
    view = """return { key = function(e) return e.data.key end, init = function() return { n = 0 } end,
      on = { Did = function(v) v.n = v.n + 1 end } }"""
    mount = started(daemons, place, files={**GOOD, "views/keyed.lua": view})
    do(mount, {"key": ["a", "a", "b", "a"]}, {"key": []}, {"key": None}, {}, {"key": 7}, {"key": ["7", 7, 7.0]},
       {"key": True}, {"key": [True, "true"]}, {"key": 1.5}, {"key": 2**63 - 1}, {"key": "a"})
    settle(mount)
    assert {k: lib.strict(v)["n"] for k, v in files(mount, "keyed").items()} == {
        "a": 2, "b": 1, "7": 2, "true": 2, "1.5": 1, "9223372036854775807": 1}


def test_ten_thousand_keys_of_one_event(daemons, place):
    view = """return {
      key = function(e) local t = {} for i = 1, e.data.n do t[i] = "k" .. i end return t end,
      init = function(key) return { key = key, n = 0 } end, on = { Did = function(v) v.n = v.n + 1 end } }"""
    mount = started(daemons, place, files={**GOOD, "views/keyed.lua": view})
    do(mount, {"n": 10000}, {"n": 9000})
    settle(mount)
    found = files(mount, "keyed")
    assert len(found) == 10000 and status(mount, "keyed")["keys"] == 10000
    for i in (1, 9000, 9001, 10000):
        assert lib.strict(found[f"k{i}"]) == {"key": f"k{i}", "n": 1 + (i <= 9000)}


def test_twenty_thousand_directories_in_one(daemons, place):
    mount = started(daemons, place, files={**GOOD, "views/wide.lua":
        'return { kind = "index", path = function(s) return { "all", "d" .. s.data.d } end }'})
    n = lib.size(20000, 2000)
    mount.append("", *[{"type": "Do", "aggregate": f"thing/{i}", "data": {"d": i}} for i in range(n)])
    settle(mount)
    listed = os.listdir(mount.path("views/wide/all"))
    assert len(listed) == n and set(listed) == {f"d{i}" for i in range(n)}
    for i in (0, 1, n - 1):
        assert os.readlink(mount.path(f"views/wide/all/d{i}/{i}")) == f"../../../../thing/{i}"
    mount.append("", *[{"type": "Do", "aggregate": f"thing/{i}", "data": {"d": 0}} for i in range(n)])
    settle(mount)
    assert os.listdir(mount.path("views/wide/all")) == ["d0"]
    assert len(os.listdir(mount.path("views/wide/all/d0"))) == n


def test_an_event_that_several_types_have(daemons, place):
    other = THING.replace("s.n,", "s.other, s.n,").replace("= (s.n", "= true, (s.n")
    view = """return { %s key = function(e) return e.aggregate end, init = function(k) return { n = 0 } end,
      on = { Did = function(v, e, s) v.n, v.other = v.n + 1, s.other end } }"""
    mount = started(daemons, place, files={**GOOD, "aggregates/other.lua": other, "views/both.lua": view % "",
                                           "views/one.lua": view % 'from = { "other" },'})
    mount.append("", *[{"type": "Do", "aggregate": name} for name in ("thing/1", "other/1", "other/1", "thing/2")])
    settle(mount)
    both = {k: lib.strict(v) for k, v in files(mount, "both").items()}
    assert both == {"thing%2F1": {"n": 1}, "thing%2F2": {"n": 1}, "other%2F1": {"n": 2, "other": True}}
    assert list(files(mount, "one")) == ["other%2F1"]
    assert shown(mount, "count/all.json") == {"n": 4}
    assert lib.strict(mount.read("thing/1/views/both.json")) == {"n": 1}
    assert lib.strict(mount.read("other/1/views/one.json")) == {"n": 2, "other": True}


# --- handlers of projections

EATS = "local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end"
LOOP = "while true do end"
RECURSES = "local function f() return 1 + f() end return f()"

PARKED = {
    "loops": (LOOP, ["instructions"]),
    "loops behind pcall": ("while true do pcall(function() while true do end end) end", ["instructions"]),
    "eats memory": (EATS, ["memory"]),
    "recurses": (RECURSES, []),
    "fails with a table": ("error({ code = 7 })", []),
    "fails with nil": ("error(nil)", []),
    "fails with much text": ("error(('x'):rep(1000000))", ["xxx"]),
    "fails with control characters": ("error('a\\n\\0\\1\\xff\"b')", ["a"]),
    "keeps a function": ("v.f = function() end", ["f"]),
    "keeps a cycle": ("v.v = v", ["v"]),
    "keeps NaN": ("v.n = 0 / 0", ["n"]),
    "keeps an infinite number": ("v.n = { { m = -1 / 0 } }", ["m"]),
    "keeps what is very deep": ("local t = v for i = 1, 100000 do t.t = {} t = t.t end", []),
    "keeps a hole": ("v.a = { [1] = 1, [3] = 3 }", ["a"]),
    "keeps mixed keys": ("v.a = { 1, 2, x = 3 }", ["a"]),
    "keeps no UTF-8": ("v.a = '\\xff'", ["a"]),
    "keeps remove": ("v.r = remove", ["r"]),
    "keeps event": ("v.r = event", ["r"]),
    "keeps the event": ("v.e = e", []),
    "returns a number": ("return 7", ["number"]),
    "returns a text": ("return 'x'", ["string"]),
    "returns true": ("return true", ["boolean"]),
    "returns a function": ("return function() end", ["function"]),
    "returns the event": ("return e", []),
    "returns a table with a function": ("return { f = function() end }", []),
    "keeps a function in a large view": ("for i = 1, 100 do v[i] = i end v[50] = function() end", ["50"]),
    "keeps NaN in a large view": ("for i = 1, 100 do v['m' .. i] = i end v.m50 = 0 / 0", ["m50"]),
    "keeps 70 MB": ("v.a = { ('x'):rep(35 << 20) } v.b = v.a[1] .. 'x'", []),
    "writes a global": ("leak = 1", ["leak"]),
    "io": ("io.write('x')", ["io"]),
    "makes an event": ("v.e = event('Did', {})", []),
    "rejects": ("reject('no')", ["reject"]),
    "compares the incomparable": ("return {} < {}", []),
}

INITS = {
    "fails": ("error('no beginning')", ["no beginning"]),
    "loops": (LOOP, ["instructions"]),
    "eats memory": (EATS, ["memory"]),
    "gives a number": ("return 7", []),
    "gives nothing": ("", []),
    "gives a function": ("return { f = function() end }", ["f"]),
    "gives a cycle": ("local t = {} t.t = t return t", ["t"]),
    "gives remove": ("return remove", []),
}

OUTPUTS = {
    "fails": ("error('no output')", ["no output"]),
    "loops": (LOOP, ["instructions"]),
    "eats memory": (EATS, ["memory"]),
    "recurses": (RECURSES, []),
    "gives nothing": ("", ["nothing"]),
    "gives a function": ("return function() end", []),
    "gives a function inside": ("return { a = { f = function() end } }", ["f"]),
    "gives a cycle": ("local t = {} t.t = t return t", ["t"]),
    "gives NaN": ("return { n = 0 / 0 }", ["n"]),
    "gives remove": ("return remove", []),
    "gives no UTF-8": ("return '\\xff'", []),
    "gives 100 MB": ("local t = {} for i = 1, 100 do t[i] = ('x'):rep(1 << 20) end return t", []),
    "gives 40 MB": ("local s = ('x'):rep(1 << 22) return { s, s, s, s, s, s, s, s, s, s }", []),
    "gives 100,000,000 bytes": ("return ('x'):rep(100000000)", ["memory"]),
    "gives what is very deep": ("local t = {} for i = 1, 100000 do t = { t } end return t", []),
}

KEYS_BAD = {
    "fails": ("error('no key')", ["no key"]),
    "loops": (LOOP, ["instructions"]),
    "eats memory": (EATS, ["memory"]),
    "gives a function": ("return function() end", ["function"]),
    "gives NaN": ("return 0 / 0", []),
    "gives the event": ("return e", ["event"]),
    "gives remove": ("return remove", []),
    "gives a list in a list": ("return { { 'a' } }", ["item 1"]),
    "gives a function in a list": ("return { 'a', function() end }", ["item 2"]),
    "gives an object": ("return { a = 'b' }", ["list"]),
    "gives a hole": ("return { [2] = 'a' }", ["list"]),
    "gives a cycle": ("local t = {} t[1] = t return t", ["item 1"]),
    "gives no UTF-8": ("return '\\xff'", ["UTF-8"]),
    "gives a text that is too long": ("return ('x'):rep(100000)", ["100000"]),
    "gives null in a list": ("return { 'a', null }", ["item 2"]),
    "gives millions": ("local t = {} for i = 1, 5000000 do t[i] = 'k' end return t", []),
}

PATHS = {
    "fails": ("error('no path')", ["no path"]),
    "loops": (LOOP, ["instructions"]),
    "eats memory": (EATS, ["memory"]),
    "recurses": (RECURSES, []),
    "gives a function": ("return function() end", ["function"]),
    "gives numbers as names of nothing": ("return { [2] = 'a', [7] = 'b' }", ["list"]),
    "gives a hole": ("return { 'a', nil, 'c' }", ["list"]),
    "gives an object": ("return { a = 'b' }", ["list"]),
    "gives mixed keys": ("return { 'a', x = 'b' }", ["list"]),
    "gives fractions for keys": ("return { [1.5] = 'b' }", ["list"]),
    "gives a list in a list": ("return { 'a', { 'b' } }", ["item 2"]),
    "gives a function in a list": ("return { 'a', function() end }", ["item 2"]),
    "gives NaN": ("return { 0 / 0 }", []),
    "gives an infinite number": ("return 1 / 0", []),
    "gives a cycle": ("local t = {} t[1] = t return t", ["item 1"]),
    "gives an empty name": ("return { 'a', '' }", ["empty"]),
    "gives no UTF-8": ("return { '\\xff' }", ["UTF-8"]),
    "gives 16 levels": ("local t = {} for i = 1, 16 do t[i] = 'd' end return t", ["16", "15"]),
    "gives a million levels": ("local t = {} for i = 1, 1000000 do t[i] = 'd' end return t", ["1000000", "15"]),
    "gives a name that is too long": ("return { ('x'):rep(100000) }", ["100000"]),
    "gives remove": ("return remove", []),
    "gives null in a list": ("return { null }", ["item 1"]),
    "gives the state": ("return s", []),
}


def many(cases, prefix, form):
    """A view for each case, v0, v1 ..."""
    return {f"views/{prefix}{i}.lua": form % body for i, (body, _) in enumerate(cases.values())}


def words_in(told, words):
    for word in words:
        assert word in told, (word, told)


def check_parked(mount, cases, prefix, n):
    """Every event of every bad view is parked, with the words; the view lives."""
    said = settle(mount)
    assert said["halted"] == {}
    for i, (case, (_, words)) in enumerate(cases.items()):
        view = f"{prefix}{i}"
        entries = parked(mount, view)
        assert len(entries) == n, (case, entries)
        words_in(entries[0]["error"], words)
        assert entries[0].get("file", f"views/{view}.lua") == f"views/{view}.lua", case
        found = status(mount, view)
        assert (found["state"], found["parked"], found["lag_events"]) == ("live", n, 0), (case, found)
    assert shown(mount, "count/all.json") == {"n": n}


def test_a_handler_that_misbehaves_parks_its_event(daemons, place):
    form = "return { on = { Did = function(v, e, s)\n%s\nend } }"
    mount = started(daemons, place, files={**GOOD, **many(PARKED, "v", form)})
    do(mount, {"x": 1}, {"x": 2})
    check_parked(mount, PARKED, "v", 2)
    for i in range(len(PARKED)):
        assert files(mount, f"v{i}") == {}
        one, two = parked(mount, f"v{i}")
        assert one["attempts"] == 1 and two["waits_for"] == one["position"]
    mount.fails(f"mv views/v0/.parked/{one['position']}.json views/v0/.parked/retry/", "Input/output error")
    assert parked(mount, "v0")[0]["attempts"] == 2
    assert lib_domain.state(mount, "thing/1") == {"n": 2, "data": {"x": 2}}
    mount.stop()
    mount.start()
    check_parked(mount, PARKED, "v", 2)


def test_an_init_that_misbehaves_parks_the_event(daemons, place):
    form = "return { init = function(key)\n%s\nend, on = { Did = function(v, e, s) end } }"
    mount = started(daemons, place, files={**GOOD, **many(INITS, "v", form)})
    do(mount, {"x": 1}, {"x": 2})
    check_parked(mount, INITS, "v", 2)


def test_a_path_that_misbehaves_parks_the_event(daemons, place):
    form = 'return { kind = "index", path = function(s)\n%s\nend }'
    mount = started(daemons, place, files={**GOOD, **many(PATHS, "v", form)})
    do(mount, {"x": 1}, {"x": 2})
    check_parked(mount, PATHS, "v", 2)
    for i in range(len(PATHS)):
        assert links(mount, f"v{i}") == {} and status(mount, f"v{i}")["links"] == 0


def test_a_key_that_misbehaves_halts_its_view(daemons, place):
    form = "return { key = function(e, s)\n%s\nend, on = { Did = function(v, e, s) end } }"
    mount = started(daemons, place, files={**GOOD, **many(KEYS_BAD, "v", form)})
    do(mount, {"x": 1}, {"x": 2})
    halted = settle(mount)["halted"]
    assert sorted(halted) == sorted(f"v{i}" for i in range(len(KEYS_BAD)))
    for i, (case, (_, words)) in enumerate(KEYS_BAD.items()):
        words_in(halted[f"v{i}"], [f"views/v{i}.lua", *words])
        found = status(mount, f"v{i}")
        assert (found["state"], found["parked"], found["lag_events"]) == ("halted", 0, 2), (case, found)
    assert shown(mount, "count/all.json") == {"n": 2}
    for i in range(len(KEYS_BAD)):
        mount.domain.put(f"views/v{i}.lua", form % "return e.data.x")
    assert reload(mount) is None
    assert settle(mount)["halted"] == {}
    assert {len(files(mount, f"v{i}")) for i in range(len(KEYS_BAD))} == {2}


def test_an_output_that_misbehaves_costs_its_readers_an_error(daemons, place):
    form = "return { key = function(e) return e.data.key end, on = { Did = function(v, e) v.n = (v.n or 0) + 1 end },\n" \
           "output = function(v, key) if key == 'good' or v.n == 2 then return v end\n%s\nend }"
    mount = started(daemons, place, files={**GOOD, **many(OUTPUTS, "v", form)})
    do(mount, {"key": "good"}, {"key": "bad"})
    assert settle(mount)["halted"] == {}
    told = {e["what"].split(":")[0]: e["error"] for e in lib_domain.errors(mount)}
    for i, (case, (_, words)) in enumerate(OUTPUTS.items()):
        assert lib.error_of(mount.read, f"views/v{i}/bad.json") == "EIO", case
        assert os.stat(mount.path(f"views/v{i}/bad.json")).st_size == 0
        assert shown(mount, f"v{i}/good.json") == {"n": 1}
        found = status(mount, f"v{i}")
        assert (found["state"], found["failed_outputs"], found["parked"], found["keys"]) == ("live", 1, 0, 2), case
        words_in(told[f"views/v{i}"], words)
    do(mount, {"key": "bad"})
    settle(mount)
    for i in range(len(OUTPUTS)):
        assert shown(mount, f"v{i}/bad.json") == {"n": 2}
        assert status(mount, f"v{i}")["failed_outputs"] == 0


def test_an_output_of_ten_megabytes(daemons, place):
    view = """return { key = function(e) return e.data.key end, on = { Did = function(v, e) v.n = e.data.n end },
      output = function(v) return (("0123456789"):rep(v.n)) end }"""
    mount = started(daemons, place, files={**GOOD, "views/large.lua": view})
    do(mount, {"key": "a", "n": 1 << 20}, {"key": "b", "n": 1_600_000}, {"key": "c", "n": 1_700_000})
    settle(mount)
    assert shown(mount, "large/a.json") == "0123456789" * (1 << 20)
    assert shown(mount, "large/b.json") == "0123456789" * 1_600_000
    assert lib.error_of(mount.read, "views/large/c.json") == "EIO"
    assert "16 MiB" in lib_domain.last_error(mount)["error"]


def test_remove_in_odd_places(daemons, place):
    """It is what `on` returns, and nothing anywhere else; a file may go before it was there, and come back."""
    view = """return { key = function(e) return e.subject end, init = function(key) return { n = 0 } end,
      on = { Did = function(v, e)
        v.n = v.n + 1
        if e.data.remove then return remove end
        if e.data.other then return { n = 100 } end
      end } }"""
    mount = started(daemons, place, files={**GOOD, "views/keyed.lua": view})
    do(mount, {"remove": True}, {"remove": True})
    settle(mount)
    assert files(mount, "keyed") == {} and status(mount, "keyed")["keys"] == 0
    do(mount, {}, {"remove": True}, {}, {"other": True}, {})
    settle(mount)
    assert shown(mount, "keyed/1.json") == {"n": 101}
    do(mount, {"remove": True}, {})
    settle(mount)
    assert shown(mount, "keyed/1.json") == {"n": 1}
    assert lib.strict(mount.read("thing/1/views/keyed.json")) == {"n": 1}
    do(mount, {"remove": True}, {"remove": True})
    settle(mount)
    assert files(mount, "keyed") == {} and os.listdir(mount.path("thing/1/views")) == ["state.json"]


def test_nobody_sees_what_a_view_does_to_a_state_or_an_event(daemons, place):
    wicked = """return { %s
      on = { Did = function(v, e, s)
        pcall(function() s.n = 1000 end)
        pcall(function() s.data.x = "wicked" end)
        pcall(function() s.data = nil end)
        pcall(function() e.data.x = "wicked" end)
        pcall(function() e.data = {} end)
        v.kept = s
        pcall(function() v.kept.n = 2000 end)
        pcall(function() v.kept.data.x = "more wicked" end)
      end } }"""
    honest = 'return { on = { Did = function(v, e, s) v.n, v.x, v.e = s.n, s.data.x, e.data.x end } }'
    mount = started(daemons, place, files={
        **GOOD, "views/a.lua": wicked % "", "views/b.lua": honest, "views/z.lua": wicked % 'key = function(e, s) '
        'pcall(function() s.n, e.data.x = 3000, "wicked" end) return "all" end,',
        "views/path.lua": 'return { kind = "index", path = function(s) pcall(function() s.n, s.data.x = 7, "w" end) '
                          'return { s.data.x } end }'})
    for n in range(1, 4):
        do(mount, {"x": f"x{n}"})
        settle(mount)
        assert lib_domain.state(mount, "thing/1") == {"n": n, "data": {"x": f"x{n}"}}
        assert shown(mount, "b/all.json") == {"n": n, "x": f"x{n}", "e": f"x{n}"}
    assert [e["data"]["x"] for e in mount.events("thing/1")] == ["x1", "x2", "x3"]


GROWS = """return { key = function(e) return e.data.key end, init = function() return { n = 0, a = array{} } end,
  on = { Did = function(v, e)
    v.n = v.n + 1
    for i = 1, 100 do v.a[i] = i end
    if e.data.bad then v.bad = { function() end } end
  end },
  output = function(v) return { n = v.n } end }"""


def test_what_cannot_be_kept_is_found_in_the_middle_of_a_batch(daemons, place):
    """In a large view it is found when the batch is written, with hundreds of events before and behind it."""
    mount = started(daemons, place, files=GOOD)
    do(mount, *({"key": f"k{i % 7}", "bad": i in (300, 500)} for i in range(700)))
    mount.domain.put("views/grows.lua", GROWS)
    assert reload(mount) is None
    assert settle(mount)["halted"] == {}
    before = {f"k{key}": len([i for i in range(key, 700, 7) if i < (300 if key == 6 else 500 if key == 3 else 700)])
              for key in range(7)}
    assert {k: lib.strict(v)["n"] for k, v in files(mount, "grows").items()} == before
    entries = parked(mount, "grows")
    assert len(entries) == 700 - sum(before.values())
    for entry in entries:
        assert ("error" in entry) == (entry["event"]["data"]["bad"])
    mount.domain.edit("views/grows.lua", "{ function() end }", "7")
    assert reload(mount) is None
    settle(mount)
    assert {k: lib.strict(v)["n"] for k, v in files(mount, "grows").items()} == {f"k{k}": 100 for k in range(7)}


def test_an_event_that_halts_a_view_leaves_nothing_behind(daemons, place):
    """It has become two, and `key` fails on the second: after every restart the first is there once, or not at all."""
    split = THING.replace("Did = {", """Did = { schema = "Did.2", upcast = { [1] = function(data)
      return { event("Did", { key = "a", n = data.n }), event("Did", { key = "b", n = data.n }) } end },""")
    view = """return { key = function(e) if e.data.key == "b" and e.data.n == 2 then error("no b") end return e.data.key end,
      init = function() return { n = 0 } end, on = { Did = function(v) v.n = v.n + 1 end } }"""
    mount = started(daemons, place, files={
        **GOOD, "aggregates/thing.lua": THING.replace("Did = {", 'Did = { schema = "Did.1",'),
        "schemas/thing/Did.1.json": {"type": "object"}})
    do(mount, {"n": 0}, {"n": 1}, {"n": 2}, {"n": 3})
    mount.domain.put("schemas/thing/Did.2.json", {"type": "object", "required": ["key"]})
    mount.domain.put("aggregates/thing.lua", split)
    mount.domain.put("views/keyed.lua", view)
    assert reload(mount) is None, lib_domain.last_error(mount)
    for _ in range(3):
        assert list(settle(mount)["halted"]) == ["keyed"]
        assert {k: lib.strict(v)["n"] for k, v in files(mount, "keyed").items()} == {"a": 2, "b": 2}
        mount.restart()
    mount.domain.edit("views/keyed.lua", 'error("no b")', "return nil")
    assert reload(mount) is None
    settle(mount)
    assert {k: lib.strict(v)["n"] for k, v in files(mount, "keyed").items()} == {"a": 4, "b": 3}


def test_ten_thousand_parked_events_halt_a_view(daemons, place):
    """The last event has good keys before those that are too many: they have it once, after every restart."""
    view = """return { key = function(e) local t = { "good" } for i = 1, e.data.n do t[i + 1] = "k" .. e.version .. "-" .. i end return t end,
      init = function(key) return { n = 0 } end,
      on = { Did = function(v, e) v.n = v.n + 1 if v.n == 1 and e.data.n > 0 and e.version > 1 then error("too many") end end } }"""
    mount = started(daemons, place, files={**GOOD, "views/keyed.lua": view})
    do(mount, {"n": 0}, {"n": 6000}, {"n": 6000})
    for _ in range(2):
        said = settle(mount)["halted"]
        assert list(said) == ["keyed"] and "10000 events are parked" in said["keyed"] and "too many" in said["keyed"]
        assert status(mount, "keyed")["parked"] == 1, "positions"
        assert {k: lib.strict(v)["n"] for k, v in files(mount, "keyed").items()} == {"good": 2}
        mount.restart()


# --- who misbehaves does not hold up others

def test_a_view_that_loops_holds_up_nobody(daemons, place):
    """Writers are as fast as they were, the other views follow, and the one that loops gets on too."""
    view = "return { key = function(e) return e.subject end, on = { Did = function() while true do end end } }"
    mount = started(daemons, place, files=GOOD)

    def append(n):
        took = []
        with mount.commands() as c:
            for i in range(n):
                began = time.monotonic()
                c.write_all(lib.line({"type": "Do", "aggregate": f"thing/{i}"}))
                took.append(time.monotonic() - began)
        return sorted(took)[n // 2]
    n = lib.size(40, 10)
    alone = append(n)
    mount.domain.put("views/loops.lua", view)
    assert reload(mount) is None
    beside = append(n)
    assert status(mount, "loops")["lag_events"] > 0, "it is at it"
    lib.wait_until(lambda: shown(mount, "count/all.json")["n"] == 2 * n, 5)
    assert beside < 3 * alone + 0.01 * lib.SLOW, (alone, beside)
    settle(mount, timeout=100)
    assert status(mount, "loops")["parked"] == 2 * n
    assert len({e["key"] for e in parked(mount, "loops")}) == n


def resident_mb(mount):
    with open(f"/proc/{mount.pid}/status", encoding="ascii") as f:
        return next(int(text.split()[1]) for text in f if text.startswith("VmRSS")) / 1024


class Peak(threading.Thread):
    """The most memory that a daemon has while something is done."""

    def __init__(self, mount):
        super().__init__()
        self.mount, self.most, self.over = mount, 0, threading.Event()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()

    def run(self):
        while not self.over.wait(0.02):
            self.most = max(self.most, resident_mb(self.mount))


MANY_LARGE = 1000 if lib.SLOW == 1 else 25
"""A sanitizer's own memory is no measure: there they are only to be made."""


def test_large_files_of_many_keys_do_not_fill_the_memory(daemons, place):
    view = """return { key = function(e) return e.data.key end, on = { Did = function(v, e) v.n = e.data.n end },
      output = function(v) return (("0123456789"):rep(v.n)) end }"""
    mount = started(daemons, place, files=GOOD)
    n = MANY_LARGE
    do(mount, *({"key": f"k{i}", "n": 100_000} for i in range(n)))
    mount.domain.put("views/large.lua", view)
    with Peak(mount) as peak:
        assert reload(mount) is None
        settle(mount, timeout=100)
    assert len(os.listdir(mount.path("views/large"))) == n + 3
    print(f"{peak.most:.0f} MB")
    if lib.SLOW == 1:
        assert peak.most < 500, f"{n} files of 1 MB took {peak.most:.0f} MB"


def test_large_states_of_many_keys_do_not_fill_the_memory(daemons, place):
    view = """return { key = function(e) return e.data.key end, output = function(v) return "" end,
      on = { Did = function(v, e) v.text = (e.data.key):rep(200000) end } }"""
    mount = started(daemons, place, files=GOOD)
    n = MANY_LARGE
    do(mount, *({"key": f"k{i:04}"} for i in range(n)))
    mount.domain.put("views/large.lua", view)
    with Peak(mount) as peak:
        assert reload(mount) is None
        settle(mount, timeout=100)
    assert len(os.listdir(mount.path("views/large"))) == n + 3
    print(f"{peak.most:.0f} MB")
    if lib.SLOW == 1:
        assert peak.most < 700, f"{n} states of 1 MB took {peak.most:.0f} MB"


def test_a_rebuild_asked_for_while_a_domain_is_loaded(daemons, place):
    """It waits for that, all others do not; what is built is what the new domain says."""
    view = 'return { init = function() return { v = 1, n = 0 } end, on = { Did = function(v) v.n = v.n + 1 end } }\n'
    mount = started(daemons, place, files={**GOOD, "views/version.lua": view})
    n = lib.size(200, 25)
    do(mount, *({} for _ in range(n)))
    settle(mount)
    mount.domain.put("views/version.lua", view.replace("v = 1", "v = 2"))
    mount.domain.edit("aggregates/thing.lua", "s.n, s.data =", "for i = 1, 200000 do s.i = i end s.n, s.data =")
    said, longest = [], 0
    loading = threading.Thread(target=lambda: said.append(reload(mount)))
    asking = threading.Thread(target=lambda: said.append(lib.error_of(rebuild, mount, "version")))
    loading.start()
    time.sleep(0.1)
    asking.start()
    while loading.is_alive():
        began = time.monotonic()
        assert shown(mount, "version/all.json")["n"] == n and mount.version("thing/1") == n
        longest = max(longest, time.monotonic() - began)
        time.sleep(0.01)
    for t in (loading, asking):
        t.join(lib.limit(60))
    assert said == [None, None]
    assert longest < 1.5 * lib.SLOW, longest
    assert settle(mount)["halted"] == {}
    assert shown(mount, "version/all.json") == {"v": 2, "n": n}
