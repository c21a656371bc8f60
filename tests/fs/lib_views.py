"""What the tests of views and queries share: a domain of orders with two projections and an index, and waiting until
views have seen what was appended."""

import os

import lib
from lib_domain import started

ORDER = """return {
  commands = {
    Place = { decide = function(s, cmd) return event("Placed", cmd.data) end },
    Pay = { decide = function(s, cmd) return event("Paid", cmd.data) end },
    Say = { decide = function(s, cmd) return event("Said", cmd.data) end },
  },
  events = {
    Placed = { evolve = function(s, e) s.customer, s.status, s.total = e.data.customer, "placed", e.data.total end },
    Paid = { evolve = function(s, e) s.status = "paid" end },
    Said = { evolve = function(s, e) s.said = e.data end },
  },
}
"""

BY_CUSTOMER = """return {
  from = { "order" },
  key = function(e, order) return order.customer end,
  init = function(key) return { orders = 0, total = 0 } end,
  on = { Placed = function(view, e) view.orders, view.total = view.orders + 1, view.total + e.data.total end },
}
"""

BY_STATUS = """return {
  kind = "index",
  from = { "order" },
  path = function(order) return { order.customer, order.status } end,
}
"""

# One file an order: its part is in the order's own directory too. What `Say` says the file is, it is.
SAID = """return {
  from = { "order" },
  key = function(e) return e.subject end,
  on = {
    Placed = function(view, e) view.placed = true end,
    Said = function(view, e)
      if e.data.fail then error("as it was told") end
      if e.data.remove then return remove end
      view.text = e.data.text
    end,
  },
}
"""

FILES = {
    "aggregates/order.lua": ORDER,
    "views/by_customer.lua": BY_CUSTOMER,
    "views/by_status.lua": BY_STATUS,
    "views/said.lua": SAID,
}


def orders(daemons, place, options=(), files=FILES):
    """A mounted domain of orders: 1 and 2 are alice's, 3 is bob's, 1 is paid."""
    mount = started(daemons, place, files=files, options=options)
    placed(mount, 1, "alice", 5)
    placed(mount, 2, "alice", 7)
    placed(mount, 3, "bob", 1)
    mount.append("order/1", {"type": "Pay"})
    barrier(mount)
    return mount


def placed(mount, order, customer, total=1):
    mount.append("", {"type": "Place", "aggregate": f"order/{order}", "data": {"customer": customer, "total": total}})


def said(mount, order, **data):
    mount.append("", {"type": "Say", "aggregate": f"order/{order}", "data": data})


def barrier(mount, name="barrier"):
    """Returns when every view has seen what was appended before."""
    text = mount.read(".esfs", name)
    assert text.endswith(b"\n"), text
    return lib.strict(text)


def shown(mount, *names):
    """A file of a view or a query, its size checked."""
    text = mount.read(*names)
    assert text.endswith(b"\n"), (names, text)
    assert os.stat(mount.path(*names)).st_size == len(text), names
    return lib.strict(text)


def names(mount, *path):
    """What is listed, without what each view has."""
    return sorted(name for name in os.listdir(mount.path(*path)) if not name.startswith("."))
