"""lag.py MOUNTPOINT SECONDS RATE: how far a view is behind the log while RATE commands a second come in.

A writer sends what the benchmark's writer sends, paced, in bursts of a hundredth of a second. Meanwhile one more command
is sent again and again, and the time from its answer to the moment when the file of its key in the view by_sku shows it
is taken. Prints percentiles in ms, and the rate that was reached."""
import json
import os
import subprocess
import sys
import time

mnt, seconds, rate = sys.argv[1], float(sys.argv[2]), int(sys.argv[3])
BURST = 0.01


def command(order, qty=1, sku=None):
    data = {"sku": sku or f"SKU-{order % 997:04}", "name": "Blue widget", "qty": qty, "price": 1299, "note": "x" * 60}
    return json.dumps({"type": "ItemAdded", "aggregate": f"order/order-{order:06}", "data": data}).encode() + b"\n"


def write_paced():
    fd = os.open(f"{mnt}/commands", os.O_WRONLY)
    burst, n, began = int(rate * BURST), 0, time.monotonic()
    lines = [command(order) for order in range(10000)]
    while time.monotonic() - began < seconds + 1:
        text = b"".join(lines[(n + i) % 10000] for i in range(burst))
        assert os.write(fd, text) == len(text)
        n += burst
        time.sleep(max(0, began + n / rate - time.monotonic()))
    print(n / (time.monotonic() - began))


if len(sys.argv) > 4:
    write_paced()
    sys.exit()

writer = subprocess.Popen([sys.executable, *sys.argv, "write"], stdout=subprocess.PIPE, text=True)
time.sleep(0.5)
fd, lags, qty, began = os.open(f"{mnt}/commands", os.O_WRONLY), [], 0, time.monotonic()
while time.monotonic() - began < seconds:
    text = command(99, sku="SKU-9999")
    assert os.write(fd, text) == len(text)
    qty += 1
    sent = time.monotonic()
    while True:
        try:
            with open(f"{mnt}/views/by_sku/SKU-9999.json", "rb") as f:
                if json.load(f)["qty"] >= qty:
                    break
        except FileNotFoundError:
            pass
    lags.append((time.monotonic() - sent) * 1000)
    time.sleep(0.005)
reached = float(writer.communicate()[0])
lags.sort()
print(f"{lags[len(lags) // 2]:.4g}\tms\t p50")
print(f"{lags[len(lags) * 99 // 100]:.4g}\tms\t p99")
print(f"{reached:.6g}\tevents/s\t, reached")
