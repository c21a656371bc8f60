-- Amounts are texts like "12.50" in commands and events, and exact decimals in states: no cent is ever lost.
local money = { zero = decimal("0.00") }

function money.of(text) return decimal(text) end

function money.text(amount) return tostring(amount:round(2)) end

function money.total(lines)
  local total = money.zero
  for _, line in ipairs(lines) do total = total + money.of(line.price) * line.quantity end
  return total
end

return money
