-- queries/owing/least=10.00.json: which customers owe the shop at least so much, and who they are.
local money = require "money"

return {
  params = {
    type = "object",
    properties = { least = { type = "string", pattern = "^[0-9]+\\.[0-9]{2}$" } },
    additionalProperties = false,
  },

  run = function(q, params)
    local least, found = money.of(params.least or "0.01"), array{}
    for _, customer in ipairs(q.keys("orders_by_customer")) do
      local owed = q.view("orders_by_customer", customer).owed
      if money.of(owed) >= least then
        local known = q.state("customer/" .. customer)
        found[#found + 1] = { customer = customer, handle = known and known.handle, owed = owed }
      end
    end
    return found
  end,

  -- Who owes most comes first.
  post = function(found)
    table.sort(found, function(a, b)
      local more, less = money.of(a.owed), money.of(b.owed)
      return more > less or more == less and a.customer < b.customer
    end)
    return found
  end,
}
