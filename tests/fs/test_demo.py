"""The shop of tools/demo/shop: it is sound, its tests are green and notice a broken rule, and it works on a mount. And
what `esfsctl test` says of tests that are wrong."""

import json
import os
import re
from collections import Counter
from random import Random

import pytest

import lib
from lib_domain import Domain, accepted, refused, state, stream
from lib_views import barrier, names, shown

SHOP = os.path.join(lib.ROOT, "tools", "demo", "shop")

COUNTER = """return {
  initial = function() return { n = 0 } end,
  unique = { name = function(c) return c.name end },
  commands = {
    Add = { decide = function(c, cmd)
      if c.n + cmd.data.n > 9 then reject("that is more than 9") end
      return event("Added", { n = cmd.data.n })
    end },
    Name = { decide = function(c, cmd) return event("Named", { name = cmd.data.name }) end },
    Note = { decide = function(c, cmd) return event("Noted", cmd.data) end },
    Fail = { decide = function(c) return c.no.where end },
  },
  events = {
    Added = { evolve = function(c, e) c.n = c.n + e.data.n end },
    Named = { evolve = function(c, e) c.name = e.data.name end },
    Noted = { evolve = function(c, e) c.note = e.data end },
  },
}
"""


def ctl(*arguments, **options):
    return lib.run([lib.esfsctl(), *arguments], **options)


@pytest.fixture
def shop(place):
    domain = Domain(os.path.join(place, "shop"))
    for top, _, files in os.walk(SHOP):
        for name in files:
            path = os.path.join(top, name)
            domain.put(os.path.relpath(path, SHOP), open(path, encoding="utf-8").read())
    return domain


@pytest.fixture
def counter(place):
    """A small domain: counter.tests(text) runs tests, counter.says(text) those that fail."""
    domain = Domain(os.path.join(place, "counter"), files={"aggregates/c.lua": COUNTER})

    def tests(text, *arguments):
        return ctl("test", *arguments, domain.put("tests/c.lua", text).path)

    def says(text, *words):
        done = tests(text)
        assert done.rc == 1 and done.out.endswith(" failed\n") and not done.out.endswith(" 0 failed\n"), done
        for word in words:
            assert word in done.out, f"{word!r} is not in\n{done.out}"
        return done.out
    domain.tests, domain.says = tests, says
    return domain


def body(text):
    return f'test("a test", function()\n{text}\nend)\n'


# --- the shop without a mount

def test_the_shop_is_sound_and_its_tests_are_green():
    checked, tested = ctl("check", SHOP), ctl("test", SHOP)
    assert (checked.rc, checked.err) == (0, ""), checked
    assert (tested.rc, tested.err) == (0, ""), tested
    passed, failed = map(int, re.fullmatch(r"(\d+) passed, (\d+) failed\n", tested.out).groups())
    assert passed >= 15 and failed == 0


@pytest.mark.parametrize("file, old, new", [
    ("aggregates/order.lua", 'if order.status then reject("the order is already "', 'if false then reject("already "'),
    ("aggregates/order.lua", "if open < money.zero then", "if false then"),
    ("aggregates/order.lua", 'must_be(order, "paid")', ""),
    ("aggregates/order.lua", "if customer.blocked then", "if false then"),
    ("aggregates/order.lua", "data.quantity, price = data.price", "1, price = data.price"),
    ("aggregates/stock.lua", "if left < 0 then", "if false then"),
    ("aggregates/stock.lua", "if left > 0 then", "if true then"),
    ("aggregates/customer.lua", "unique = { handle = function(customer) return customer.handle end }", "unique = {}"),
    ("aggregates/customer.lua", 'allow = { users = { "root" } }', "allow = { anyone = true }"),
    ("views/orders_by_customer.lua", "OrderPaid = close,", ""),
    ("views/orders_by_customer.lua", "order.total - order.paid", "order.total"),
    ("views/orders_by_customer.lua", "view.ordered - order.total", "view.ordered"),
    ("views/orders_by_customer.lua", "view.refunds + money.of(e.data.amount)", "view.refunds"),
    ("views/orders_by_customer.lua", "key = function(e, order) return order.customer end,", ""),
    ("views/orders_by_status.lua", "{ order.status, order.customer }", "{ order.customer, order.status }"),
    ("views/orders_by_status.lua", "if order.status then", "if order.status ~= 'shipped' then"),
    ("kafka.lua", "OrderPaid = true,", 'OrderPaid = true, ["*"] = true,'),
    ("kafka.lua", "quantity = line.quantity", "quantity = 1"),
    ("kafka.lua", "OrderPaid = true,", ""),
    ("kafka.lua", 'function() return event("OrderCancelled", {}) end', "true"),
    ("queries/owing.lua", ">= least then", "> least then"),
    ("queries/owing.lua", "more > less or", "more < less or"),
    ("queries/owing.lua", "handle = known and known.handle, ", ""),
    ("queries/owing.lua", '\\\\.[0-9]{2}$"', '"'),
    ("queries/owing.lua", 'params.least or "0.01"', '"0.01"'),
    ("queries/owing.lua", "  run = function", "  allow = { anyone = true }, run = function"),
    ("queries/receipt.lua", "allow = { anyone = true },", ""),
    ("queries/receipt.lua", 'required = { "order" },', ""),
    ("queries/receipt.lua", 'if e.type == "PaymentReceived" then', "if e.data.amount then"),
    ("queries/receipt.lua", "money.text(order.paid)", "money.text(order.total)"),
    ("lib/money.lua", "* line.quantity", ""),
    ("schemas/order/commands/PlaceOrder.1.json", '"minItems": 1,', ""),
])
def test_a_rule_that_is_broken_is_noticed(shop, file, old, new):
    shop.edit(file, old, new)
    done = ctl("test", shop.path)
    assert done.rc == 1 and re.search(r"[1-9]\d* failed\n$", done.out), done


def test_a_failure_has_place_name_and_diff(shop):
    shop.edit("aggregates/order.lua", 'return event("OrderShipped", cmd.data)',
              'return event("OrderShipped", { carrier = cmd.data.carrier:upper() })')
    done = ctl("test", shop.path, "--only", "can be shipped")
    line = 1 + shop.get("tests/order.lua").splitlines().index(
        '  expect { event("OrderShipped", { carrier = "dhl" }) }')
    assert done.rc == 1
    assert done.out == (f"tests/order.lua:{line}: a paid order can be shipped\n"
                        "  the events differ (- expected, + got)\n"
                        "    [\n"
                        "      {\n"
                        '        "type": "OrderShipped",\n'
                        '        "data": {\n'
                        '  -       "carrier": "dhl"\n'
                        '  +       "carrier": "DHL"\n'
                        "        }\n"
                        "      }\n"
                        "    ]\n"
                        "\n"
                        "0 passed, 1 failed\n"), done


# --- the shop on a mount

def place_order(mount, order, quantity=2):
    return accepted(mount, "", "PlaceOrder", {"customer": "7", "lines": [{"sku": "mug", "quantity": quantity}]},
                    aggregate=f"order/{order}")


def open_shop(mount):
    accepted(mount, "", "Register", {"handle": "alice", "name": "Alice"}, aggregate="customer/7")
    accepted(mount, "", "SetPrice", {"price": "12.50"}, aggregate="stock/mug")
    accepted(mount, "", "Receive", {"quantity": 3}, aggregate="stock/mug")


def test_an_order_on_a_mount(daemons):
    mount = daemons(options=["domain=" + SHOP]).start()
    open_shop(mount)
    placed = place_order(mount, 1)
    assert placed["version"] == 1
    assert b'"total":25.00' in mount.read("order/1/views/state.json")
    mount.fails("""echo '{"type":"ShipOrder","data":{"carrier":"dhl"}}' > order/1/commands""", "Operation not permitted")
    assert mount.rejections()[-1]["detail"] == "the order is placed, not paid"
    accepted(mount, "order/1", "PayOrder", {"amount": "20.00"})
    paid = accepted(mount, "order/1", "PayOrder", {"amount": "5.00"})
    assert len(paid["events"]) == 2 and paid["version"] == 4
    mount.append("", b'[{"aggregate":"stock/mug","type":"Pick","data":{"order":"1","quantity":2}},'
                     b'{"aggregate":"order/1","type":"ShipOrder","data":{"carrier":"dhl"}}]')
    assert state(mount, "order/1")["status"] == "shipped" and state(mount, "stock/mug")["on_hand"] == 1
    assert [state(mount, "order/1", v).get("status") for v in range(6)] == [
        None, "placed", "placed", "placed", "paid", "shipped"]
    assert [e["type"] for e in stream(mount, "order/1")] == [
        "OrderPlaced", "PaymentReceived", "PaymentReceived", "OrderPaid", "OrderShipped"]
    assert stream(mount, "order/1")[0]["dataschema"] == "/schemas/order/OrderPlaced/2"
    refused(mount, "order/1", "CancelOrder", {"reason": "too late"})


def test_the_views_of_the_shop_on_a_mount(daemons):
    mount = daemons(options=["domain=" + SHOP]).start()
    open_shop(mount)
    place_order(mount, 1, quantity=1)
    place_order(mount, 2, quantity=2)
    accepted(mount, "order/1", "PayOrder", {"amount": "12.50"})
    accepted(mount, "order/2", "PayOrder", {"amount": "0.10"})
    barrier(mount)
    assert shown(mount, "views/orders_by_customer/7.json") == {
        "customer": "7", "orders": 2, "open": ["2"], "ordered": "37.50", "paid": "12.60", "owed": "24.90",
        "refunds": "0.00"}
    assert names(mount, "views/orders_by_customer") == ["7.json"]
    assert names(mount, "views/orders_by_status") == ["paid", "placed"]
    assert mount.ok("jq -r .status views/orders_by_status/paid/7/1/views/state.json") == "paid"
    accepted(mount, "order/1", "ShipOrder", {"carrier": "dhl"})
    barrier(mount)
    assert names(mount, "views/orders_by_status") == ["placed", "shipped"]
    assert names(mount, "views/orders_by_status/shipped/7") == ["1"]


def test_what_the_shop_refuses(daemons):
    mount = daemons(options=["domain=" + SHOP]).start()
    open_shop(mount)
    place_order(mount, 1)
    line = [{"sku": "mug", "quantity": 1}]
    refused(mount, "", "PlaceOrder", {"customer": "8", "lines": line}, aggregate="order/2")
    refused(mount, "", "PlaceOrder", {"customer": "7", "lines": line}, aggregate="order/1")
    refused(mount, "", "PlaceOrder", {"customer": "7", "lines": []}, aggregate="order/2", errno="EINVAL")
    refused(mount, "", "Dance", {}, aggregate="order/2", errno="EINVAL")
    refused(mount, "", "Register", {"handle": "alice", "name": "Bob"}, aggregate="customer/8", errno="ENOTUNIQ")
    cancelled = accepted(mount, "order/1", "CancelOrder", {"reason": "changed my mind"})
    assert len(cancelled["events"]) == 1
    # all or nothing: the mug is picked for an order that is not paid
    refused(mount, "", "Pick", {"order": "1", "quantity": 1}, aggregate="stock/mug")
    assert mount.version("stock/mug") == 2 and not os.path.exists(mount.path("order/2"))


# --- a test is judged as a mount would judge it

def lua(value):
    """JSON as Lua writes it."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"[{lua(k)}] = {lua(v)}" for k, v in value.items()) + " }"
    if isinstance(value, list):
        return "array{ " + ", ".join(map(lua, value)) + " }"
    return "null" if value is None else json.dumps(value)


def any_command(random):
    """A command to the shop, which is often wrong."""
    customer, order = random.choice("789"), random.choice("123456")
    sku, handle = random.choice(["mug", "pen", "cup"]), random.choice(["alice", "bob", "carol", "?"])
    amount, quantity = random.choice(["12.50", "25.00", "0.10", "5"]), random.choice([0, 1, 1, 2, 3])
    kind, aggregate, data = random.choice([
        ("Register", f"customer/{customer}", {"handle": handle, "name": "Somebody"}),
        ("ChangeHandle", f"customer/{customer}", {"handle": handle}),
        ("SetPrice", f"stock/{sku}", {"price": amount}),
        ("Receive", f"stock/{sku}", {"quantity": quantity}),
        ("Pick", f"stock/{sku}", {"order": order, "quantity": quantity}),
        ("PlaceOrder", f"order/{order}", {"customer": customer, "lines": [{"sku": sku, "quantity": quantity}]}),
        ("PayOrder", f"order/{order}", {"amount": amount}),
        ("PayOrder", f"order/{order}", {"amount": amount}),
        ("ShipOrder", f"order/{order}", {"carrier": "dhl"}),
        ("CancelOrder", f"order/{order}", {"reason": "none"}),
        ("Dance", f"order/{order}", {}),
    ])
    command = {"aggregate": aggregate, "type": kind, "data": data}
    if random.random() < 0.2:
        command["id"] = random.choice("abcd")
    if random.random() < 0.1:
        command["expectedVersion"] = random.choice([0, 1, 2, "none", "exists"])
    return command


def listed(mount, view, *path):
    """What each directory of an index shows, from the view's own on."""
    found = sorted(names(mount, "views", view, *path))
    dirs = [name for name in found if not os.path.islink(mount.path("views", view, *path, name))]
    yield "/".join(path), [name + "/" if name in dirs else name for name in found]
    for name in dirs:
        yield from listed(mount, view, *path, name)


def expect_views(mount):
    """What the shop's views show, as a test of the domain expects it."""
    barrier(mount)
    for customer in "789":
        name = f"views/orders_by_customer/{customer}.json"
        if os.path.exists(mount.path(name)):
            yield f'expect_view("orders_by_customer", "{customer}", {lua(shown(mount, name))})'
        else:
            yield f'expect_no_view("orders_by_customer", "{customer}")'
    for path, found in listed(mount, "orders_by_status"):
        yield f'expect_view("orders_by_status", "{path}", {lua(found)})'


def expect_queries(mount):
    """What the shop's queries answer, likewise."""
    barrier(mount)
    for query, file in [("owing", "all.json"), ("owing", "least=12.50.json"),
                        *(("receipt", f"order={order}.json") for order in "1234567")]:
        answer = lib.strict(mount.read(f"queries/{query}/{file}").decode())
        yield f'expect_query("{query}", "{file}", {lua(answer)})'


def test_a_test_says_what_a_mount_says(daemons, shop):
    """Random commands to a mount; then a test of the domain that expects of each what came of it there, and that views
    and queries show what they do there."""
    random = Random(7)
    shop.edit("aggregates/customer.lua", "customer.since = e.data.handle, e.data.name, e.time",
              "customer.since = e.data.handle, e.data.name, e.version")
    shop.edit("aggregates/stock.lua", "stock.sold_out = e.time", "stock.sold_out = e.version")
    mount = daemons(options=[shop.option]).start()
    steps, outcomes, seen = [], Counter(), 0
    for _ in range(lib.size(600, 250)):
        command = any_command(random)
        if random.random() < 0.2:
            command = [command, *(any_command(random) for _ in range(random.choice([1, 2])))]
        with mount.commands() as c:
            result = c.ask(command)
        new = [lib.strict(text) for text in mount.lines("log.ndjson")[seen:]]
        seen += len(new)
        steps.append(f"when({lua(command)})")
        outcomes[result.get("errno", "")] += 1
        if result["status"] == "rejected":
            assert not new, result
            steps.append(f"expect_error({lua(result['errno'])}, {lua(result['detail'])})")
        else:
            events = ", ".join(f"event({lua(e['type'])}, {lua(e['data'])})" for e in new)
            steps.append(f"expect {{ {events} }}")
        if random.random() < 0.1:
            steps += [*expect_views(mount), *expect_queries(mount)]
    for kind in ("customer", "stock", "order"):
        for name in os.listdir(mount.path(kind)):
            if os.path.isdir(mount.path(kind, name)):
                steps.append(f"expect_state({lua(f'{kind}/{name}')}, {lua(state(mount, f'{kind}/{name}'))})")
    steps += [*expect_views(mount), *expect_queries(mount)]
    said = "\n".join(steps)
    assert said.count('"payments"') > 20 and said.count('"owed"') > 20, said
    assert said.count("expect_view") > 20 and 'expect_view("orders_by_status", "placed/' in said, said
    assert set(outcomes) == {"", "EPERM", "EINVAL", "ENOTUNIQ", "ESTALE", "EEXIST"}, outcomes
    shop.put("tests/as_mounted.lua", body(said))
    done = ctl("test", shop.path, "--only", "a test")
    assert done.out == "1 passed, 0 failed\n" and done.rc == 0, done


# --- what tests may say

def test_given_when_expect(counter):
    done = counter.tests("""
test("a list is of the aggregate of the command", function()
  given { event("Added", { n = 1 }) } when { aggregate = "c/1", type = "Add", data = { n = 2 } }
  expect { event("Added", { n = 2 }) }
  expect_state { n = 3 }
end)
test("a test begins with an empty world, and may go on", function()
  given { ["c/1"] = { event("Named", { name = "one" }) }, ["c/2"] = { event("Added", { n = 9 }) } }
  when { aggregate = "c/2", type = "Name", data = { name = "one" } }
  expect_error("ENOTUNIQ", "c/1")
  when { aggregate = "c/2", type = "Add", data = { n = 1 } }
  expect_rejected "more than 9"
  expect_rejected()
  when { aggregate = "c/2", type = "Fail" }
  expect_error("EIO", "c.lua:")
  when { aggregate = "c/2", type = "Add", expectedVersion = 7 }
  expect_error "ESTALE"
  expect_state("c/2", { n = 9 })
  expect_state("c/1", { n = 0, name = "one" })
  when { { aggregate = "c/1", type = "Add", data = { n = 1 } }, { aggregate = "c/3", type = "Add", data = { n = 1 } } }
  expect { event("Added", { n = 1.0 }), event("Added", { n = decimal("1.00") }) }
end)
""")
    assert done.out == "2 passed, 0 failed\n" and done.rc == 0, done


def test_tests_that_are_wrong_say_so(counter):
    when = 'when { aggregate = "c/1", type = "Add", data = { n = 1 } }'
    said = [
        (when, "it checks nothing"),
        ('given { event("Added", { n = 1 }) }', "there is no when"),
        ("expect {}", "expect comes after a when"),
        (f"{when} expect {{}}", '  +     "type": "Added"'),
        (f'{when} expect_rejected "no"', "was accepted, not refused with EPERM"),
        (f'{when} expect_error "EWHAT"', "takes an errno"),
        (f"{when} expect {{ 7 }}", "events are made by event"),
        (f'{when} expect "Added"', "expect takes a list of events"),
        (f'{when} expect {{ event("Added", {{ n = 1 }}), x = event("Added") }}', "is a list, and x in it"),
        (f'{when} expect {{ event("Added", {{ n = 1 }}), [3] = event("Added") }}', "what is expected has no item 2"),
        ('given { event("Added", { n = 1 }), ["c/2"] = { event("Added") } } ' + when, "is a list, and c/2 in it"),
        ('when { aggregate = "c/1", type = "Dance" } expect {}', 'refused with EINVAL: c has no command "Dance"'),
        ('when { aggregate = "c/1", kind = "Add" } expect {}', 'unknown member "kind"'),
        (f'when {{ aggregate = "c/1", type = "Dance" }} {when} expect {{}}', "tests/c.lua:2: a test"),
        ('when { aggregate = "c/1", type = "Fail" } expect_rejected "no"', "refused with EIO and not with EPERM"),
        ('given { ["c/1"] = { event("Dropped", {}) } }', 'declares no event "Dropped"'),
        ('given { ["d/1"] = { event("Added", {}) } }', 'no type "d"'),
        ('given { ["c/1"] = { event("Added", { n = 1 }, 2) } }', "there is no schemas/c/Added.2.json"),
        ('given { ["c/1"] = { event("Added", { n = "x" }) } }', "aggregates/c.lua:14"),
        ('event("Added", { n = test })', "a function cannot be in JSON"),
        ("local x = nil + 1", "tests/c.lua:2: a test\n  attempt to perform arithmetic on a nil value"),
        ("while true do end", "more than 10000000 instructions"),
        (f"{when} pcall(expect, {{}})", "the events differ"),
        ('reject "no"', "tests/c.lua:2"),
    ]
    for text, words in said:
        counter.says(body(text), words)


def test_a_diff_shows_what_is_near(counter):
    items = ", ".join(f"i{i} = {i}" for i in range(10, 40))
    out = counter.says(body(f'when {{ aggregate = "c/1", type = "Note", data = {{ {items} }} }}\n'
                            f'expect {{ event("Noted", {{ {items.replace("i25 = 25", "i25 = 0")} }}) }}'))
    lines = out.splitlines()
    assert [x for x in lines if x.startswith(("  -", "  +"))] == ['  -       "i25": 0,', '  +       "i25": 25,']
    assert lines.count("    ...") == 2 and len(lines) < 20


def test_a_helper_is_named_with_its_caller(counter):
    out = counter.says('local function check() expect {} end\n' +
                       body('when { aggregate = "c/1", type = "Add", data = { n = 1 } }\ncheck()'))
    assert "tests/c.lua:1: a test" in out and "called at tests/c.lua:4" in out, out


def test_files_that_cannot_be_run_are_failures(counter):
    counter.says("\ntest(", "tests/c.lua:2: the file ends in the middle of something")
    counter.says('test("a test", function()\n', "tests/c.lua:2: 'end' expected")
    counter.says('test("a test",,\n', "tests/c.lua:1: unexpected symbol near ','")
    counter.says('return {}', "tests/c.lua:1: the file returns something, which files of tests do not")
    counter.says('given {}', "belongs into a test")
    counter.says(body("") + body(""), "two tests named")
    counter.put("tests/a.lua", body('when { aggregate = "c/1", type = "Add", data = { n = 1 } }'
                                    'expect { event("Added", { n = 1 }) }'))
    assert "1 passed, 1 failed" in counter.says("test(")


def test_only_and_what_is_not_there(counter, place):
    good = 'when { aggregate = "c/1", type = "Add", data = { n = 0 } } expect { event("Added", { n = 0 }) } end)'
    text = f'test("one", function() {good}\ntest("two", function() expect() end)\n'
    assert counter.tests(text, "--only", "one").out == "1 passed, 0 failed\n"
    assert counter.tests(text, "--only", "three").rc == 1
    assert counter.tests(text, "--nonsense").rc == 2
    nothing = Domain(os.path.join(place, "nothing"), files={"aggregates/c.lua": "return {"})
    assert "aggregates/c.lua" in ctl("test", nothing.path).err
    nothing.put("aggregates/c.lua", "return {}")
    done = ctl("test", nothing.path)
    assert done.rc == 1 and "tests: No such file or directory" in done.err, done


def test_tests_may_require_what_the_domain_does(counter):
    counter.put("lib/one.lua", "return { n = 1 }")
    done = counter.tests('local one = require "one"\n' +
                         body('when { aggregate = "c/1", type = "Add", data = one } expect { event("Added", one) }'))
    assert done.rc == 0, done
    counter.says('require "../tests/c"\n', "there is no lib/")


def test_nothing_is_coloured_that_goes_to_a_file(counter):
    assert "\033" not in counter.says(body('when { aggregate = "c/1", type = "Add", data = { n = 1 } } expect {}'))
