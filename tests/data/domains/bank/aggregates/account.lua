local words = require("words")

return {
  initial = function(id) return { id = id, balance = 0, moves = 0, tags = array {}, notes = {} } end,
  unique = { iban = function(account) return account.iban end },
  commands = {
    Open = {
      schema = "Open.1",
      decide = function(account, cmd)
        if account.owner then reject(words.open(account)) end
        return event("Opened", cmd.data)
      end,
    },
    Deposit = {
      schema = "Deposit.1",
      decide = function(account, cmd)
        if not account.owner then reject(words.closed(account)) end
        return event("Deposited", { amount = cmd.data.amount })
      end,
    },
    Withdraw = {
      decide = function(account, cmd)
        if account.balance < cmd.data.amount then
          reject("the balance is " .. account.balance .. ", not " .. cmd.data.amount)
        end
        return event("Withdrawn", { amount = cmd.data.amount })
      end,
    },
    -- the one it goes to must be open
    Send = {
      decide = function(account, cmd, get)
        local other = get("account/" .. cmd.data.to)
        if not other.owner then reject("account " .. cmd.data.to .. " is not open") end
        if account.balance < cmd.data.amount then reject("the balance is " .. account.balance) end
        return {
          event("Withdrawn", { amount = cmd.data.amount }),
          event("Sent", { to = cmd.data.to, seen = other.balance }),
        }
      end,
    },
    SetIban = { decide = function(_, cmd) return event("IbanSet", cmd.data) end },
    Tag = { decide = function(_, cmd) return event("Tagged", { tag = cmd.data.tag }) end },
    Note = { decide = function(_, cmd) return event("Noted", cmd.data) end },
    -- n events, as several values or as a list
    Values = {
      decide = function(_, cmd)
        local made = array {}
        for i = 1, cmd.data.n do made[i] = event("Tagged", { tag = "v" .. i }) end
        return table.unpack(made)
      end,
    },
    List = {
      decide = function(_, cmd)
        local made = array {}
        for i = 1, cmd.data.n do made[i] = event("Tagged", { tag = "l" .. i }) end
        return made
      end,
    },
    Told = {
      decide = function(account, cmd)
        return event("Noted", {
          aggregate = cmd.aggregate, type = cmd.type, id = cmd.id, uid = cmd.uid, gids = cmd.gids, time = cmd.time,
          version = cmd.version, correlationid = cmd.correlationid, meta = cmd.meta, data = cmd.data,
          uuids = { cmd.uuid(1), cmd.uuid(2), cmd.uuid(1) },
        })
      end,
    },
  },
  events = {
    Opened = { schema = "Opened.1", evolve = function(a, e) a.owner, a.iban = e.data.owner, e.data.iban end },
    Deposited = {
      schema = "Deposited.1",
      evolve = function(a, e) a.balance = a.balance + e.data.amount; a.moves = a.moves + 1 end,
    },
    Withdrawn = { evolve = function(a, e) a.balance = a.balance - e.data.amount; a.moves = a.moves + 1 end },
    Sent = {},
    IbanSet = { evolve = function(a, e) a.iban = e.data.iban end },
    Tagged = { evolve = function(a, e) a.tags[#a.tags + 1] = e.data.tag end },
    Noted = { evolve = function(a, e) a.notes[tostring(e.version)] = e.data end },
  },
}
