-- 997 keys; looks into the data.
return {
  key = function(e) return e.data.sku end,
  init = function(sku) return { sku = sku, n = 0, qty = 0 } end,
  on = { ItemAdded = function(view, e) view.n, view.qty = view.n + 1, view.qty + e.data.qty end },
}
