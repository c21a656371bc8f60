"""What the tests of domains share: directories that a test may change, daemons that run them, and folds in Python that
know nothing of the daemon's.

The bank (tests/data/domains/bank) is the domain of most tests."""

import os
import shutil

import lib

DOMAINS = os.path.join(os.path.dirname(lib.HERE), "data", "domains")

EMPTY = "return {}\n"
"""A definition of a type that has nothing."""


class Domain:
    """A domain directory of the test's own. Begins as a copy of one of tests/data/domains, or with the files given."""

    def __init__(self, path, like=None, files=None):
        self.path = str(path)
        if like:
            shutil.copytree(os.path.join(DOMAINS, like), self.path)
        os.makedirs(self.path, exist_ok=True)
        for name, text in (files or {}).items():
            self.put(name, text)

    def put(self, name, content):
        """A file: text as it is, anything else as JSON."""
        path = os.path.join(self.path, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as f:
            f.write(content.encode() if isinstance(content, str) else lib.line(content))
        return self

    def get(self, name):
        with open(os.path.join(self.path, name), encoding="utf-8") as f:
            return f.read()

    def edit(self, name, old, new):
        text = self.get(name)
        assert text.count(old) == 1, f"{name} has {old!r} {text.count(old)} times"
        return self.put(name, text.replace(old, new))

    def remove(self, name):
        os.unlink(os.path.join(self.path, name))
        return self

    @property
    def option(self):
        return "domain=" + self.path


class TestedDomain(Domain):
    """tests(text) runs one test with `esfsctl test`, after what the helper defines; says(text, ...) one that fails with
    these words."""
    __test__ = False    # for pytest: no class of tests

    def __init__(self, path, helper, files):
        super().__init__(path, files=files)
        self.helper = helper

    def tests(self, text, helper=None):
        helper = self.helper if helper is None else helper
        self.put("tests/t.lua", f'{helper}test("a test", function()\n{text}\nend)\n')
        return lib.run([lib.esfsctl(), "test", self.path])

    def says(self, text, *words, helper=None):
        done = self.tests(text, helper)
        assert done.rc == 1 and done.out.endswith("\n0 passed, 1 failed\n"), done
        for said in words:
            assert said in done.out, f"{said!r} is not in\n{done.out}"
        return done.out


def prepared(daemons, place, like=None, files=None, options=()):
    """A daemon with a domain directory (daemon.domain), not started."""
    n = len([name for name in os.listdir(place) if name.startswith("domain")])
    domain = Domain(os.path.join(place, f"domain{n or ''}"), like, files)
    daemon = daemons(options=[domain.option, *options])
    daemon.domain = domain
    return daemon


def started(daemons, place, like=None, files=None, options=()):
    return prepared(daemons, place, like, files, options).start()


def order(events="", commands="", rest=""):
    """The text of a definition; what is left out is missing in it."""
    return f"return {{ {rest} events = {{ {events} }}, commands = {{ {commands} }} }}\n"


# --- commands

def send(mount, scope, kind, data=None, **members):
    """One command; its result line, whatever became of it."""
    with mount.commands(scope) as c:
        return c.ask({"type": kind, **({} if data is None else {"data": data}), **members})


def accepted(mount, scope, kind, data=None, **members):
    result = send(mount, scope, kind, data, **members)
    assert result["status"] == "appended", result
    return result


def refused(mount, scope, kind, data=None, errno="EPERM", **members):
    result = send(mount, scope, kind, data, **members)
    assert (result["status"], result.get("errno")) == ("rejected", errno), result
    return result


def opened(mount, *names):
    """Accounts that are open."""
    mount.append("", *[{"aggregate": f"account/{name}", "type": "Open", "data": {"owner": f"owner of {name}"}}
                       for name in names])


# --- what a domain makes of it

def reload(mount):
    """Loads the domain again: None, or the errno by name."""
    def write():
        fd = os.open(mount.path(".esfs/reload"), os.O_WRONLY)
        try:
            os.write(fd, b"1\n")
        finally:
            os.close(fd)
    return lib.error_of(write)


def errors(mount):
    return [lib.strict(text) for text in mount.lines(".esfs/errors.ndjson")]


def last_error(mount):
    return errors(mount)[-1]


def loaded(mount):
    """What .esfs/config.json says of the domain."""
    return lib.strict(mount.read(".esfs/config.json"))["domain"]


def state_bytes(mount, aggregate, when=None):
    return mount.read(aggregate, *(["views"] if when is None else ["at", str(when)]), "state.json")


def state(mount, aggregate, when=None):
    text = state_bytes(mount, aggregate, when)
    assert text.endswith(b"}\n") and text.count(b"\n") == 1, text
    return lib.strict(text)


def stream(mount, aggregate, when=None):
    lines = mount.lines(aggregate, *([] if when is None else ["at", str(when)]), "stream.ndjson")
    return [lib.strict(text) for text in lines]


def shown(mount, *aggregates, every=1):
    """All that is folded from the log, as bytes: state and stream of now and of every n-th version."""
    seen = {}
    for aggregate in aggregates:
        version = mount.version(aggregate)
        for where in [("views", "state.json"), ("stream.ndjson",), ("events.ndjson",)]:
            seen[aggregate, where] = mount.read(aggregate, *where)
        for v in {*range(0, version + 1, every), version}:
            for name in ("state.json", "stream.ndjson"):
                seen[aggregate, ("at", v, name)] = mount.read(aggregate, "at", str(v), name)
    return seen


# --- the bank, folded by itself

def account(name):
    return {"id": name, "balance": 0, "moves": 0, "tags": [], "notes": {}}


def account_evolve(a, e):
    data = e["data"]
    if e["type"] == "Opened":
        a["owner"] = data["owner"]
        if "iban" in data:
            a["iban"] = data["iban"]
    elif e["type"] in ("Deposited", "Withdrawn"):
        a["balance"] += data["amount"] if e["type"] == "Deposited" else -data["amount"]
        a["moves"] += 1
    elif e["type"] == "IbanSet":
        a.pop("iban", None)
        if "iban" in data:
            a["iban"] = data["iban"]
    elif e["type"] == "Tagged":
        a["tags"].append(data["tag"])
    elif e["type"] == "Noted":
        a["notes"][str(e["version"])] = data


def account_fold(events, name=None):
    """The state that an account's events lead to."""
    a = account(name if name is not None else events[0]["subject"])
    for e in events:
        account_evolve(a, e)
    return a


def accounts_of(events):
    """All accounts in a log: name -> state."""
    found = {}
    for e in events:
        account_evolve(found.setdefault(e["subject"], account(e["subject"])), e)
    return found


def check_accounts(mount, kind="account"):
    """Every account's state is the fold of its events, and no two hold one IBAN. Gives the events."""
    events = mount.log_events(kind)
    expected = accounts_of(events)
    for name, a in expected.items():
        assert state(mount, f"{kind}/{name}") == a, name
    ibans = [a["iban"] for a in expected.values() if a.get("iban") is not None]
    assert len(set(ibans)) == len(ibans), "an IBAN twice"
    return events
