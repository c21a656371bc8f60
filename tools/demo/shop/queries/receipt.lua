-- queries/receipt/order=1.json: what was paid of an order, payment by payment; null of an order that there is not.
local money = require "money"

return {
  params = {
    type = "object",
    properties = { order = { type = "string", minLength = 1 } },
    required = { "order" },
    additionalProperties = false,
  },
  allow = { anyone = true },

  run = function(q, params)
    local order, payments = q.state("order/" .. params.order), array{}
    for _, e in ipairs(q.events("order/" .. params.order)) do
      if e.type == "PaymentReceived" then payments[#payments + 1] = e.data.amount end
    end
    return order and { total = money.text(order.total), paid = money.text(order.paid), payments = payments }
  end,
}
