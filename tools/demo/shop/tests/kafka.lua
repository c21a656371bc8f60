local lines = { { sku = "mug", quantity = 2, price = "12.50" }, { sku = "pen", quantity = 3, price = "0.10" } }
local placed = event("OrderPlaced", { customer = "7", lines = lines })

test("each line of an order is a message, without its price", function()
  given { ["order/1"] = { placed } }
  expect_published {
    {
      topic = "esfs.order", key = "1", headers = { ce_type = "LineOrdered", ce_source = "/order/1" },
      value = { sku = "mug", quantity = 2 },
    },
    event("LineOrdered", { sku = "pen", quantity = 3 }),
  }
end)

test("an order of version 1 is a line", function()
  given { ["order/1"] = { event("OrderPlaced", { customer = "7", sku = "mug", quantity = 2, price = "12.50" }, 1) } }
  expect_published { event("LineOrdered", { sku = "mug", quantity = 2 }) }
end)

test("nobody hears of customers and stock, nor of parts of a payment", function()
  given {
    ["customer/7"] = { event("Registered", { handle = "alice", name = "Alice" }) },
    ["stock/mug"] = { event("PriceSet", { price = "12.50" }) },
  }
  expect_published {}
  given { ["order/1"] = { placed } }
  when { aggregate = "order/1", type = "PayOrder", data = { amount = "25.30" } }
  expect { event("PaymentReceived", { amount = "25.30" }), event("OrderPaid") }
  expect_published { event("OrderPaid") }
end)

test("why an order was cancelled stays in the shop", function()
  given { placed }
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "found it cheaper" } }
  expect { event("OrderCancelled", { reason = "found it cheaper" }) }
  expect_published { event("OrderCancelled") }
end)
