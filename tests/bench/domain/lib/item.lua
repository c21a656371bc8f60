-- What the benchmark's commands (bench.c, line_make) become: each is looked at, turned into an event and counted.
return {
  initial = function() return { items = 0, qty = 0, total = 0 } end,
  commands = {
    ItemAdded = {
      schema = "ItemAdded.1",
      decide = function(order, cmd)
        local data = cmd.data
        if data.price * data.qty > 1000000 then reject("too dear") end
        if order.closed then reject("the order is closed") end
        return event("ItemAdded", data)
      end,
    },
  },
  events = {
    ItemAdded = {
      schema = "ItemAdded.1",
      evolve = function(order, e)
        local data = e.data
        order.items = order.items + 1
        order.qty = order.qty + data.qty
        order.total = order.total + data.price * data.qty
        order.last = data.sku
      end,
    },
  },
}
