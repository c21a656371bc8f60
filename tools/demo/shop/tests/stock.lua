local stocked = { event("PriceSet", { price = "12.50" }), event("Received", { quantity = 3 }) }
local placed = event("OrderPlaced", { customer = "7", lines = { { sku = "mug", quantity = 3, price = "12.50" } } })
local order = { placed, event("PaymentReceived", { amount = "37.50" }), event("OrderPaid") }

test("a delivery is added to what is there", function()
  given(stocked)
  when { aggregate = "stock/mug", type = "Receive", data = { quantity = 4 } }
  expect { event("Received", { quantity = 4 }) }
  expect_state { sku = "mug", on_hand = 7, price = decimal("12.50") }
end)

test("the same price again changes nothing", function()
  given(stocked)
  when { aggregate = "stock/mug", type = "SetPrice", data = { price = "12.50" } }
  expect {}
end)

test("the last one that is picked is told", function()
  given { ["stock/mug"] = stocked, ["order/1"] = order }
  when { aggregate = "stock/mug", type = "Pick", data = { order = "1", quantity = 3 } }
  expect { event("Picked", { order = "1", quantity = 3 }), event("SoldOut") }
end)

test("nothing is picked for an order that is not paid", function()
  given { ["stock/mug"] = stocked, ["order/1"] = { placed } }
  when { aggregate = "stock/mug", type = "Pick", data = { order = "1", quantity = 3 } }
  expect_rejected "is not paid"
end)

test("what is not there cannot be picked", function()
  given { ["stock/mug"] = stocked, ["order/1"] = order }
  when { aggregate = "stock/mug", type = "Pick", data = { order = "1", quantity = 4 } }
  expect_rejected "only 3 of mug"
end)
