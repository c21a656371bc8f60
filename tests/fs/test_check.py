"""`esfsctl check DIR`: what is refused is said on stderr, what looks forgotten on stdout, and the exit status tells."""

import pytest

import lib

ORDER = """return {
  commands = { Place = { schema = "Place.1", decide = function(_, cmd) return event("Placed", cmd.data) end } },
  events = { Placed = { evolve = function(order, e) order.total = e.data.total end } },
}
"""


def domain(path):
    (path / "aggregates").mkdir()
    (path / "aggregates/order.lua").write_text(ORDER)
    (path / "schemas/order/commands").mkdir(parents=True)
    (path / "schemas/order/commands/Place.1.json").write_text('{"type": "object"}')
    (path / "README.md").write_text("A domain.")
    return path


def check(*arguments):
    return lib.run([lib.esfsctl(), "check", *map(str, arguments)], timeout=60)


def test_a_sound_domain(tmp_path):
    done = check(domain(tmp_path))
    assert done.rc == 0, done
    assert done.out == (f"{tmp_path}: sound: types: 1, commands: 1, events: 1, schemas: 1, views: 0, queries: 0, "
                        "rules of kafka.lua: 0\n")
    assert done.err == ""


def test_kafka_lua_is_read_and_counted(tmp_path):
    domain(tmp_path)
    (tmp_path / "kafka.lua").write_text('return { on = { Placed = function(data) return data end, ["*"] = false } }')
    done = check(tmp_path)
    assert (done.rc, done.err) == (0, ""), done
    assert done.out.endswith(", queries: 0, rules of kafka.lua: 2\n"), done
    (tmp_path / "kafka.lua").write_text("return {}")
    assert check(tmp_path).out.endswith(", rules of kafka.lua: 1\n"), "that is all events as they are"


@pytest.mark.parametrize("text, says", [
    ("return {\n  on =\n}", "kafka.lua:3: unexpected symbol near '}'"),
    ("return 7", "kafka.lua: "),
    ("return { form = {} }", "kafka.lua: form: unknown member, did you mean from?"),
    ('return { from = { "ordre" } }', "kafka.lua: from: there is no type ordre, did you mean order?"),
    ("return { on = { Paid = true } }", "kafka.lua: on.Paid: no type that it follows declares this event"),
    ("return { on = { Placed = 1 } }", "kafka.lua: on.Placed: must be true, false, or a function(data, e)"),
    ('local n = 0\nreturn { on = { Placed = function(data) n = n + 1 return data end } }', "kafka.lua:2: "),
    ('return require "words"', "kafka.lua:1: "),
])
def test_a_kafka_lua_that_is_broken_is_refused(tmp_path, text, says):
    (domain(tmp_path) / "kafka.lua").write_text(text)
    done = check(tmp_path)
    assert (done.rc, done.out) == (1, ""), done
    assert done.err.startswith(f"esfsctl check: {says}"), done


def test_a_kafka_lua_that_publishes_nothing_looks_forgotten(tmp_path):
    (domain(tmp_path) / "kafka.lua").write_text("return { on = { Placed = false } }")
    done = check(tmp_path)
    assert (done.rc, done.err) == (1, ""), done
    assert done.out == "kafka.lua: on: all that it names is false: nothing will ever be published\n"


def test_what_looks_forgotten_is_listed(tmp_path):
    domain(tmp_path)
    (tmp_path / "lib").mkdir()
    (tmp_path / "lib/alone.lua").write_text("return 1")
    (tmp_path / "schemas/order/Shipped.1.json").write_text("{}")
    done = check(tmp_path)
    assert done.rc == 1, done
    assert done.out.splitlines() == [
        "schemas/order/Shipped.1.json: a schema without an event: aggregates/order.lua declares no Shipped",
        "lib/alone.lua: a library that nobody requires",
    ]
    assert done.err == ""


def test_versions_that_are_not_compatible(tmp_path):
    domain(tmp_path)
    (tmp_path / "schemas/order/Placed.1.json").write_text('{"required": ["total"]}')
    (tmp_path / "schemas/order/Placed.2.json").write_text('{"required": ["sum"]}')
    named = ORDER.replace("Placed = { ", 'Placed = { schema = "Placed.2", ')
    (tmp_path / "aggregates/order.lua").write_text(named)
    done = check(tmp_path)
    assert done.rc == 1, done
    assert done.out.startswith("order/Placed: version 2 cannot be proven compatible with version 1 (")
    (tmp_path / "aggregates/order.lua").write_text(
        named.replace("Placed = { ", "Placed = { upcast = { [1] = function(data) return data end }, "))
    assert check(tmp_path).rc == 0


def test_what_cannot_be_loaded_is_refused(tmp_path):
    domain(tmp_path)
    (tmp_path / "aggregates/order.lua").write_text("return {\n  commands = \n}")
    done = check(tmp_path)
    assert done.rc == 1, done
    assert done.out == ""
    assert done.err.startswith("esfsctl check: aggregates/order.lua:3: ")


def test_command_lines(tmp_path):
    assert check().rc == 2
    assert check("--help").rc == 2
    assert check(tmp_path, tmp_path).rc == 2
    done = check(tmp_path / "nowhere")
    assert done.rc == 1
    assert "No such file or directory" in done.err
