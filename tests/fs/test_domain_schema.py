"""Schemas of commands and events, their versions, the registry in the mount, and what stream.ndjson makes of events
that were written under an older version."""

import json
import os
import stat
from urllib.parse import unquote

import pytest

import lib
import lib_domain
from lib_domain import accepted, refused, reload, started, state, stream

SEEN = "evolve = function(s, e) s.seen[#s.seen + 1] = { e.type, e.data } end"
EMIT = 'Emit = { decide = function(_, cmd) return event(cmd.data.e, cmd.data.d) end }'


def definition(**events):
    """order.lua with events whose definitions are given as text; each is kept in the state."""
    text = ",\n    ".join(f"{name} = {{ {body}{', ' if body else ''}{SEEN if 'retired' not in body else ''} }}"
                         for name, body in events.items())
    return ("return {\n  initial = function() return { seen = array {} } end,\n"
            f"  events = {{\n    {text}\n  }},\n  commands = {{ {EMIT} }},\n}}\n")


@pytest.fixture
def shop(daemons, place):
    """A type `order` whose only event, E, has one version of a schema: n is an integer, and required."""
    return started(daemons, place, files={
        "aggregates/order.lua": definition(E='schema = "E.1"'),
        "schemas/order/E.1.json": {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}},
    })


def emit(mount, name, event, data):
    return accepted(mount, "order", "Emit", {"e": event, "d": data}, aggregate=name)


def change(mount, schemas=None, **events):
    """Another definition of the events, and more schemas; then a reload: None or an errno."""
    mount.domain.put("aggregates/order.lua", definition(**events))
    for name, schema in (schemas or {}).items():
        mount.domain.put(f"schemas/order/{name}.json", schema)
    return reload(mount)


def why(mount):
    return lib_domain.last_error(mount)["error"]


def seen(mount, name, when=None):
    return state(mount, f"order/{name}", when)["seen"]


# --- violations

VIOLATIONS = [
    ({"required": ["a"]}, {}, "", "required"),
    ({"properties": {"a": {"type": "integer"}}}, {"a": "1"}, "/a", "type"),
    ({"properties": {"a": {"items": {"properties": {"b": {"minLength": 2}}}}}}, {"a": [{"b": "xx"}, {"b": "x"}]},
     "/a/1/b", "minLength"),
    ({"properties": {"a/b": {"properties": {"m~n": {"maximum": 3}}}}}, {"a/b": {"m~n": 4}}, "/a~1b/m~0n", "maximum"),
    ({"additionalProperties": False}, {"x": 1}, "", "additionalProperties"),
    ({"properties": {"a": {"enum": ["x", "y"]}}}, {"a": "z"}, "/a", "enum"),
    ({"properties": {"a": {"pattern": "^[A-Z]{3}$"}}}, {"a": "eur"}, "/a", "pattern"),
    ({"$defs": {"money": {"multipleOf": 0.01}}, "properties": {"a": {"$ref": "#/$defs/money"}}}, {"a": 0.125}, "/a",
     "multipleOf"),
    ({"properties": {"a": {"oneOf": [{"type": "integer"}, {"minimum": 2}]}}}, {"a": 3}, "/a", "oneOf"),
    ({"properties": {"a": {"uniqueItems": True}}}, {"a": [1, 2, 1.0]}, "/a", "uniqueItems"),
    ({"properties": {"a": {"const": None}}}, {"a": 0}, "/a", "const"),
    ({"$schema": "http://json-schema.org/draft-07/schema#", "dependencies": {"a": ["b"]}}, {"a": 1}, "",
     "dependencies"),
    ({"allOf": [{"properties": {"a": True}}], "unevaluatedProperties": False}, {"b": 1}, "", "unevaluatedProperties"),
]


@pytest.mark.parametrize("case", range(len(VIOLATIONS)))
def test_violations_name_the_path_and_the_keyword(daemons, place, case):
    schema, data, path, keyword = VIOLATIONS[case]
    mount = started(daemons, place, files={
        "aggregates/order.lua": lib_domain.order(
            'E = { schema = "E.1" }',
            'Ask = { schema = "Ask.1", decide = function() return event("E", {}) end },'
            'Emit = { decide = function(_, cmd) return event("E", cmd.data) end }'),
        "schemas/order/E.1.json": schema, "schemas/order/commands/Ask.1.json": schema})
    mount.make("order/1")
    result = refused(mount, "order/1", "Ask", data, "EINVAL")
    assert result["error"] == "invalid" and keyword in result["detail"], result
    assert f"data{path} " in result["detail"] or f"data{path}/" in result["detail"], result
    assert mount.rejections("order")[-1]["detail"] == result["detail"]
    result = refused(mount, "order/1", "Emit", data, "EIO")
    assert keyword in result["detail"] and path in result["detail"] and "E" in result["detail"], result
    told = lib_domain.last_error(mount)
    assert keyword in told["error"] and path in told["error"] and told["command"] == "Emit", told
    assert mount.version("order/1") == 0


def test_a_command_is_checked_before_its_version_and_its_decider(daemons, place):
    bank = started(daemons, place, "bank")
    refused(bank, "account", "Open", {"owner": ""}, "EINVAL", aggregate="a", expectedVersion=7)
    lib_domain.opened(bank, "a")
    result = refused(bank, "account/a", "Open", {"owner": "x", "more": 1}, "EINVAL")
    assert "more" in result["detail"] or "additionalProperties" in result["detail"]
    refused(bank, "account/a", "Deposit", {"amount": 1.5}, "EINVAL")
    accepted(bank, "account/a", "Deposit", {"amount": 2.0})
    assert bank.fails("""echo '{"type":"Deposit","data":{"amount":0}}' > account/a/commands""", "Invalid argument")


def test_format_is_an_assertion_by_option_only(daemons, place):
    files = {"aggregates/order.lua": lib_domain.order("E = {}",
                                                      'At = { schema = "At.1", decide = function() end }'),
             "schemas/order/commands/At.1.json": {"properties": {"on": {"format": "date"}}}}
    mount = started(daemons, place, files=files)
    accepted(mount, "order", "At", {"on": "tomorrow"}, aggregate="1")
    mount.options.append("assert_format")
    mount.restart()
    assert "/on" in refused(mount, "order", "At", {"on": "tomorrow"}, "EINVAL", aggregate="1")["detail"]
    accepted(mount, "order", "At", {"on": "2026-11-22"}, aggregate="1")


# --- the registry

def test_schemas_can_be_read_where_events_say_they_are(shop):
    emit(shop, "1", "E", {"n": 1})
    e = shop.events("order/1")[0]
    assert e["dataschema"] == "/schemas/order/E/1"
    path = shop.path(e["dataschema"].lstrip("/") + ".json")
    assert json.load(open(path)) == json.loads(shop.domain.get("schemas/order/E.1.json"))
    st = os.stat(path)
    assert st.st_size == len(open(path, "rb").read()) and stat.S_IMODE(st.st_mode) & 0o222 == 0
    assert shop.ok("find schemas -type f") == "schemas/order/E/1.json"
    for refusal in (lambda: os.unlink(path), lambda: os.open(path, os.O_WRONLY),
                    lambda: os.mkdir(shop.path("schemas/x")), lambda: os.rename(path, path + "x"),
                    lambda: os.rmdir(shop.path("schemas/order"))):
        assert lib.error_of(refusal) in ("EPERM", "EACCES", "EROFS")


def test_every_version_ever_loaded_is_kept(shop):
    two = {"type": "object", "properties": {"n": {"type": "integer"}}}
    assert change(shop, {"E.2": two, "commands/Emit.1": {"type": "object"}}, E='schema = "E.2"') is not None, \
        "a command's schema that nothing names"
    shop.domain.remove("schemas/order/commands/Emit.1.json")
    assert reload(shop) is None
    shop.domain.remove("schemas/order/E.1.json")
    assert reload(shop) is None, "it is in the store, and the new one is compatible with it"
    expected = "schemas/order/E/1.json\nschemas/order/E/2.json"
    assert shop.ok("find schemas -type f | sort") == expected
    shop.crash()
    assert shop.ok("find schemas -type f | sort") == expected
    shop.stop()
    assert shop.rebuild().rc == 0
    shop.options = []
    shop.start()
    assert shop.ok("find schemas -type f | sort") == expected
    assert json.loads(shop.read("schemas/order/E/2.json")) == two


def test_a_stored_version_keeps_its_text(shop):
    text = shop.domain.get("schemas/order/E.1.json")
    shop.domain.put("schemas/order/E.1.json", {"type": "object"})
    assert reload(shop) == "EINVAL"
    assert "schemas/order/E.1.json" in why(shop) and "version" in why(shop)
    emit(shop, "1", "E", {"n": 1})
    refused(shop, "order/1", "Emit", {"e": "E", "d": {}}, "EIO")
    shop.stop()
    assert "schemas/order/E.1.json" in shop.refused().err
    shop.domain.put("schemas/order/E.1.json", text.replace(",", " ,\n"))  # white space is no meaning
    shop.start()
    assert shop.version("order/1") == 1


def test_a_domain_that_was_refused_leaves_no_schemas(shop):
    bad = {"F.1": {"type": "object"}, "E.2": {"type": "object", "required": ["n", "m"]}}
    assert change(shop, bad, E='schema = "E.2"', F='schema = "F.1"') == "EINVAL"
    assert shop.ok("find schemas -type f") == "schemas/order/E/1.json"


def test_names_that_must_be_escaped_lead_to_their_schema(daemons, place):
    kind, event = "bestellung ü", "Größe 100%"
    mount = started(daemons, place, files={
        f"aggregates/{kind}.lua": lib_domain.order(f'["{event}"] = {{ schema = "{event}.1" }}',
                                                   f'Do = {{ decide = function() return event("{event}", {{}}) end }}'),
        f"schemas/{kind}/{event}.1.json": {"type": "object"}})
    accepted(mount, "", "Do", {}, aggregate=f"{kind}/1")
    told = mount.events(f"{kind}/1")[0]["dataschema"]
    assert told.isascii() and json.loads(mount.read(unquote(told).lstrip("/") + ".json")) == {"type": "object"}


# --- compatible or not

INCOMPATIBLE = [
    ({"type": "object", "required": ["n", "m"], "properties": {"n": {"type": "integer"}}}, "required"),
    ({"type": "object", "required": ["n"], "properties": {"n": {"type": "string"}}}, "type"),
    ({"type": "object", "required": ["n"], "properties": {"n": {"type": "integer", "maximum": 5}}}, "maximum"),
    ({"type": "object", "properties": {"n": {"type": "integer"}}, "additionalProperties": False},
     "additionalProperties"),
    ({"type": "object", "properties": {"n": {"enum": [1, 2]}}}, "enum"),
]


@pytest.mark.parametrize("case", range(len(INCOMPATIBLE)))
def test_an_incompatible_version_is_refused_with_the_rule(shop, case):
    schema, rule = INCOMPATIBLE[case]
    emit(shop, "1", "E", {"n": 77})
    assert change(shop, {"E.2": schema}, E='schema = "E.2"') == "EINVAL"
    assert "E" in why(shop) and "version 2" in why(shop) and rule in why(shop), why(shop)
    emit(shop, "1", "E", {"n": 78})
    assert shop.events("order/1")[-1]["dataschema"].endswith("/1"), "what ran before goes on"
    assert change(shop, E='schema = "E.2", compatible = true') == "EINVAL", "a reason is wanted"
    assert change(shop, E='schema = "E.2", compatible = true, reason = "no such data"') is None
    assert stream(shop, "order/1")[0]["data"] == {"n": 77}


def test_an_upcast_settles_it(shop):
    emit(shop, "1", "E", {"n": 77})
    schema = {"type": "object", "required": ["n", "m"]}
    assert change(shop, {"E.2": schema}, E='schema = "E.2", upcast = { [1] = function(d) d.m = d.n + 1 return d end }'
                  ) is None
    assert stream(shop, "order/1")[0]["data"] == {"n": 77, "m": 78}
    assert stream(shop, "order/1")[0]["dataschema"] == "/schemas/order/E/2"
    assert seen(shop, "1") == [["E", {"n": 77, "m": 78}]]


COMPATIBLE = [
    {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}, {"type": "object"}, {}, True,
    {"type": "object", "required": ["n"], "properties": {"n": {"type": ["integer", "string"]}, "n2": True}},
]


@pytest.mark.parametrize("case", range(len(COMPATIBLE)))
def test_a_compatible_version_needs_nothing(shop, case):
    emit(shop, "1", "E", {"n": 77})
    assert change(shop, {"E.2": COMPATIBLE[case]}, E='schema = "E.2"') is None, why(shop)
    emit(shop, "1", "E", {"n": 78})
    assert [e["dataschema"][-1] for e in shop.events("order/1")] == ["1", "2"]
    assert [(e["dataschema"][-1], e["data"]) for e in stream(shop, "order/1")] == [("2", {"n": 77}), ("2", {"n": 78})]


def test_versions_never_go_back(shop):
    two = {"type": "object"}
    assert change(shop, {"E.2": two}, E='schema = "E.2"') is None
    shop.domain.remove("schemas/order/E.2.json")
    assert change(shop, E='schema = "E.1"') == "EINVAL" and "E" in why(shop) and "2" in why(shop)
    assert change(shop, E='') == "EINVAL"


# --- upcasts

def test_upcasts_run_in_chain_on_read(shop):
    emit(shop, "1", "E", {"n": 1})
    first = 'upcast = { [1] = function(d) d.two = d.n * 2 return d end }'
    any_object = {"type": "object"}
    assert change(shop, {"E.2": {"type": "object", "required": ["two"]}}, E=f'schema = "E.2", {first}') is None
    emit(shop, "1", "E", {"n": 2, "two": 22})
    both = ('upcast = { [1] = function(d) d.two = d.n * 2 return d end,'
            ' [2] = function(d, e) d.three = d.two + 1; d.version = e.version; d.type = e.type return d end }')
    assert change(shop, {"E.3": {"type": "object", "required": ["three"]}}, E=f'schema = "E.3", {both}') is None
    emit(shop, "1", "E", {"three": 33})
    original = [{"n": 1}, {"n": 2, "two": 22}, {"three": 33}]
    newest = [{"n": 1, "two": 2, "three": 3, "version": 1, "type": "E"},
              {"n": 2, "two": 22, "three": 23, "version": 2, "type": "E"}, {"three": 33}]

    def check():
        assert [e["data"] for e in shop.events("order/1")] == original
        assert [e["dataschema"] for e in shop.events("order/1")] == [f"/schemas/order/E/{n}" for n in (1, 2, 3)]
        for i, name in enumerate(shop.event_files("order/1")):
            assert shop.read("order/1/events", name) == shop.lines("order/1/events.ndjson")[i]
        assert [e["data"] for e in stream(shop, "order/1")] == newest
        assert {e["dataschema"] for e in stream(shop, "order/1")} == {"/schemas/order/E/3"}
        assert [e["data"] for e in stream(shop, "order/1", 2)] == newest[:2]
        assert [e["data"] for e in stream(shop, "order/1", "2..3")] == newest[1:]
        assert seen(shop, "1") == [["E", d] for d in newest] and seen(shop, "1", 1) == [["E", newest[0]]]
        for old, new in zip(shop.events("order/1"), stream(shop, "order/1")):
            assert {**old, "data": 0, "dataschema": 0} == {**new, "data": 0, "dataschema": 0}
        path = shop.path("order/1/stream.ndjson")
        assert os.stat(path).st_size == len(open(path, "rb").read())
    check()
    shop.crash()
    check()
    shop.stop()
    assert shop.rebuild().rc == 0
    shop.start()
    check()
    assert change(shop, {"E.4": any_object}, E=f'schema = "E.4", {both}') is None
    assert [e["data"] for e in stream(shop, "order/1")] == newest
    assert {e["dataschema"] for e in stream(shop, "order/1")} == {"/schemas/order/E/4"}


def test_an_upcast_may_rename_split_and_drop(shop):
    for n in range(6):
        emit(shop, "1", "E", {"n": n})
    before = shop.read("order/1/events.ndjson")
    upcast = """upcast = { [1] = function(d, e)
        if d.n == 0 then return drop end
        if d.n == 1 then return event("Renamed", { was = d.n }) end
        if d.n == 2 then
          return { event("Renamed", { was = "first" }), event("E", { n = 20 }), event("Renamed", {}) }
        end
        if d.n == 3 then return {} end
        if d.n == 4 then return drop end
        return d end }"""
    assert change(shop, {"E.2": {"type": "object"}, "Renamed.1": {"type": "object"}}, E=f'schema = "E.2", {upcast}',
                  Renamed='schema = "Renamed.1"') is None, why(shop)
    expected = [(2, "Renamed", {"was": 1}), (3, "Renamed", {"was": "first"}), (3, "E", {"n": 20}), (3, "Renamed", {}),
                (4, "E", {}), (6, "E", {"n": 5})]

    def check():
        found = [(e["version"], e["type"], e["data"]) for e in stream(shop, "order/1")]
        assert found == expected, found
        assert all(int(e["sequence"]) == e["version"] for e in stream(shop, "order/1"))
        assert {e["dataschema"] for e in stream(shop, "order/1")} == {"/schemas/order/E/2", "/schemas/order/Renamed/1"}
        assert seen(shop, "1") == [[kind, data] for _, kind, data in expected]
        assert seen(shop, "1", 1) == [] and len(seen(shop, "1", 3)) == 4
        assert len(stream(shop, "order/1", "3..3")) == 3 and stream(shop, "order/1", "5..5") == []
        assert shop.version("order/1") == 6 and shop.read("order/1/events.ndjson") == before
        path = shop.path("order/1/stream.ndjson")
        text = open(path, "rb").read()
        assert os.stat(path).st_size == len(text)
        fd = os.open(path, os.O_RDONLY)
        assert b"".join(os.pread(fd, 17, at) for at in range(0, len(text), 17)) == text
        os.close(fd)
    check()
    shop.crash()
    check()
    assert accepted(shop, "order/1", "Emit", {"e": "Renamed", "d": {}})["version"] == 7


def test_a_retired_event_is_kept_and_passed_over(shop):
    emit(shop, "1", "E", {"n": 1})
    shop.domain.remove("schemas/order/E.1.json")
    assert change(shop, F="") == "EINVAL" and "E" in why(shop) and "retired" in why(shop)
    assert change(shop, E="retired = true", F="") is None
    emit(shop, "1", "F", {"x": 1})
    refused(shop, "order/1", "Emit", {"e": "E", "d": {"n": 1}}, "EIO")
    assert [e["type"] for e in shop.events("order/1")] == ["E", "F"]
    assert [e["type"] for e in stream(shop, "order/1")] == ["F"] and seen(shop, "1") == [["F", {"x": 1}]]
    assert shop.ok("cat schemas/order/E/1.json | wc -l") == "1"


def test_an_event_that_had_no_schema_may_get_one(daemons, place):
    shop = started(daemons, place, files={"aggregates/order.lua": definition(E="")})
    emit(shop, "1", "E", {"n": "7"})
    assert "dataschema" not in shop.events("order/1")[0]
    schema = {"E.1": {"type": "object", "properties": {"n": {"type": "integer"}}}}
    assert change(shop, schema, E='schema = "E.1"') == "EINVAL" and "upcast[0]" in why(shop)
    upcast = "upcast = { [0] = function(d) d.n = math.tointeger(d.n) return d end }"
    assert change(shop, E=f'schema = "E.1", {upcast}') is None
    assert stream(shop, "order/1")[0]["data"] == {"n": 7}
    assert stream(shop, "order/1")[0]["dataschema"] == "/schemas/order/E/1"


def test_a_gap_of_upcasts_is_refused(shop):
    emit(shop, "1", "E", {"n": 1})
    three = {"E.3": {"type": "object", "required": ["x"]}}
    assert change(shop, three, E='schema = "E.3"') == "EINVAL" and "upcast[1]" in why(shop), why(shop)
    one = "[1] = function(d) return d end"
    assert change(shop, E=f'schema = "E.3", upcast = {{ {one} }}') == "EINVAL" and "upcast[2]" in why(shop), why(shop)
    two = "[2] = function(d) d.x = 1 return d end"
    assert change(shop, E=f'schema = "E.3", upcast = {{ {two} }}') == "EINVAL" and "upcast[1]" in why(shop), why(shop)
    assert change(shop, E=f'schema = "E.3", upcast = {{ {one}, {two} }}') is None
    assert stream(shop, "order/1")[0]["data"] == {"n": 1, "x": 1}


def test_a_type_with_events_cannot_leave_the_domain(shop):
    emit(shop, "1", "E", {"n": 1})
    text = shop.domain.get("aggregates/order.lua")
    shop.domain.put("aggregates/other.lua", lib_domain.EMPTY)
    shop.domain.remove("aggregates/order.lua")
    shop.domain.remove("schemas/order/E.1.json")
    os.rmdir(os.path.join(shop.domain.path, "schemas/order"))
    assert reload(shop) == "EINVAL" and "order" in why(shop)
    shop.domain.put("aggregates/order.lua", text)
    shop.domain.put("schemas/order/E.1.json",
                    {"type": "object", "required": ["n"], "properties": {"n": {"type": "integer"}}})
    assert reload(shop) is None and os.path.isdir(shop.path("other"))


BROKEN = 'upcast = { [1] = function(d)\n  if d.n == 13 then error("no luck with " .. d.n) end\n  return d end }'


@pytest.mark.parametrize("upcast,words", [
    (BROKEN, ["no luck with 13", "order.lua"]),
    ('upcast = { [1] = function(d) if d.n == 13 then d.n = "x" end return d end }',
     ["the upcast's E violates schema 2 of its data: data/n is not a number (type)"]),
    ('upcast = { [1] = function(d) if d.n == 13 then return { m = d.n } end return d end }',
     ["the upcast's E violates schema 2 of its data: data lacks the member n (required)"]),
    ('upcast = { [1] = function(d) if d.n == 13 then return event("None", d) end return d end }', ["None"]),
    ('upcast = { [1] = function(d) if d.n == 13 then return 7 end return d end }', ["returned a number"]),
    ('upcast = { [1] = function(d) if d.n == 13 then while true do end end return d end }', ["order.lua"]),
], ids=["error", "violates", "lacks", "undeclared", "rubbish", "loops"])
def test_an_upcast_that_fails_harms_the_readers_of_its_aggregate_only(shop, upcast, words):
    for name in ("good", "bad", "other"):
        for n in (1, 2, 13 if name == "bad" else 3, 4):
            emit(shop, name, "E", {"n": n})
    logs = shop.read("log.ndjson")
    two = {"type": "object", "required": ["n"], "properties": {"n": {"type": "number"}}}
    assert change(shop, {"E.2": two}, E=f'schema = "E.2", {upcast}') is None, why(shop)

    def check():
        for name in ("stream.ndjson", "views/state.json", "at/3/state.json", "at/3/stream.ndjson", "at/4/state.json"):
            path = shop.path("order/bad", name)
            assert lib.error_of(lambda: open(path, "rb").read()) == "EIO", name
        assert all(word in why(shop) for word in [*words, "order/bad"]), why(shop)
        assert seen(shop, "bad", 2) == [["E", {"n": 1}], ["E", {"n": 2}]]
        assert [e["data"]["n"] for e in stream(shop, "order/bad", "1..2")] == [1, 2]
        for name in ("good", "other"):
            assert [e["data"]["n"] for e in stream(shop, f"order/{name}")][:4] == [1, 2, 3, 4]
            assert seen(shop, name)[:2] == [["E", {"n": 1}], ["E", {"n": 2}]]
        assert shop.read("log.ndjson").startswith(logs)
        assert [e["data"]["n"] for e in shop.events("order/bad")] == [1, 2, 13, 4]
        assert shop.ok("find . -type f | grep -c order/bad") == "9"
        shop.ok("ls -l order order/good/views; ls order/bad order/bad/views; ls -l order/bad/events")
        done = shop.sh("tar cf - --exclude=.esfs . | tar tf -")
        assert "order/bad/events.ndjson" in done.out and "order/other/views/state.json" in done.out
        shop.ok("tar cf /dev/null --exclude=bad --exclude=.esfs .")
        refused(shop, "order/bad", "Emit", {"e": "E", "d": {"n": 5}}, "EIO")
        assert shop.version("order/bad") == 4
    check()
    emit(shop, "good", "E", {"n": 5})
    shop.crash()
    check()
    assert change(shop, E='schema = "E.2"') is None
    assert [e["data"]["n"] for e in stream(shop, "order/bad")] == [1, 2, 13, 4]
    emit(shop, "bad", "E", {"n": 6})
