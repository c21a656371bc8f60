"""Domains that are wrong, at the mount, and handlers and schemas that misbehave while it runs: who is to blame pays for
it, and is told where; nobody else does."""

import os
import shutil
import threading
import time

import pytest

import lib
import lib_domain
from lib import line
from lib_daemon import Daemon
from lib_domain import Domain, accepted, errors, last_error, order, prepared, refused, reload, started, state

GOOD = {"aggregates/order.lua": order('E = { schema = "E.1" }',
                                      'Do = { decide = function() return event("E", {}) end }'),
        "schemas/order/E.1.json": {"type": "object"}}

# --- at the mount

REFUSED = {
    "syntax": ({"aggregates/x.lua": "return {\n\n  commands = { = },\n}"}, ["aggregates/x.lua:3"]),
    "fails while it loads": ({"aggregates/x.lua": "local t\nreturn t.x"}, ["aggregates/x.lua:2"]),
    "gives nothing": ({"aggregates/x.lua": "local x = 1"}, ["aggregates/x.lua"]),
    "loops while it loads": ({"aggregates/x.lua": "while true do end"}, ["aggregates/x.lua:1"]),
    "eats memory while it loads": (
        {"aggregates/x.lua": "local t = {}\nwhile true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end"},
        ["aggregates/x.lua:2"]),
    "library loops": ({"lib/l.lua": "while true do end", "aggregates/x.lua": 'require("l") return {}'}, ["lib/l.lua"]),
    "library is missing": ({"aggregates/x.lua": 'require("nolib") return {}'}, ["aggregates/x.lua", "nolib"]),
    "a library of the system": ({"aggregates/x.lua": 'require("io") return {}'}, ["aggregates/x.lua", "io"]),
    "libraries that need each other": (
        {"lib/a.lua": 'require("b") return 1', "lib/b.lua": 'require("a") return 1',
         "aggregates/x.lua": 'require("a") return {}'}, ["lib/"]),
    "io": ({"aggregates/x.lua": 'io.open("/etc/passwd") return {}'}, ["aggregates/x.lua:1", "io"]),
    "os": ({"aggregates/x.lua": 'return { initial = os.time }'}, ["aggregates/x.lua:1", "os"]),
    "load": ({"aggregates/x.lua": 'load("return 1")() return {}'}, ["aggregates/x.lua:1", "load"]),
    "binary": ({"aggregates/x.lua": "\x1bLua nonsense"}, ["aggregates/x.lua"]),
    "unknown member": ({"aggregates/x.lua": "return { comands = {} }"}, ["aggregates/x.lua", "comands", "commands"]),
    "unknown member of a command": (
        {"aggregates/x.lua": order("", "Do = { decide = function() end, shema = 1 }")},
        ["aggregates/x.lua", "Do", "shema", "schema"]),
    "a handler that keeps something": (
        {"aggregates/x.lua": "local n = 0\n" + order("", "Do = { decide = function() n = n + 1 end }")},
        ["aggregates/x.lua:2", "n"]),
    "no decide": ({"aggregates/x.lua": order("", "Do = {}")}, ["aggregates/x.lua", "Do", "decide"]),
    "missing schema": ({"aggregates/x.lua": order('E = { schema = "E.1" }')},
                       ["aggregates/x.lua", "schemas/x/E.1.json"]),
    "missing schema of a command": (
        {"aggregates/x.lua": order("", 'Do = { schema = "Do.1", decide = function() end }')},
        ["schemas/x/commands/Do.1.json"]),
    "a schema that is no JSON": ({"schemas/order/E.1.json": '{"type":'}, ["schemas/order/E.1.json"]),
    "a schema that is none": ({"schemas/order/E.1.json": '{"type":"objekt"}'}, ["schemas/order/E.1.json", "type"]),
    "a schema whose regex is none": (
        {"schemas/order/E.1.json": '{"properties":{"a":{"pattern":"("}}}'}, ["schemas/order/E.1.json", "pattern"]),
    "a schema that refers to nothing": (
        {"schemas/order/E.1.json": '{"$ref":"#/$defs/x"}'}, ["schemas/order/E.1.json", "$ref"]),
    "a schema from the net": (
        {"schemas/order/E.1.json": '{"$ref":"http://127.0.0.1:9/x.json"}'}, ["schemas/order/E.1.json", "127.0.0.1"]),
    "schemas of no type": ({"schemas/other/F.1.json": "{}"}, ["schemas/other"]),
    "two newest versions": ({"schemas/order/E.2.json": "{}"}, ["schemas/order/E.2.json"]),
    "reserved name of a type": ({"aggregates/views.lua": lib_domain.EMPTY}, ["aggregates/views.lua"]),
    "a name of the system": ({"aggregates/$x.lua": lib_domain.EMPTY}, ["aggregates/$x.lua"]),
    "a name of the system for an event": ({"aggregates/x.lua": order('["$E"] = {}')}, ["aggregates/x.lua", "$E"]),
    "two files of one type": ({"aggregates/order/x.lua": lib_domain.EMPTY}, ["aggregates/order"]),
    "an upcast of nothing": (
        {"aggregates/x.lua": order("E = { upcast = { [1] = function(d) return d end } }")},
        ["aggregates/x.lua", "upcast"]),
    "an upcast gap": (
        {"aggregates/x.lua": order('E = { schema = "E.3", upcast = { [1] = function(d) return d end } }'),
         "schemas/x/E.1.json": "{}", "schemas/x/E.3.json": "{}"}, ["x/E", "upcast[2]"]),
    "an incompatible version": (
        {"aggregates/x.lua": order('E = { schema = "E.2" }'), "schemas/x/E.1.json": "{}",
         "schemas/x/E.2.json": '{"required":["a"]}'}, ["x/E", "version 2", "required"]),
    "an unknown user": (
        {"aggregates/x.lua": order("", 'Do = { allow = { users = { "no-such-user" } }, decide = function() end }')},
        ["aggregates/x.lua", "no-such-user"]),
    "encryption": ({"aggregates/x.lua": order('E = { sensitive = { "/a" } }')}, ["aggregates/x.lua", "sensitive"]),
}


@pytest.mark.parametrize("case", REFUSED, ids=lambda name: name.replace(" ", "-"))
def test_a_bad_domain_is_not_mounted(daemons, place, case):
    files, words = REFUSED[case]
    mount = prepared(daemons, place, files={**GOOD, **files})
    began = time.monotonic()
    said = mount.refused()
    assert said.rc == 1 and time.monotonic() - began < lib.limit(10)
    for word in words:
        assert word in said.err, said
    assert len(said.err) < 4000, "a reason that a person reads"
    if not any(name in GOOD for name in files):
        for name in files:
            mount.domain.remove(name)
            top = os.path.dirname(os.path.join(mount.domain.path, name))
            while top != mount.domain.path and not os.listdir(top):
                os.rmdir(top)
                top = os.path.dirname(top)
        mount.start()
        accepted(mount, "order", "Do", aggregate="1")


def test_a_directory_that_is_none_is_not_mounted(daemons, place):
    for name in ("nowhere", "file"):
        path = os.path.join(place, name)
        if name == "file":
            open(path, "w").close()
        said = daemons(options=[f"domain={path}"]).refused()
        assert said.rc == 1 and path in said.err
    inside = daemons()
    inside.options = [f"domain={inside.mnt}/x"]
    assert inside.refused().rc == 1


TYPELESS = {
    "empty": ({}, "there is no directory aggregates/, so the domain has no types"),
    "misnamed": ({"aggregate/order.lua": GOOD["aggregates/order.lua"], "kafka.lua": "return {}"},
                 "there is no directory aggregates/, so the domain has no types"),
    "no definitions": ({"aggregates/README": "soon"},
                       "there is no file <type>.lua in aggregates/, so the domain has no types"),
}


@pytest.mark.parametrize("case", TYPELESS)
def test_a_domain_without_types_is_not_in_force(daemons, place, case):
    """Nothing could be made in its store, and nobody would know why."""
    files, reason = TYPELESS[case]
    mount = prepared(daemons, place, files=files)
    said = mount.refused()
    assert said.rc == 1 and f"{mount.domain.path}: {reason}" in said.err, said
    checked = lib.run([lib.esfsctl(), "check", mount.domain.path], timeout=60)
    assert checked.rc == 1 and reason in checked.out.splitlines(), checked
    for name, text in GOOD.items():
        mount.domain.put(name, text)
    mount.start()
    mount.domain.remove("aggregates/order.lua")
    shutil.rmtree(os.path.join(mount.domain.path, "schemas"))
    if case != "no definitions":
        os.rmdir(os.path.join(mount.domain.path, "aggregates"))
    assert reload(mount) == "EINVAL"
    assert last_error(mount)["error"] == f"{mount.domain.path}: {reason}"
    accepted(mount, "", "Do", aggregate="order/1")


def test_editors_leftovers_do_not_matter(daemons, place):
    mount = started(daemons, place, files={**GOOD, "aggregates/.order.lua.swp": "\0\1", ".git/config": "x",
                                           "README.md": "# shop", "aggregates/order.lua~": "return {"})
    accepted(mount, "order", "Do", aggregate="1")


# --- handlers

HANDLERS = {
    "loops": ("while true do end", ["instructions"]),
    "loops behind pcall": ("while true do pcall(function() while true do end end) end", ["instructions"]),
    "catches the limit": ("local ok = pcall(function() while true do end end) return event('E', {})", ["instructions"]),
    "recurses": ("local function f() return 1 + f() end return f()", []),
    "recurses in tail calls": ("local function f() return f() end return f()", ["instructions"]),
    "recurses through pcall": ("local function f() return pcall(f) end f() f() error('end')", []),
    "recurses through sort": (
        "local function f() table.sort({ 3, 2, 1 }, function(a, b) f() return a < b end) end f()", []),
    "recurses through gsub": ("local function f() return (('x'):gsub('x', f)) end f()", []),
    "eats memory": ("local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end", ["memory"]),
    "one string of 1 GB": ("local s = ('x'):rep(1 << 30) return event('E', { s = s })", []),
    "doubles a string": ("local s = 'x' while true do s = s .. s end", []),
    "doubles a string by gsub": ("local s = 'xx' while true do s = s:gsub('x', 'xx') end", []),
    "concatenates": (
        "local t = {} for i = 1, 1000 do t[i] = ('x'):rep(1 << 20) end return event('E', { s = table.concat(t) })", []),
    "packs": ("return event('E', { ('z'):pack(('x'):rep(1 << 26)) .. ('x'):rep(1 << 26) })", []),
    "wide format": ("return event('E', { ('%99999999d'):format(1) })", []),
    "a bad pattern": ("return event('E', { x = (('a'):rep(40000)):find(('a*'):rep(30) .. 'b') })", []),
    "rubbish: a number": ("return 7", ["event"]),
    "rubbish: a string": ("return 'E'", ["event"]),
    "rubbish: true": ("return true", ["event"]),
    "rubbish: a table": ("return { x = 1 }", ["event"]),
    "rubbish: a function": ("return function() end", ["event"]),
    "rubbish: an event and more": ("return event('E', {}), 7", ["event"]),
    "rubbish: in a list": ("return { event('E', {}), 7 }", ["event"]),
    "rubbish: the command": ("return cmd", ["event"]),
    "the state": ("return order", ["event"]),
    "one event twice": ("local e = event('E', {}) return e, e", []),
    "data that is no object": ("return event('E', 7)", ["data"]),
    "data that is an array": ("return event('E', array { 1 })", ["data"]),
    "no type": ("return event(nil, {})", []),
    "a function in data": ("return event('E', { a = { f = function() end } })", ["a", "f"]),
    "NaN": ("return event('E', { a = { n = 0 / 0 } })", ["n"]),
    "infinite": ("return event('E', { n = 1 / 0 })", ["n"]),
    "a cycle": ("local t = {} t.t = t return event('E', { t = t })", ["t"]),
    "very deep": ("local t = {} for i = 1, 100000 do t = { t = t } end return event('E', t)", []),
    "a hole": ("return event('E', { a = { [1] = 1, [3] = 3 } })", ["a"]),
    "mixed keys": ("return event('E', { a = { 1, 2, x = 3 } })", ["a"]),
    "no UTF-8": ("return event('E', { a = '\\xff' })", ["a"]),
    "undeclared": ("return event('F', {})", ["F"]),
    "violates": ("return event('S', { n = 'x' })", ["/n", "type"]),
    "made and not returned": ("event('E', {})", ["E"]),
    "errors with a string": ("error('so be it')", ["so be it"]),
    "errors with a table": ("error({ code = 7 })", []),
    "errors with nil": ("error(nil)", []),
    "errors with null": ("error(null)", []),
    "errors with an array": ("error(array {})", []),
    "errors with much text": ("error(('x'):rep(1000000))", ["xxx"]),
    "errors with control characters": ("error('a\\n\\0\\1\\xff\"b')", ["a"]),
    "indexes nil": ("local nothing return nothing.at.all", ["nothing"]),
    "writes a global": ("leak = 1 return event('E', {})", []),
    "io": ("io.write('x')", ["io"]),
    "os": ("return event('E', { t = os.time() })", ["os"]),
    "debug": ("debug.getinfo(1)", ["debug"]),
    "setmetatable": ("setmetatable({}, {})", ["setmetatable"]),
    "compares the incomparable": ("return {} < {}", []),
}


@pytest.fixture(scope="module")
def villain(tmp_path_factory):
    """All bad deciders in one domain: command H0, H1, ... and Good."""
    place = tmp_path_factory.mktemp("villain")
    commands = "\n".join(f'H{i} = {{ decide = function(order, cmd, get)\n{body}\nend }},'
                         for i, (body, _) in enumerate(HANDLERS.values()))
    domain = Domain(place / "domain", files={
        "aggregates/order.lua": order(
            'E = { evolve = function(s, e) s.n = (s.n or 0) + 1 end },\n S = { schema = "S.1" },',
            commands + "\nGood = { decide = function() return event('E', {}) end }"),
        "schemas/order/S.1.json": {"properties": {"n": {"type": "integer"}}},
    })
    daemon = Daemon(place / "store", place / "mnt", place / "esfs.log", [domain.option]).start()
    daemon.domain = domain
    yield daemon
    fault = daemon.put_away()
    assert not fault, fault


def resident_mb(daemon):
    with open(f"/proc/{daemon.pid}/status", encoding="ascii") as f:
        return next(int(text.split()[1]) for text in f if text.startswith("VmRSS")) / 1024


@pytest.mark.parametrize("name", HANDLERS, ids=lambda name: name.replace(" ", "-"))
def test_a_bad_handler_costs_its_caller_an_error(villain, name):
    body, words = HANDLERS[name]
    kind = f"H{list(HANDLERS).index(name)}"
    accepted(villain, "order", "Good", aggregate="1")
    version, before, n = villain.version("order/1"), resident_mb(villain), len(errors(villain))
    began = time.monotonic()
    result = refused(villain, "order/1", kind, {"x": 1}, "EIO", id=f"c-{kind}")
    assert time.monotonic() - began < lib.limit(3)
    for word in words:
        assert word in result["detail"], result
    assert result["error"] == "handler_failed" and len(result["detail"]) <= 1000, result
    told = errors(villain)[n:]
    assert len(told) == 1
    told = told[0]
    assert (told["command"], told["commandid"], told["aggregate"]) == (kind, f"c-{kind}", "order/1")
    assert told["uid"] == os.geteuid() and told["pid"] == os.getpid()
    for word in words:
        assert word in told["error"], told
    assert villain.version("order/1") == version and state(villain, "order/1") == {"n": version}
    accepted(villain, "order/1", "Good")
    if not lib.SLOW > 1:
        assert resident_mb(villain) < before + 100, "memory of a handler is given back"


def test_errors_name_file_line_traceback_and_command(daemons, place):
    mount = started(daemons, place, files={
        "lib/deep.lua": "return {\n  fall = function(x)\n    return x.none.at.all\n  end }\n",
        "aggregates/order.lua": 'local deep = require("deep")\n'
                                "local function middle(x)\n  deep.fall(x)\n  return 1\nend\n"
                                "return { commands = { Do = { decide = function(_, cmd)\n  middle({})\n  return nil\n"
                                "end } } }\n"})
    result = refused(mount, "order", "Do", {"x": "é" * 400}, "EIO", aggregate="1", id="c1")
    assert "lib/deep.lua:3" in result["detail"]
    told = last_error(mount)
    assert (told["file"], told["line"], told["command"], told["commandid"]) == ("lib/deep.lua", 3, "Do", "c1")
    assert "decide" in told["what"] and told["time"].endswith("Z")
    places = [text for text in told["traceback"].splitlines()]
    at = [next(i for i, text in enumerate(places) if where in text)
          for where in ("lib/deep.lua:3", "aggregates/order.lua:3", "aggregates/order.lua:7")]
    assert at == sorted(at), "innermost first"
    assert str(told["data"]).count("é") > 50, "what the command brought, as far as a line holds"
    assert mount.ok("tail -n 1 .esfs/errors.ndjson | jq -r .file") == "lib/deep.lua"


def test_errors_are_bounded(daemons, place):
    mount = started(daemons, place, files={
        "aggregates/order.lua": order("", "Do = { decide = function(_, cmd) error(('y'):rep(500)) end }")})
    mount.make("order/1")
    n = lib.size(6000, 500)
    for i in range(n):
        refused(mount, "order/1", "Do", {"pad": "x" * 200}, "EIO", id=str(i))
    kept = errors(mount)
    assert kept[-1]["commandid"] == str(n - 1)
    assert os.stat(mount.path(".esfs/errors.ndjson")).st_size < 8 << 20
    assert [int(e["commandid"]) for e in kept] == list(range(n - len(kept), n))


@pytest.mark.timeout(120)
def test_memory_stays_bounded_however_often_it_is_eaten(villain):
    accepted(villain, "order", "Good", aggregate="1")
    names = [n for n in HANDLERS if "memory" in n or "string" in n or "1 GB" in n or "deep" in n]
    assert len(names) >= 4
    peak = 0
    for _ in range(lib.size(8, 2)):
        for name in names:
            refused(villain, "order/1", f"H{list(HANDLERS).index(name)}", {}, "EIO")
            peak = max(peak, resident_mb(villain))
    if lib.SLOW == 1:
        assert peak < 400, f"{peak} MB"


@pytest.mark.timeout(120)
def test_others_wait_no_longer_than_the_limit_of_a_handler(villain):
    """One sends nothing but loops; another one's commands get through, each after one such loop or two."""
    accepted(villain, "order", "Good", aggregate="1")
    loop = f"H{list(HANDLERS).index('loops')}"
    began = time.monotonic()
    refused(villain, "order/1", loop, {}, "EIO")
    alone = time.monotonic() - began
    stop, loops = threading.Event(), [0]

    def looping():
        while not stop.is_set():
            refused(villain, "order/1", loop, {}, "EIO")
            loops[0] += 1
    bad = threading.Thread(target=looping)
    bad.start()
    waits = []
    try:
        end = time.monotonic() + lib.limit(4)
        while time.monotonic() < end:
            before = loops[0]
            accepted(villain, "order", "Good", aggregate="2")
            waits.append(loops[0] - before)
    finally:
        stop.set()
        bad.join()
    print(f"a loop alone {alone:.3f} s; {loops[0]} loops, {len(waits)} commands, longest wait {max(waits)} loops")
    assert loops[0] >= 3 and len(waits) >= 3
    assert alone < lib.limit(1.5), "the limit of one call"
    assert max(waits) <= 3, "the one under way, the one that was queued before it, and one that is counted late"
    assert villain.version("order/2") >= len(waits)


@pytest.mark.timeout(120)
def test_others_do_not_wait_for_all_that_a_slow_one_has_sent(daemons, place):
    """A write full of commands that take their time: between them others get their turn."""
    mount = started(daemons, place, files={"aggregates/order.lua": order("E = {}", """
        Slow = { decide = function() for i = 1, 3000000 do end return event("E", {}) end },
        Good = { decide = function() return event("E", {}) end }""")})
    mount.make("order/1", "order/2")
    n = lib.size(100, 30)
    writer = threading.Thread(target=lambda: mount.append("order/1", *[{"type": "Slow"}] * n))
    began = time.monotonic()
    writer.start()
    waits = []
    while writer.is_alive():
        at = time.monotonic()
        accepted(mount, "order/2", "Good")
        waits.append(time.monotonic() - at)
    writer.join()
    took = time.monotonic() - began
    print(f"{n} slow commands took {took:.3f} s; {len(waits)} others, longest wait {max(waits):.3f} s")
    assert took > 0.3 and mount.version("order/1") == n
    assert max(waits) < took / 4


def test_reads_do_not_wait_for_a_looping_decider(villain):
    accepted(villain, "order", "Good", aggregate="1")
    loop = f"H{list(HANDLERS).index('loops')}"
    done = threading.Event()

    def looping():
        for _ in range(5):
            refused(villain, "order/1", loop, {}, "EIO")
        done.set()
    bad = threading.Thread(target=looping)
    began = time.monotonic()
    bad.start()
    reads = 0
    while not done.is_set():
        villain.read("order/1/events.ndjson")
        assert state(villain, "order/1")["n"] > 0
        reads += 1
    bad.join()
    print(f"{reads} reads in {time.monotonic() - began:.3f} s")
    assert reads > 25, "they would be five if each waited for a loop"


@pytest.mark.parametrize("body,words", [
    ("while true do end", "instructions"), ("error('no')", "no"), ("s.t = {} s.t.t = s", ""),
    ("s.f = function() end", ""), ("local t = {} while true do t[#t + 1] = ('x'):rep(1 << 20) .. #t end", "memory"),
    ("s.n = 0 / 0", "n"),
], ids=["loops", "fails", "cycle", "function", "memory", "nan"])
def test_an_evolve_that_fails_refuses_the_command(daemons, place, body, words):
    mount = started(daemons, place, files={"aggregates/order.lua": order(
        f"E = {{ evolve = function(s, e) s.n = (s.n or 0) + 1 if e.data.bad then {body} end end }}",
        "Do = { decide = function(_, cmd) return event('E', cmd.data) end }")})
    accepted(mount, "order", "Do", {}, aggregate="1")
    result = refused(mount, "order/1", "Do", {"bad": True}, "EIO")
    assert words in result["detail"], result
    told = last_error(mount)
    assert "evolve" in told["what"] and told["command"] == "Do", told
    assert mount.version("order/1") == 1 and state(mount, "order/1") == {"n": 1}
    accepted(mount, "order/1", "Do", {})
    assert state(mount, "order/1") == {"n": 2}
    mount.crash()
    assert state(mount, "order/1") == {"n": 2}


def test_an_initial_that_fails_harms_its_type_only(daemons, place):
    mount = started(daemons, place, files={
        "aggregates/bad.lua": order("E = {}", "Do = { decide = function() return event('E', {}) end }",
                                    "initial = function(id) if id == 'x' then error('no x') end return {} end,"),
        "aggregates/good.lua": order("E = {}", "Do = { decide = function() return event('E', {}) end }")})
    assert "no x" in refused(mount, "bad", "Do", errno="EIO", aggregate="x")["detail"]
    accepted(mount, "bad", "Do", aggregate="y")
    accepted(mount, "good", "Do", aggregate="x")
    os.mkdir(mount.path("bad/x"))
    assert lib.error_of(lambda: open(mount.path("bad/x/views/state.json")).read()) == "EIO"
    assert state(mount, "bad/y") == {} and mount.version("bad/x") == 0


def test_handlers_cannot_reach_each_other(daemons, place):
    """Neither through globals nor through libraries, their own or the standard one's, nor through what their file
    holds: the same command gives the same event, however often it comes."""
    mount = started(daemons, place, files={
        "lib/shared.lua": "return { n = 0, list = {} }",
        **{f"aggregates/{kind}.lua": 'local shared = require("shared")\nlocal seen = {}\n' + order(
            "E = {}", """
            Count = { decide = function() shared.n = shared.n + 1 return event('E', { n = shared.n }) end },
            Table = { decide = function()
              seen.n = (seen.n or 0) + 1
              return event('E', { n = seen.n }) end },
            Global = { decide = function() x = 1 return event('E', {}) end },
            Library = { decide = function() string.x = 1 return event('E', {}) end },
            Mine = { decide = function() string.upper = nil return event('E', { s = ('x'):upper() }) end },
            Read = { decide = function()
              return event('E', { s = ('x'):upper(), x = x ~= nil, y = string.x ~= nil }) end }
            """) for kind in "ab"}})
    for kind in "ab":
        for command in ("Count", "Global", "Library", "Mine"):
            lib_domain.send(mount, kind, command, {}, aggregate="1")
        accepted(mount, kind, "Read", {}, aggregate="1")
        assert mount.events(f"{kind}/1")[-1]["data"] == {"s": "X", "x": False, "y": False}
    for command in ("Count", "Table"):
        told = []
        for _ in range(3):
            if lib_domain.send(mount, "a", command, {}, aggregate="2")["status"] == "appended":
                told.append(mount.events("a/2")[-1]["data"]["n"])
        assert set(told) <= {1}, f"{command}: it outlives a call"


# --- schemas that are bombs

BOMBS = {
    "a $ref to itself": ({"$ref": "#"}, [{}, {"a": 1}]),
    "a loop of $refs": ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, [{}]),
    "a tree of $refs that doubles": (
        {"$defs": {**{f"d{i}": {"allOf": [{"$ref": f"#/$defs/d{i + 1}"}] * 2} for i in range(60)}, "d60": {}},
         "$ref": "#/$defs/d0"}, [{}]),
    "deep data": ({"$defs": {"n": {"properties": {"n": {"$ref": "#/$defs/n"}}}}, "$ref": "#/$defs/n"}, ["deep"]),
    "a huge minLength": ({"properties": {"a": {"minLength": 1 << 62, "maxLength": 10**40}}}, [{"a": "x"}]),
    "an exponential regex": ({"properties": {"a": {"pattern": "^(a+)+$"}}}, [{"a": "a" * 40 + "b"}]),
    "another": ({"properties": {"a": {"pattern": "^(([a-z])+.)+[A-Z]([a-z])+$"}}}, [{"a": "a" * 60}]),
    "a huge repeat": ({"properties": {"a": {"pattern": "^(a{1,60000}){1,60000}$"}}}, [{"a": "a" * 1000}]),
    "unique items by the thousand": ({"properties": {"a": {"uniqueItems": True}}}, [{"a": "many"}]),
    "a small multipleOf": ({"properties": {"a": {"multipleOf": 1e-300}}}, [{"a": 1e300}]),
    "a long enum": ({"properties": {"a": {"enum": list(range(20000))}}}, [{"a": "x"}]),
}


@pytest.mark.parametrize("name", BOMBS, ids=lambda name: name.replace(" ", "-"))
def test_schema_bombs_are_refused_or_end_soon(daemons, place, name):
    """Either the domain is not loaded, naming the file, or a command is answered, yes or no, in a moment."""
    schema, values = BOMBS[name]
    files = {"aggregates/order.lua": order(
                 "E = {}", 'Do = { schema = "Do.1", decide = function() return event("E", {}) end }'),
             "schemas/order/commands/Do.1.json": schema}
    mount = prepared(daemons, place, files=GOOD).start()
    for path, content in files.items():
        mount.domain.put(path, content)
    mount.domain.remove("schemas/order/E.1.json")
    mount.domain.edit("aggregates/order.lua", "E = {}", "E = { retired = true }, F = {}")
    mount.domain.edit("aggregates/order.lua", 'event("E", {})', 'event("F", {})')
    began = time.monotonic()
    answer = reload(mount)
    assert time.monotonic() - began < lib.limit(5)
    if answer is not None:
        told = last_error(mount)
        assert answer == "EINVAL" and "schemas/order/commands/Do.1.json" in told["error"], told
    mount.make("order/1")
    for value in values:
        data = value
        if value == "deep":
            data = {}
            for _ in range(400):
                data = {"n": data}
        elif value == {"a": "many"}:
            data = {"a": [[i] for i in range(20_000)]}
        began = time.monotonic()
        with mount.commands("order/1") as c:
            result = c.ask(line({"type": "Do", "data": data}))
        assert time.monotonic() - began < lib.limit(3), result["detail"]
        assert result["status"] == "appended" or result["errno"] in ("EINVAL", "EIO", "EBADMSG"), result
    assert mount.alive() and (lib.SLOW > 1 or resident_mb(mount) < 300)


def test_what_a_bomb_does_to_other_commands_is_nothing(daemons, place):
    mount = started(daemons, place, files={
        "aggregates/order.lua": order("E = {}",
                                      'Do = { schema = "Do.1", decide = function() return event("E", {}) end },'
                                      'Good = { decide = function() return event("E", {}) end }'),
        "schemas/order/commands/Do.1.json": {"properties": {"a": {"pattern": "^(a+)+$"}}}})
    mount.make("order/1", "order/2")
    stop = threading.Event()

    def bombs():
        while not stop.is_set():
            lib_domain.send(mount, "order/1", "Do", {"a": "a" * 40 + "b"})
    threads = [threading.Thread(target=bombs) for _ in range(2)]
    for t in threads:
        t.start()
    try:
        waits = []
        for _ in range(20):
            at = time.monotonic()
            accepted(mount, "order/2", "Good")
            waits.append(time.monotonic() - at)
    finally:
        stop.set()
        for t in threads:
            t.join()
    assert max(waits) < lib.limit(1), waits
