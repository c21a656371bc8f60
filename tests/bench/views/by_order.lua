-- A key an aggregate. Its files are called as events are, for the reader that opens those.
return {
  key = function(e) return ("%010d-ItemAdded"):format(tonumber(e.subject:sub(7)) + 1) end,
  init = function() return { n = 0 } end,
  on = { ItemAdded = function(view, e) view.n, view.last = view.n + 1, e.data.sku end },
}
