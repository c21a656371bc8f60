-- customer/<id>: who may order. A handle belongs to one customer at a time.
return {
  unique = { handle = function(customer) return customer.handle end },

  commands = {
    Register = {
      schema = "Register.1",
      decide = function(customer, cmd)
        if customer.handle then reject("is registered already, as " .. customer.handle) end
        return event("Registered", cmd.data)
      end,
    },

    ChangeHandle = {
      schema = "ChangeHandle.1",
      decide = function(customer, cmd)
        if not customer.handle then reject("is not registered") end
        if cmd.data.handle == customer.handle then return end -- accepted, and there is nothing to add
        return event("HandleChanged", cmd.data)
      end,
    },

    Block = {
      schema = "Block.1",
      allow = { users = { "root" } },
      decide = function(customer, cmd)
        if customer.blocked then reject("is blocked already: " .. customer.blocked) end
        return event("Blocked", cmd.data)
      end,
    },
  },

  events = {
    Registered = {
      schema = "Registered.1",
      evolve = function(customer, e)
        customer.handle, customer.name, customer.since = e.data.handle, e.data.name, e.time
      end,
    },
    HandleChanged = { evolve = function(customer, e) customer.handle = e.data.handle end },
    Blocked = { evolve = function(customer, e) customer.blocked = e.data.reason end },
  },
}
