return {
  open = function(account) return "the account is open already: " .. account.owner end,
  closed = function(account) return "account " .. account.id .. " is not open" end,
}
