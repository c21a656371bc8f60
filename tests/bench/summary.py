#!/usr/bin/env python3
"""summary.py FIGURES.tsv: the figures of run.sh as a Markdown table, then the command of each.

A line of the file: round, measure, who, value, unit, command. A ratio is that of esfs to the peer in one round; the
table shows its median over the rounds."""

import sys
from statistics import median

# measure, peer (None: the figure itself is the target's), at least or at most, how much
TARGETS = [
    ("bulk, writers: 1", None, ">=", 250000),
    ("bulk, writers: 1", "rocksdb", ">=", 2),
    ("bulk, writers: 1", "sqlite", ">=", 2.5),
    ("bulk, writers: 4", None, ">=", 250000),
    ("bulk, writers: 4", "rocksdb", ">=", 2),
    ("one command p50", "disk", "<=", 1.5),
    ("echo > commands, bash", None, ">=", 1000),
    ("echo > commands, dash", None, ">=", 1000),
    ("32 writers", "rocksdb", ">=", 1.5),
    ("32 writers, reopening", "rocksdb:32 writers", ">=", 1.5),
    ("whole log, cat", None, ">=", 1500000),
    ("whole log, dd", None, ">=", 1500000),
    ("one event, large store, first time p50", None, "<=", 100),
    ("one event, large store, again p50", None, "<=", 100),
    ("4 KiB of the log, large store p50", None, "<=", 100),
    ("streams of 100, large store", None, ">=", 300000),
    ("streams of 100, large store, neighbours", None, ">=", 300000),
    ("streams of 100, million", None, ">=", 300000),
    ("streams of 100, million, neighbours", None, ">=", 300000),
    ("tar of 100,000, cold", "null", ">=", 0.8),
    ("tar of 100,000, warm", "null", ">=", 0.8),
    ("ls -f of 1,000,000, cold", "null", ">=", 0.7),
    ("ls -f of 1,000,000, warm", "null", ">=", 0.7),
    ("find of 1,000,000, cold", "null", ">=", 0.7),
    ("find of 1,000,000, warm", "null", ">=", 0.7),
    ("find of 1,000 aggregates, cold", "null", ">=", 0.7),
    ("find of 1,000 aggregates, warm", "null", ">=", 0.7),
    ("open + read + close, cold", "null", ">=", 0.8),
    ("open + read + close, warm", "null", ">=", 0.8),
    ("open + read + close, 2 processes, cold", "null", ">=", 0.8),
    ("open + read + close, 2 processes, warm", "null", ">=", 0.8),
    ("start after a clean stop", None, "<=", 1),
    ("start after kill -9", None, "<=", 3),
    ("resident memory, most while loading", None, "<=", 300),
    ("resident memory, most while reading", None, "<=", 300),
    ("disk / rendered size", None, "<=", 0.6),
    ("with a domain, writers: 1", None, ">=", 100000),
    ("with a domain, writers: 4", None, ">=", 100000),
    ("state.json of 1,000,000 events, cold", None, "<=", 20),
    ("one command after 1,000,000 events p50", "after 10", "<=", 1.5),
    ("view of a count, catch-up", None, ">=", 300000),
    ("view of 997 keys, catch-up", None, ">=", 300000),
    ("view of 10,000 keys, catch-up", None, ">=", 300000),
    ("index of 10,000 links, catch-up", None, ">=", 100000),
    ("bulk with four views, writers: 4", "no views", ">=", 0.5),
    ("view's lag at 20,000/s p99", None, "<=", 100),
    ("view's file, open + read + close", "null", ">=", 0.8),
    ("backlog, 1 MiB a read", None, ">=", 1000000),
    ("backlog, acknowledged", "nats", ">=", 1),
    ("live p50", None, "<=", 1000),
    ("live p50", "nats", "<=", 1),
    ("live beside 1,000 that wait p50", None, "<=", 1000),
    ("published to Kafka", "producer", ">=", 0.8),
    ("bulk while publishing, writers: 4", "not published", ">=", 0.7),
    ("append to kcat p50", None, "<=", 20),
    ("command of 240 bytes check", None, "<=", 1000),
    ("command of 240 bytes check", "python", "<=", 1),
]


def read(path):
    """(measure, who) -> {"unit", "command", "values": {round: value}}, in the order of the file."""
    figures = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            number, measure, who, value, unit, command = line.rstrip("\n").split("\t")
            figure = figures.setdefault((measure, who), {"unit": unit, "command": command, "values": {}})
            figure["values"][number] = float(value)
    return figures


def shown(value):
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def middle(figure):
    return median(figure["values"].values())


def ratio(ours, theirs):
    rounds = ours["values"].keys() & theirs["values"].keys()
    return median(ours["values"][r] / theirs["values"][r] for r in rounds) if rounds else None


def row(figures, measure, peer, comparison=None, limit=None):
    ours = figures[measure, "esfs"]
    who, _, other = (peer or "").partition(":")
    theirs = figures.get((other or measure, who))
    times = ratio(ours, theirs) if theirs else None
    judged = times if peer and limit is not None else middle(ours)
    if limit is None:
        target, verdict = "", ""
    else:
        target = f"{'at least' if comparison == '>=' else 'at most'} {shown(limit)}" + (" x" if peer else "")
        met = judged is not None and (judged >= limit if comparison == ">=" else judged <= limit)
        verdict = "met" if met else "not measured" if judged is None else "MISSED"
    return (f"| {measure} | {shown(middle(ours))} {ours['unit']} | "
            f"{who + ' ' + shown(middle(theirs)) if theirs else ''} | {shown(times) if times is not None else ''} | "
            f"{target} | {verdict} |")


def table(figures):
    print("| measure | esfs | peer | ratio | target | |\n|---|--:|--:|--:|--:|---|")
    done = set()
    for measure, peer, comparison, limit in TARGETS:
        if (measure, "esfs") in figures:
            done |= {(measure, "esfs"), (measure, (peer or "").partition(":")[0])}
            print(row(figures, measure, peer, comparison, limit))
    for measure, who in figures:
        if who == "esfs":
            for peer in [w for m, w in figures if m == measure and w != "esfs" and (m, w) not in done]:
                print(row(figures, measure, peer))
                done.add((measure, "esfs"))
            if (measure, who) not in done:
                print(row(figures, measure, None))


def commands(figures):
    """Each once, under the first measure that it gave a figure of."""
    print("\nCommands:\n")
    seen = set()
    for (measure, who), figure in figures.items():
        if figure["command"] not in seen:
            seen.add(figure["command"])
            print(f"- {measure}, {who}: `{figure['command']}`")


figures = read(sys.argv[1])
print()
table(figures)
commands(figures)
