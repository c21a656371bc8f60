local function placed(quantity, customer)
  return event("OrderPlaced", {
    customer = customer, lines = { { sku = "pen", quantity = quantity, price = "0.10" } },
  })
end
local function paid(amount) return event("PaymentReceived", { amount = amount }) end

local function three_customers()
  given {
    ["customer/7"] = { event("Registered", { handle = "alice", name = "Alice" }) },
    ["customer/8"] = { event("Registered", { handle = "bob", name = "Bob" }) },
    ["order/1"] = { placed(5, "7") },
    ["order/2"] = { placed(9, "8"), paid "0.30" },
    ["order/3"] = { placed(2, "9"), paid "0.20", event("OrderPaid") },
    ["order/4"] = { placed(5, "10") },
  }
end

test("who owes most comes first, and who owes nothing does not come", function()
  three_customers()
  expect_query("owing", {}, {
    { customer = "8", handle = "bob", owed = "0.60" },
    { customer = "10", owed = "0.50" },
    { customer = "7", handle = "alice", owed = "0.50" },
  })
  expect_query("owing", "least=0.60.json", { { customer = "8", handle = "bob", owed = "0.60" } })
  expect_query("owing", { least = "0.61" }, array{})
end)

test("who pays owes less", function()
  three_customers()
  when { aggregate = "order/2", type = "PayOrder", data = { amount = "0.55" } }
  expect { paid "0.55" }
  expect_query("owing", { least = "0.01" }, {
    { customer = "10", owed = "0.50" },
    { customer = "7", handle = "alice", owed = "0.50" },
    { customer = "8", handle = "bob", owed = "0.05" },
  })
end)

test("an amount is asked for with two digits behind the point", function()
  expect_query_error("owing", { least = "1" }, "EINVAL", "/least")
  expect_query_error("owing", "most=1.00.json", "EINVAL", "most")
end)

test("who owes what is no business of customers", function()
  expect_query_error("owing", {}, "EACCES", { uid = 1000 })
end)

test("a receipt shows each payment, to anyone, and nothing that is paid back", function()
  given { ["order/1"] = { placed(5, "7"), paid "0.20", paid "0.05" } }
  local receipt = { total = "0.50", paid = "0.25", payments = { "0.20", "0.05" } }
  expect_query("receipt", { order = "1" }, receipt)
  when { aggregate = "order/1", type = "CancelOrder", data = { reason = "changed my mind" } }
  expect { event("OrderCancelled", { reason = "changed my mind" }), event("RefundDue", { amount = "0.25" }) }
  expect_query("receipt", "order=1.json", receipt, { uid = 1000 })
end)

test("there is no receipt without an order", function()
  expect_query("receipt", { order = "1" }, null)
  expect_query_error("receipt", {}, "EINVAL", "order")
  expect_query_error("receipt", { order = "a/b" }, "EIO", "queries/receipt.lua")
end)
