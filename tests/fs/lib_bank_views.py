"""What the tests of views share: definitions over the bank (lib_domain.py), what they must show, worked out from the log
alone, and what a mount shows."""

import os

import lib
from lib_domain import account, account_evolve

VIEWS = {
    "views/kinds.lua": """return {
  key = function(e) return { e.type, "all" } end,
  init = function(key) return { kind = key, n = 0, last = "" } end,
  on = { ["*"] = function(view, e) view.n = view.n + 1 view.last = e.id end },
}
""",
    "views/balances.lua": """return {
  from = { "account" },
  key = function(e) return e.subject end,
  init = function(id) return { id = id, seen = 0 } end,
  on = { ["*"] = function(view, e, a) view.balance, view.moves, view.seen = a.balance, a.moves, view.seen + 1 end },
  output = function(view, key) return { account = key, balance = view.balance, moves = view.moves, seen = view.seen } end,
}
""",
    "views/rich.lua": """return {
  from = { "account" },
  key = function(e) return e.subject end,
  init = function(id) return { balance = 0 } end,
  on = {
    Deposited = function(view, e, a) if a.balance < 50 then return remove end view.balance = a.balance end,
    Withdrawn = function(view, e, a) if a.balance < 50 then return remove end view.balance = a.balance end,
  },
}
""",
    "views/by_moves.lua": """return {
  kind = "index", from = { "account" },
  path = function(a) if a.moves > 0 then return { a.owner and "owned" or "free", "m" .. a.moves % 7 } end end,
}
""",
}


def kinds_of(events):
    found = {}
    for e in events:
        for key in (e["type"], "all"):
            view = found.setdefault(key, {"kind": key, "n": 0, "last": ""})
            view["n"] += 1
            view["last"] = e["id"]
    return found


def views_of(events):
    """View -> file or link -> content or target, of a log of the bank."""
    accounts, balances, rich = {}, {}, {}
    for e in events:
        name = e["subject"]
        a = accounts.setdefault(name, account(name))
        account_evolve(a, e)
        seen = balances.get(name, {"seen": 0})["seen"] + 1
        balances[name] = {"account": name, "balance": a["balance"], "moves": a["moves"], "seen": seen}
        if e["type"] in ("Deposited", "Withdrawn"):
            rich.pop(name, None)
            if a["balance"] >= 50:
                rich[name] = {"balance": a["balance"]}
    links = {f"{'owned' if 'owner' in a else 'free'}/m{a['moves'] % 7}/{name}": f"../../../../account/{name}"
             for name, a in accounts.items() if a["moves"] > 0}
    return {"kinds": kinds_of(events), "balances": balances, "rich": rich, "by_moves": links}


def settle(mount, form="barrier", timeout=60):
    """Waits for every view; what the barrier says."""
    done = lib.run(["cat", mount.path(".esfs", form)], timeout=timeout)
    assert done.rc == 0, done
    return lib.strict(done.out.encode())


def files(mount, view):
    """Key -> bytes, of a projection."""
    top = mount.path("views", view)
    names = [n for n in os.listdir(top) if not n.startswith(".")]
    assert len(set(names)) == len(names)
    found = {}
    for name in names:
        assert name.endswith(".json"), name
        with open(os.path.join(top, name), "rb") as f:
            found[name[:-5]] = f.read()
        assert os.stat(os.path.join(top, name)).st_size == len(found[name[:-5]]), name
    return found


def links(mount, view):
    """Path below the view -> target, of an index. No directory in it may be empty."""
    top, found = mount.path("views", view), {}
    for at, dirs, names in os.walk(top):
        shown = [n for n in dirs + names if not n.startswith(".")]
        assert at == top or shown, f"{at} is empty"
        for name in shown:
            path = os.path.join(at, name)
            if os.path.islink(path):
                found[os.path.relpath(path, top)] = os.readlink(path)
        dirs[:] = [d for d in dirs if not d.startswith(".") and not os.path.islink(os.path.join(at, d))]
    return found


def shown(mount):
    """What all views of VIEWS show, as bytes and targets."""
    return {**{v: files(mount, v) for v in ("kinds", "balances", "rich")}, "by_moves": links(mount, "by_moves")}


def check(mount):
    """Every view is what the log makes. Gives what they show."""
    found, wanted = shown(mount), views_of(mount.log_events())
    for view, content in wanted.items():
        got = found[view] if view == "by_moves" else {k: lib.strict(text) for k, text in found[view].items()}
        assert got == content, view
    return found


def status(mount, view):
    return lib.strict(mount.read("views", view, ".status.json"))


def rebuild(mount, view):
    with open(mount.path("views", view, ".rebuild"), "wb", buffering=0) as f:
        f.write(b"\n")
