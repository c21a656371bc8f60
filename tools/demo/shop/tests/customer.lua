local alice = event("Registered", { handle = "alice", name = "Alice" })

test("a customer registers", function()
  when {
    aggregate = "customer/7", type = "Register", data = { handle = "alice", name = "Alice" },
    time = "2026-05-01T12:00:00Z",
  }
  expect { alice }
  expect_state { handle = "alice", name = "Alice", since = "2026-05-01T12:00:00.000000Z" }
end)

test("a handle belongs to one customer", function()
  given { ["customer/7"] = { alice } }
  when { aggregate = "customer/8", type = "Register", data = { handle = "alice", name = "Another" } }
  expect_error("ENOTUNIQ", "held by customer/7")
end)

test("a handle that was given up is free", function()
  given { ["customer/7"] = { alice, event("HandleChanged", { handle = "ally" }) } }
  when { aggregate = "customer/8", type = "Register", data = { handle = "alice", name = "Another" } }
  expect { event("Registered", { handle = "alice", name = "Another" }) }
end)

test("two customers can swap handles, in one transaction", function()
  given {
    ["customer/7"] = { alice },
    ["customer/8"] = { event("Registered", { handle = "bob", name = "Bob" }) },
  }
  when {
    { aggregate = "customer/7", type = "ChangeHandle", data = { handle = "bob" } },
    { aggregate = "customer/8", type = "ChangeHandle", data = { handle = "alice" } },
  }
  expect {
    ["customer/7"] = { event("HandleChanged", { handle = "bob" }) },
    ["customer/8"] = { event("HandleChanged", { handle = "alice" }) },
  }
end)

test("the same handle again changes nothing", function()
  given { alice }
  when { aggregate = "customer/7", type = "ChangeHandle", data = { handle = "alice" } }
  expect {}
end)

test("root alone may block a customer", function()
  given { alice }
  when { aggregate = "customer/7", type = "Block", data = { reason = "fraud" }, uid = 1000 }
  expect_error "EACCES"
  when { aggregate = "customer/7", type = "Block", data = { reason = "fraud" }, uid = 0 }
  expect { event("Blocked", { reason = "fraud" }) }
end)
