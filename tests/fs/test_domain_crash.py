"""kill -9 under load with a domain: what was acknowledged is there, states are the folds of the events, and unique
values have the holders that the events say.

ESFS_DOMAIN_CYCLES: how many kills. ESFS_SEED: of the moments."""

import json
import os
import random
import threading
import time

import pytest

import lib
from lib import line
from lib_daemon import pause
from lib_domain import account_fold, accounts_of, check_accounts, opened, send, started, state

WRITERS = 8
VALUES = 40
"""IBANs that they all want."""

REFUSALS = {"EPERM", "ENOTUNIQ"}


class Writer:
    """Writes until the mount dies. A command whose outcome is not known is sent again the next time."""

    def __init__(self, mount, number):
        self.mount, self.number, self.random = mount, number, random.Random(number)
        self.n = 0
        self.pending = None
        self.versions = {}      # account -> version as acknowledged
        self.acknowledged = {}  # command id -> ids of its events
        self.refused = set()    # command ids
        self.transactions = []  # lists of command ids
        self.faults = []

    def one(self, account, kind, data):
        self.n += 1
        return {"aggregate": f"account/{account}", "type": kind, "id": f"{self.number}-{self.n}", "data": data}

    def value(self):
        """A command or a transaction."""
        me, other = f"w{self.number}", f"w{self.random.randrange(WRITERS)}"
        amount = self.random.randrange(1, 50)
        kind = self.random.randrange(7)
        if kind == 0:
            return self.one(me, "Withdraw", {"amount": amount})
        if kind == 1:
            return self.one(me, "List", {"n": self.random.randrange(5)})
        if kind == 2:
            return self.one(f"shared{self.random.randrange(3)}", "Note", {"x": "y" * self.random.randrange(2000)})
        if kind == 3:
            return [self.one(me, "Send", {"to": other, "amount": amount}),
                    self.one(other, "Deposit", {"amount": amount})]
        if kind == 4:
            iban = {"iban": f"I{self.random.randrange(VALUES)}"} if self.random.random() < 0.8 else {}
            return self.one(self.random.choice([me, f"shared{self.random.randrange(3)}"]), "SetIban", iban)
        if kind == 5:  # what it had goes to a shared account
            return [self.one(me, "SetIban", {}), self.one("shared0", "SetIban", {"iban": f"I{self.number}"}),
                    self.one(me, "Tag", {"tag": "gave"})]
        return self.one(me, "Deposit", {"amount": amount})

    def note(self, value, result):
        members = value if isinstance(value, list) else [value]
        ids = [m["id"] for m in members]
        if result["status"] == "rejected":
            if result["errno"] not in REFUSALS:
                self.faults.append((value, result))
            self.refused.update(ids)
            return
        for member, told in zip(members, result.get("commands", [result]), strict=True):
            name = member["aggregate"]
            if told["version"] < self.versions.get(name, 0):
                self.faults.append((member, told, "goes back from", self.versions[name]))
            self.versions[name] = told["version"]
            self.acknowledged[member["id"]] = told["events"]
        if len(ids) > 1:
            self.transactions.append(ids)

    def step(self, channel):
        self.pending = self.pending or self.value()
        refusal = lib.error_of(channel.write_all, line(self.pending))
        if refusal not in REFUSALS | {None}:
            return False
        for result in channel.results():
            if result["status"] == "unknown":
                return False
            self.note(self.pending, result)
            self.pending = None
        return self.pending is None

    def cycle(self):
        try:
            with self.mount.commands() as c:
                while self.step(c):
                    pass
        except OSError:
            pass

    def settle(self):
        with self.mount.commands() as c:
            while self.pending:
                assert self.step(c), self.pending

    def start(self):
        self.thread = threading.Thread(target=self.cycle)
        self.thread.start()


def check_log(mount, writers):
    """The log against what the writers were told."""
    events = check_accounts(mount)
    made = {}
    for e in events:
        made.setdefault(e.get("commandid"), []).append(e["id"])
    made.pop(None)
    for w in writers:
        assert not w.faults, w.faults[0]
        for command, ids in w.acknowledged.items():
            assert made.pop(command, []) == ids, f"{command} was acknowledged"
        for ids in w.transactions:
            assert all(i in w.acknowledged for i in ids)
        assert not w.refused & set(w.acknowledged)
    assert made == {}, "events that nobody was told of"
    return events


def check_unique(mount, events):
    holders = {a["iban"]: name for name, a in accounts_of(events).items() if a.get("iban") is not None}
    assert holders
    for i in range(VALUES):
        value = f"I{i}"
        result = send(mount, "account", "SetIban", {"iban": value}, aggregate="probe")
        if value in holders and holders[value] != "probe":
            assert result["errno"] == "ENOTUNIQ", (value, holders[value], result)
            assert result["detail"] == f"iban {json.dumps(value)} is held by account/{holders[value]}"
        else:
            assert result["status"] == "appended", (value, result)
            assert send(mount, "account/probe", "SetIban", {})["status"] == "appended"


@pytest.mark.timeout(500)
@pytest.mark.parametrize("options", [["snapshot_every=5", "states=64K"], []], ids=["small", "usual"])
def test_what_was_acknowledged_survives_every_kill(daemons, place, options):
    seed = int(os.environ.get("ESFS_SEED", time.time_ns() % 100_000))
    print("ESFS_SEED:", seed)
    moments = random.Random(seed)
    mount = started(daemons, place, "bank", options=options)
    opened(mount, *(f"w{n}" for n in range(WRITERS)), "shared0", "shared1", "shared2")
    writers = [Writer(mount, n) for n in range(WRITERS)]
    text = mount.domain.get("aggregates/account.lua")
    cycles = int(os.environ.get("ESFS_DOMAIN_CYCLES", 0)) or lib.size(30, 4)
    for cycle in range(cycles):
        for w in writers:
            w.start()
        pause(moments.uniform(0.05, 0.3) * lib.SLOW)
        mount.kill9()
        for w in writers:
            w.thread.join()
        if cycle % 5 == 4:  # all states are made anew at the start
            mount.domain.put("aggregates/account.lua", text + f"-- {cycle}\n")
        mount.start()
        for w in writers:
            assert not w.faults, w.faults[0]
            for name, version in w.versions.items():
                assert mount.version(name) >= version, name
        for name in moments.sample(["account/shared0", "account/shared1", "account/w0", "account/w1"], 2):
            assert state(mount, name) == account_fold(mount.events(name)), name
    for w in writers:
        w.settle()
    assert sum(len(w.acknowledged) for w in writers) > 10 * cycles and any(w.refused for w in writers)
    events = check_log(mount, writers)
    check_unique(mount, events)
    mount.stop()
    done = mount.verify(timeout=100)
    assert done.rc == 0, done
    mount.start()
    check_unique(mount, mount.log_events())
    mount.stop()
    done = mount.rebuild()
    assert done.rc == 0, done
    mount.start()
    check_unique(mount, check_accounts(mount))
