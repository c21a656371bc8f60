-- views/orders_by_status/<status>/<customer>/<order>: a link to each order, which moves when its status changes.
return {
  kind = "index",
  from = { "order" },
  path = function(order)
    if order.status then return { order.status, order.customer } end
  end,
}
