-- order/<id>: placed, paid, shipped; or cancelled on the way.
local money = require "money"

-- A line of the command with the article's price of today.
local function priced(line, get)
  local stock = get("stock/" .. line.sku)
  if not stock.price then reject("there is no article " .. line.sku) end
  if stock.on_hand < line.quantity then reject("there are only " .. stock.on_hand .. " of " .. line.sku) end
  return { sku = line.sku, quantity = line.quantity, price = money.text(stock.price) }
end

local function must_be(order, status)
  if order.status ~= status then
    reject("the order is " .. (order.status or "not placed") .. ", not " .. status)
  end
end

return {
  initial = function() return { lines = array{}, paid = money.zero } end,

  commands = {
    PlaceOrder = {
      schema = "PlaceOrder.1",
      decide = function(order, cmd, get)
        if order.status then reject("the order is already " .. order.status) end
        local customer = get("customer/" .. cmd.data.customer)
        if not customer.handle then reject("there is no customer " .. cmd.data.customer) end
        if customer.blocked then reject("the customer is blocked: " .. customer.blocked) end
        local lines = array{}
        for i, line in ipairs(cmd.data.lines) do lines[i] = priced(line, get) end
        return event("OrderPlaced", { customer = cmd.data.customer, lines = lines })
      end,
    },

    PayOrder = {
      schema = "PayOrder.1",
      decide = function(order, cmd)
        must_be(order, "placed")
        local open = order.total - order.paid - money.of(cmd.data.amount)
        if open < money.zero then reject("that is " .. money.text(-open) .. " too much") end
        local received = event("PaymentReceived", cmd.data)
        if open > money.zero then return received end
        return received, event("OrderPaid", {}) -- two events, one decision
      end,
    },

    ShipOrder = {
      schema = "ShipOrder.1",
      decide = function(order, cmd)
        must_be(order, "paid")
        return event("OrderShipped", cmd.data)
      end,
    },

    CancelOrder = {
      schema = "CancelOrder.1",
      decide = function(order, cmd)
        if order.status == "shipped" then reject("the order is on its way") end
        if order.status == "cancelled" then return end
        if not order.status then must_be(order, "placed") end
        local events = { event("OrderCancelled", cmd.data) }
        if order.paid > money.zero then
          events[2] = event("RefundDue", { amount = money.text(order.paid) })
        end
        return events
      end,
    },
  },

  events = {
    OrderPlaced = {
      schema = "OrderPlaced.2",
      upcast = {
        -- An order of version 1 was for one article.
        [1] = function(data)
          return {
            customer = data.customer,
            lines = array{ { sku = data.sku, quantity = data.quantity, price = data.price } },
          }
        end,
      },
      evolve = function(order, e)
        order.status, order.customer, order.lines = "placed", e.data.customer, e.data.lines
        order.total = money.total(e.data.lines)
      end,
    },
    PaymentReceived = { evolve = function(order, e) order.paid = order.paid + money.of(e.data.amount) end },
    OrderPaid = { evolve = function(order) order.status = "paid" end },
    OrderShipped = {
      evolve = function(order, e)
        order.status, order.carrier = "shipped", e.data.carrier
      end,
    },
    OrderCancelled = { evolve = function(order) order.status = "cancelled" end },
    RefundDue = { evolve = function(order, e) order.refund = money.of(e.data.amount) end },

    -- No longer emitted; what is stored of it is passed over.
    GiftWrapped = { retired = true, reason = "the shop wraps no gifts any more" },
  },
}
