-- The order of work at a help desk, as its log shows it: a ticket begins when it is entered (3) or its seriousness is
-- assigned (1); it can wait (9) when somebody has taken it in charge (8); once it is closed (6), it is taken in charge
-- again or stays closed.
local ENTERED, ASSIGNED, WAITING, TAKEN, CLOSED = 3, 1, 9, 8, 6

-- version 2 of the event: day and time apart
local function split(data)
  data.day, data.time = data.completed:sub(1, 10), data.completed:sub(12)
  data.completed = nil
  return data
end

return {
  initial = function() return { done = 0, taken = false, closed = 0 } end,
  commands = {
    Perform = {
      schema = "Perform.1",
      decide = function(ticket, cmd)
        local activity = cmd.data.activity
        if ticket.done == 0 and activity ~= ASSIGNED and activity ~= ENTERED then
          reject("a ticket does not begin with " .. activity)
        elseif activity == WAITING and not ticket.taken then
          reject("nobody has taken it in charge")
        elseif ticket.last == CLOSED and activity ~= TAKEN then
          reject("the ticket is closed")
        end
        return event("Performed", split(cmd.data))
      end,
    },
  },
  events = {
    Performed = {
      schema = "Performed.2",
      upcast = { [1] = split },
      evolve = function(ticket, e)
        local activity = e.data.activity
        ticket.done = ticket.done + 1
        ticket.last = activity
        ticket.day = e.data.day
        if activity == TAKEN then ticket.taken = true end
        if activity == CLOSED then ticket.closed = ticket.closed + 1 end
      end,
    },
  },
}
