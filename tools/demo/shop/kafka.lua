-- What others hear of the shop: the warehouse which articles are ordered, a line each; nobody who orders them, or why not.
return {
  from = { "order" },
  on = {
    OrderPlaced = function(data)
      local lines = {}
      for i, line in ipairs(data.lines) do
        lines[i] = event("LineOrdered", { sku = line.sku, quantity = line.quantity })
      end
      return lines
    end,
    OrderPaid = true,
    OrderShipped = true,
    OrderCancelled = function() return event("OrderCancelled", {}) end,
  },
}
