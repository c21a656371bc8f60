-- Each event moves a link.
return { kind = "index", path = function(order) return { order.items % 10 } end }
