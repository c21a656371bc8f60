"""`esfsctl test` and kafka.lua: expect_published, what it says when it does not hold, and what a kafka.lua that fails on
an event does to the test."""

import os

import pytest

import lib
from lib_domain import TestedDomain

ORDER = """local function same(name) return { decide = function(_, cmd) return event(name, cmd.data) end } end
return {
  commands = { Place = same("Placed"), Pay = same("Paid"), Keep = same("Kept"),
    Refuse = { decide = function() reject("no") end } },
  events = { Placed = {}, Paid = {}, Kept = {} },
}
"""

KAFKA = """local function total(data)
  if not data.net then error("no net") end
  return { total = data.net + data.tax }
end
return {
  on = {
    Placed = function(data)
      local lines = {}
      for i, sku in ipairs(data.lines) do lines[i] = event("Line", { sku = sku }) end
      return #lines > 0 and lines or drop
    end,
    Paid = function(data)
      local sum = total(data)
      return sum
    end,
    Noted = true,
  },
}
"""

HELPER = 'local function pay(id, data) when { aggregate = "order/" .. id, type = "Pay", data = data } end\n'


@pytest.fixture
def orders(place):
    return TestedDomain(os.path.join(place, "orders"), HELPER, {
        "aggregates/order.lua": ORDER, "aggregates/no-te.lua": 'return { events = { Noted = {} } }', "kafka.lua": KAFKA})


def test_what_is_published(orders):
    done = orders.tests("""
  expect_published {}
  given { ["no-te/x"] = { event("Noted", { n = 1.50 }) }, ["order/1"] = { event("Kept") } }
  expect_published { { topic = "esfs.no--te", key = "x", value = { n = decimal("1.5") } } }
  given { ["order/1"] = { event("Placed", { lines = { "mug", "pen" } }), event("Placed", { lines = array{} }) } }
  expect_published { event("Line", { sku = "mug" }), event("Line", { sku = "pen" }) }
  when { aggregate = "order/2", type = "Pay", id = "c-1", data = { net = 5, tax = 1 }, meta = { tenant = "acme" },
         time = "2026-11-22T23:00:00Z" }
  expect { event("Paid", { net = 5, tax = 1 }) }
  expect_published {
    { topic = "esfs.order", key = "2", value = { total = 6 },
      headers = {
        ce_specversion = "1.0", ce_type = "Paid", ce_source = "/order/2", ce_subject = "2", ce_version = "1",
        ce_sequence = "0000000001", ce_position = "0000000000000005", ce_time = "2026-11-22T23:00:00.000000Z",
        ce_commandid = "c-1", ce_correlationid = "c-1", ce_causationid = "c-1", ce_uid = "0", ce_tenant = "acme",
        ce_partitionkey = "2", ["content-type"] = "application/json", ce_dataschema = null, ce_traceparent = null,
      } },
  }
  expect_published { {} }
  when { { aggregate = "order/1", type = "Place", data = { lines = { "cup" } } },
         { aggregate = "order/3", type = "Pay", data = { net = 1, tax = 0 } } }
  expect_published { event("Line", { sku = "cup" }), { key = "3" } }
  when { aggregate = "order/1", type = "Refuse" }
  expect_rejected "no"
  expect_published {}
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_given_events_that_wait_for_their_command_are_not_of_it(orders):
    done = orders.tests("""
  given { event("Placed", { lines = { "mug" } }) }
  pay(1, { net = 1, tax = 1 })
  expect_published { event("Paid", { total = 2 }) }
""")
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_a_domain_without_a_kafka_lua_publishes_all_as_it_is(orders):
    orders.remove("kafka.lua")
    done = orders.tests('given { ["order/1"] = { event("Kept", { n = 1 }), event("Placed") } }\n'
                        'expect_published { event("Kept", { n = 1 }), event("Placed") }')
    assert (done.rc, done.out) == (0, "1 passed, 0 failed\n"), done


def test_what_differs_is_shown_line_by_line(orders):
    out = orders.says('pay(1, { net = 5, tax = 1 })\n'
                      'expect_published { { key = "1", headers = { ce_type = "Paid", ce_uid = null }, '
                      'value = { total = 5 } } }')
    assert out == ("tests/t.lua:4: a test\n"
                   "  the messages differ (- expected, + got)\n"
                   "    [\n"
                   "      {\n"
                   '        "key": "1",\n'
                   '        "headers": {\n'
                   '          "ce_type": "Paid",\n'
                   '  -       "ce_uid": null\n'
                   '  +       "ce_uid": "0"\n'
                   "        },\n"
                   '        "value": {\n'
                   '  -       "total": 5\n'
                   '  +       "total": 6\n'
                   "        }\n"
                   "      }\n"
                   "    ]\n"
                   "\n"
                   "0 passed, 1 failed\n"), out
    paid = 'pay(1, { net = 5, tax = 1 }) '
    orders.says(paid + "expect_published {}", '  +     "topic": "esfs.order",\n', '  +     "key": "1",\n',
                '  +       "ce_type": "Paid"\n', '  +       "total": 6\n')
    orders.says(paid + 'expect_published { event("Paid", { total = 6 }), event("Paid", { total = 7 }) }',
                '  -       "ce_type": "Paid"\n', '  -       "total": 7\n')
    orders.says(paid + 'expect_published { { topic = "esfs.orders", headers = { ce_no = "x" } } }',
                '  -     "topic": "esfs.orders"', '  +     "topic": "esfs.order"', '  -       "ce_no": "x"\n')


def test_expectations_that_make_no_sense(orders):
    given = 'given { ["order/1"] = { event("Kept") } } '
    example = 'event(type, data), or { topic = "esfs.order", key = "1", '
    said = [
        ('expect_published { topic = "esfs.order" }', "expect_published takes a list of messages: { { topic = "),
        ("expect_published()", "expect_published takes a list of messages"),
        ("expect_published { 7 }", "a message is " + example),
        ('expect_published { event("Kept"), key = "1" }', "what is published is a list, and key in it"),
        ("expect_published { { topic = 7 } }", ": topic\n"),
        ('expect_published { { data = {} } }', ": data\n"),
        ("expect_published { { 7 } }", "a message is " + example),
        ("expect_published { { headers = { ce_version = 1 } } }", ": ce_version is no text, nor null for none\n"),
        ("expect_published { { value = test } }", "a function cannot be in JSON"),
        ('expect_published { event("Paid", {}, 1) }', "compares types and data of events: event(type, data)"),
        ('given { event("Kept") } expect_published {}', "of no aggregate yet"),
        (given + 'when { aggregate = "order/1", type = "Dance" } expect_published {}', "refused with EINVAL"),
    ]
    for text, words in said:
        orders.says(text, "tests/t.lua:3: a test\n", words)
    orders.says("", "expect_published belongs into a test", helper="expect_published {}\n")


def test_a_kafka_lua_that_fails_on_an_event_fails_the_test(orders):
    """Whether or not the test speaks of what is published."""
    out = orders.says("pay(1, { net = 1, tax = 1 }) expect {event('Paid', { net = 1, tax = 1 })}\n"
                      "pay(1, { tax = 1 }) expect {}",
                      "tests/t.lua:1: a test\n  kafka.lua cannot make messages of Paid, event 2 of order/1: "
                      "kafka.lua:2: no net\n", "    kafka.lua:13: in ", "called at tests/t.lua:4")
    assert out.count("cannot make messages") == 1, out
    orders.says("given { ['order/1'] = { event('Paid', {}) } } expect_published {}",
                "tests/t.lua:3: a test\n  kafka.lua cannot make messages of Paid, event 1 of order/1: kafka.lua:2: ")
    orders.says("pcall(pay, 1, {}) expect_published {}", "kafka.lua:2: no net\n")
    orders.edit("kafka.lua", "local sum = total(data)", "local sum = event('a/b')")
    orders.says("pay(1, {}) expect {}", "event 1 of order/1: kafka.lua: the type of a message has a slash\n")
    orders.edit("kafka.lua", "local sum = event('a/b')", "while true do end")
    orders.says("pay(1, {}) expect {}", "event 1 of order/1: kafka.lua:13: ", "instructions")


def test_a_kafka_lua_that_is_broken_runs_no_tests(orders):
    orders.edit("kafka.lua", "Paid = function", "Payd = function")
    done = orders.tests("expect_published {}")
    assert (done.rc, done.out) == (1, ""), done
    assert done.err == ("esfsctl test: kafka.lua: on.Payd: no type that it follows declares this event, did you mean "
                        "Paid?\n")
