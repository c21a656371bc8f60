-- stock/<sku>: what there is of an article, and what it costs.
local money = require "money"

return {
  initial = function(sku) return { sku = sku, on_hand = 0 } end,
  read = { anyone = true },

  commands = {
    SetPrice = {
      schema = "SetPrice.1",
      decide = function(stock, cmd)
        if stock.price == money.of(cmd.data.price) then return end
        return event("PriceSet", cmd.data)
      end,
    },

    Receive = {
      schema = "Receive.1",
      decide = function(stock, cmd) return event("Received", cmd.data) end,
    },

    -- Goes into a transaction with ShipOrder: both, or neither.
    Pick = {
      schema = "Pick.1",
      decide = function(stock, cmd, get)
        local order, left = get("order/" .. cmd.data.order), stock.on_hand - cmd.data.quantity
        if order.status ~= "paid" then reject("order " .. cmd.data.order .. " is not paid") end
        if left < 0 then reject("there are only " .. stock.on_hand .. " of " .. stock.sku) end
        local picked = event("Picked", cmd.data)
        if left > 0 then return picked end
        return picked, event("SoldOut", {})
      end,
    },
  },

  events = {
    PriceSet = { evolve = function(stock, e) stock.price = money.of(e.data.price) end },
    Received = {
      evolve = function(stock, e)
        stock.on_hand, stock.sold_out = stock.on_hand + e.data.quantity, nil
      end,
    },
    Picked = { evolve = function(stock, e) stock.on_hand = stock.on_hand - e.data.quantity end },
    SoldOut = { evolve = function(stock, e) stock.sold_out = e.time end },
  },
}
