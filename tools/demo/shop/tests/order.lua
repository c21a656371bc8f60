-- Each test begins with an empty shop.

local function registered(handle) return event("Registered", { handle = handle, name = "Somebody" }) end
local function paid(amount) return event("PaymentReceived", { amount = amount }) end
local mugs = { { sku = "mug", quantity = 2, price = "12.50" } }
local placed = event("OrderPlaced", { customer = "7", lines = mugs })

local function open_shop()
  given {
    ["customer/7"] = { registered "alice" },
    ["stock/mug"] = { event("PriceSet", { price = "12.50" }), event("Received", { quantity = 3 }) },
    ["stock/pen"] = { event("PriceSet", { price = "0.10" }), event("Received", { quantity = 100 }) },
  }
end

local function place(lines)
  when { aggregate = "order/1", type = "PlaceOrder", data = { customer = "7", lines = lines } }
end

test("an order keeps the prices of its day", function()
  open_shop()
  place { { sku = "mug", quantity = 2 }, { sku = "pen", quantity = 3 } }
  expect {
    event("OrderPlaced", {
      customer = "7",
      lines = {
        { sku = "mug", quantity = 2, price = "12.50" },
        { sku = "pen", quantity = 3, price = "0.10" },
      },
    }),
  }
end)

test("the total is exact", function()
  given { placed, paid "0.10", paid "0.20" }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "24.70" } }
  expect { paid "24.70", event("OrderPaid") }
  expect_state { status = "paid", customer = "7", lines = mugs, total = 25, paid = 25 }
end)

test("an order needs a customer", function()
  place { { sku = "mug", quantity = 1 } }
  expect_rejected "there is no customer 7"
end)

test("a blocked customer cannot order", function()
  open_shop()
  given { ["customer/7"] = { event("Blocked", { reason = "owes us 3.00" }) } }
  place { { sku = "mug", quantity = 1 } }
  expect_rejected "owes us 3.00"
end)

test("an article that nobody sells cannot be ordered", function()
  open_shop()
  place { { sku = "cup", quantity = 1 } }
  expect_rejected "there is no article cup"
end)

test("no more can be ordered than there is", function()
  open_shop()
  place { { sku = "mug", quantity = 4 } }
  expect_rejected "only 3 of mug"
end)

test("an order is placed once", function()
  open_shop()
  given { ["order/1"] = { placed } }
  place { { sku = "mug", quantity = 1 } }
  expect_rejected "already placed"
end)

test("an order without lines does not fit its schema", function()
  open_shop()
  place(array{})
  expect_error("EINVAL", "/lines")
end)

test("a part of a payment is received, and the order stays open", function()
  given { placed }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "20.00" } }
  expect { paid "20.00" }
end)

test("too much is not taken", function()
  given { placed, paid "20.00" }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "5.01" } }
  expect_rejected "0.01 too much"
end)

test("an amount has two digits behind the point", function()
  given { placed }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "5" } }
  expect_error("EINVAL", "/amount")
end)

test("a paid order can be shipped", function()
  given { placed, paid "25.00", event("OrderPaid") }
  when { aggregate = "order/1", type = "ShipOrder", data = { carrier = "dhl" } }
  expect { event("OrderShipped", { carrier = "dhl" }) }
end)

test("an order that is not paid cannot be shipped", function()
  given { placed, paid "20.00" }
  when { aggregate = "order/1", type = "ShipOrder", data = { carrier = "dhl" } }
  expect_rejected "the order is placed, not paid"
end)

test("picking and shipping is done together", function()
  open_shop()
  given { ["order/1"] = { placed, paid "25.00", event("OrderPaid") } }
  when {
    { aggregate = "stock/mug", type = "Pick", data = { order = "1", quantity = 2 } },
    { aggregate = "order/1", type = "ShipOrder", data = { carrier = "dhl" } },
  }
  expect {
    ["stock/mug"] = { event("Picked", { order = "1", quantity = 2 }) },
    ["order/1"] = { event("OrderShipped", { carrier = "dhl" }) },
  }
end)

test("a cancelled order is paid back", function()
  given { placed, paid "20.00" }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "changed my mind" } }
  expect { event("OrderCancelled", { reason = "changed my mind" }), event("RefundDue", { amount = "20.00" }) }
end)

test("nothing is paid back when nothing was paid, and cancelling twice changes nothing", function()
  given { placed }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "changed my mind" } }
  expect { event("OrderCancelled", { reason = "changed my mind" }) }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "really" } }
  expect {}
end)

test("an order that is on its way cannot be cancelled", function()
  given { placed, paid "25.00", event("OrderPaid"), event("OrderShipped", { carrier = "dhl" }) }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "too late" } }
  expect_rejected "on its way"
end)

test("an order of version 1 is understood", function()
  given {
    ["order/1"] = {
      event("OrderPlaced", { customer = "7", sku = "mug", quantity = 2, price = "12.50" }, 1),
      event("GiftWrapped", { paper = "red" }),
    },
  }
  expect_state("order/1", { status = "placed", customer = "7", lines = mugs, total = 25, paid = 0 })
end)
