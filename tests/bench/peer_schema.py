"""peer_schema.py SCHEMA.json INSTANCE.json SECONDS: bench_schema's figures with Python's json and fastjsonschema."""
import json
import sys
import time

import fastjsonschema


def measure(suffix, work, argument, seconds):
    began, n = time.monotonic(), 0
    while time.monotonic() - began < seconds:
        for _ in range(1000):
            work(argument)
        n += 1000
    print(f"{(time.monotonic() - began) / n * 1e9:.6g}\tns\t{suffix}")


with open(sys.argv[1], encoding="utf-8") as f:
    check = fastjsonschema.compile(json.load(f))
with open(sys.argv[2], encoding="utf-8") as f:
    text = f.read()
measure(" read", json.loads, text, float(sys.argv[3]))
measure(" check", check, json.loads(text), float(sys.argv[3]))
