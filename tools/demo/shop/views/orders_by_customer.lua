-- views/orders_by_customer/<customer>.json: what a customer has ordered and paid, and which orders are still open.
local money = require "money"

local function close(view, e) view.open[e.subject] = nil end

return {
  from = { "order" },
  key = function(e, order) return order.customer end,

  init = function()
    return { orders = 0, ordered = money.zero, paid = money.zero, refunds = money.zero, open = {} }
  end,

  on = {
    OrderPlaced = function(view, e, order)
      view.orders, view.ordered = view.orders + 1, view.ordered + order.total
      view.open[e.subject] = order.total
    end,
    PaymentReceived = function(view, e, order)
      view.paid = view.paid + money.of(e.data.amount)
      view.open[e.subject] = order.total - order.paid
    end,
    OrderPaid = close,
    OrderCancelled = function(view, e, order)
      view.ordered = view.ordered - order.total
      close(view, e)
    end,
    RefundDue = function(view, e) view.refunds = view.refunds + money.of(e.data.amount) end,
  },

  output = function(view, customer)
    local open, owed = array{}, money.zero
    for order, amount in pairs(view.open) do
      open[#open + 1] = order
      owed = owed + amount
    end
    return {
      customer = customer, orders = view.orders, open = open,
      ordered = money.text(view.ordered), paid = money.text(view.paid),
      owed = money.text(owed), refunds = money.text(view.refunds),
    }
  end,
}
