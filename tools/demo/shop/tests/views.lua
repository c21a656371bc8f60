local function placed(quantity, customer)
  return event("OrderPlaced", {
    customer = customer or "7", lines = { { sku = "pen", quantity = quantity, price = "0.10" } },
  })
end
local function paid(amount) return event("PaymentReceived", { amount = amount }) end

test("a customer without orders is in no view", function()
  given { ["customer/7"] = { event("Registered", { handle = "alice", name = "Alice" }) } }
  expect_no_view("orders_by_customer", "7")
  expect_view("orders_by_status", "", {})
end)

test("what a customer owes is exact", function()
  given { ["order/1"] = { placed(1) }, ["order/2"] = { placed(2), paid "0.05" }, ["order/3"] = { placed(9, "8") } }
  expect_view("orders_by_customer", "7", {
    customer = "7", orders = 2, open = { "1", "2" }, ordered = "0.30", paid = "0.05", owed = "0.25", refunds = "0.00",
  })
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "0.10" } }
  expect { paid "0.10", event("OrderPaid") }
  expect_view("orders_by_customer", "7", {
    customer = "7", orders = 2, open = { "2" }, ordered = "0.30", paid = "0.15", owed = "0.15", refunds = "0.00",
  })
end)

test("a cancelled order is not owed, and what was paid is to be paid back", function()
  given { placed(3), paid "0.20" }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "changed my mind" } }
  expect { event("OrderCancelled", { reason = "changed my mind" }), event("RefundDue", { amount = "0.20" }) }
  expect_view("orders_by_customer", "7", {
    customer = "7", orders = 1, open = array{}, ordered = "0.00", paid = "0.20", owed = "0.00", refunds = "0.20",
  })
end)

test("a refused command changes no view", function()
  given { placed(1) }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "0.11" } }
  expect_rejected "0.01 too much"
  expect_view("orders_by_customer", "7", {
    customer = "7", orders = 1, open = { "1" }, ordered = "0.10", paid = "0.00", owed = "0.10", refunds = "0.00",
  })
end)

test("an order of version 1 counts as well", function()
  given { ["order/1"] = { event("OrderPlaced", { customer = "7", sku = "mug", quantity = 2, price = "12.50" }, 1) } }
  expect_view("orders_by_customer", "7", {
    customer = "7", orders = 1, open = { "1" }, ordered = "25.00", paid = "0.00", owed = "25.00", refunds = "0.00",
  })
end)

test("an order is listed under its status", function()
  given { ["order/1"] = { placed(1) }, ["order/2"] = { placed(1) }, ["order/3"] = { placed(1, "8") } }
  expect_view("orders_by_status", "placed", { "7/", "8/" })
  expect_view("orders_by_status", "placed/7", { "1", "2" })
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "0.10" } }
  expect { paid "0.10", event("OrderPaid") }
  expect_view("orders_by_status", "placed/7", { "2" })
  expect_view("orders_by_status", "paid/7", { "1" })
  when { aggregate = "order/1", type = "ShipOrder", data = { carrier = "dhl" } }
  expect { event("OrderShipped", { carrier = "dhl" }) }
  expect_no_view("orders_by_status", "paid")
  expect_view("orders_by_status", "", { "placed/", "shipped/" })
end)
