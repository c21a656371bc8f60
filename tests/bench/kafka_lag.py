"""kafka_lag.py MOUNTPOINT BROKERS TOPIC SECONDS: from the answer to one command until kcat has printed its event. Prints
percentiles in ms. The topic must be there."""
import json
import os
import subprocess
import sys
import time

mnt, brokers, topic, seconds = sys.argv[1], sys.argv[2], sys.argv[3], float(sys.argv[4])
kcat = subprocess.Popen(["kcat", "-b", brokers, "-C", "-t", topic, "-o", "end", "-u", "-q", "-f", "%s\n"],
                        stdout=subprocess.PIPE)
fd, lags, n = os.open(f"{mnt}/commands", os.O_WRONLY), [], 0


def send():
    global n
    n += 1
    text = json.dumps({"type": "Ticked", "aggregate": f"order/order-{n % 997:06}", "data": {"tick": n, "note": "x" * 120}})
    assert os.write(fd, text.encode() + b"\n") == len(text) + 1
    return time.monotonic()


def wait_for(tick):
    while json.loads(kcat.stdout.readline()).get("tick") != tick:
        pass


time.sleep(2)  # kcat has found the end of each partition
for _ in range(20):
    send()
wait_for(n)
began = time.monotonic()
while time.monotonic() - began < seconds:
    sent = send()
    wait_for(n)
    lags.append((time.monotonic() - sent) * 1000)
    time.sleep(0.003)
kcat.kill()
lags.sort()
print(f"{lags[len(lags) // 2]:.4g}\tms\t p50")
print(f"{lags[len(lags) * 99 // 100]:.4g}\tms\t p99")
