"""Publishing to a real Kafka broker, which is killed, stopped and refuses things; kcat and `esfsctl kafka verify` say
what arrived.

ESFS_KAFKA_LONG=1: 20 kills of the broker and 50 of the daemon, instead of 1 and 3, and a broker that hangs for a minute
instead of 4 seconds."""

import base64
import os
import random
import re
import shutil
import sys
import threading
import time

import pytest

import lib
import lib_domain
import lib_kafka
from lib_daemon import pause
from lib_kafka import MESSAGE_MAX, Broker, Publishing, murmur2_partition

KILLS = 20 if lib_kafka.LONG else 1
CRASHES = 50 if lib_kafka.LONG else 3
HANGS = 60 if lib_kafka.LONG else 4  # seconds

pytestmark = pytest.mark.timeout(180 if not lib_kafka.LONG else 1200)


@pytest.fixture(scope="module")
def broker(tmp_path_factory):
    lib_kafka.need_kafka()
    made = Broker(str(tmp_path_factory.mktemp("broker")))
    try:
        yield made.start()
    finally:
        made.put_away()


@pytest.fixture
def publish(daemons, broker):
    """publish("kafka-mode=structured", ...): started."""
    def make(*options, **more):
        made = Publishing(daemons, broker, *options, **more)
        made.daemon.start()
        return made
    return make


def event(aggregate, n, **members):
    return {"aggregate": aggregate, "type": "Counted", "data": {"n": n}, **members}


def incompressible(n, seed=1):
    return base64.b64encode(random.Random(seed).randbytes(n * 3 // 4)).decode()


class Load:
    """Appends without a pause, until it is told to stop; how long each write took."""

    def __init__(self, daemon, aggregates=20):
        self.daemon, self.aggregates, self.stopped, self.n, self.slowest, self.fault = daemon, aggregates, False, 0, 0, None
        self.thread = threading.Thread(target=self.run)

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def stop(self):
        self.stopped = True
        self.thread.join(60)
        assert self.fault is None, self.fault

    def run(self):
        try:
            with self.daemon.commands() as c:
                while not self.stopped:
                    text = b"".join(lib.line(event(f"order/{(self.n + i) % self.aggregates}", self.n + i))
                                    for i in range(10))
                    began = time.monotonic()
                    c.write_all(text)
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.n += 10
                    c.results()
                    time.sleep(0.01)
        except OSError as e:
            if not self.stopped:
                self.fault = e


# --- what arrives

def test_each_aggregates_events_arrive_in_order_over_four_partitions(publish, broker):
    p = publish()
    writers = [Load(p.daemon, 50) for _ in range(4)]
    for w in writers:
        w.__enter__()
    pause(1)
    for w in writers:
        w.stop()
    p.caught_up()
    log = {e["id"]: e for e in p.daemon.log_events()}
    messages = broker.messages(p.topic("order"))
    assert len(messages) == len(log) > 200
    assert {m["partition"] for m in messages} == {0, 1, 2, 3}
    versions = {}
    for m in messages:
        headers = dict(m["headers"])
        e = log[headers["ce_id"]]
        assert m["key"] == e["subject"] and lib.strict(m["payload"]) == e["data"]
        assert m["partition"] == murmur2_partition(m["key"].encode(), 4), m["key"]
        versions[m["key"]] = versions.get(m["key"], 0) + 1
        assert int(headers["ce_version"]) == versions[m["key"]], (m["key"], headers)
    assert "0 duplicates, 0 parked, 0 messages of others" in p.verified()


def test_a_binary_message_has_a_header_for_each_attribute(publish, broker):
    p = publish()
    p.daemon.append("", event("order/Zürich 1", 1, id="c-1", traceparent="00-4bf92f-01", causationid="why",
                              meta={"tenant": 'a"cmé', "n": -3, "yes": True}))
    p.caught_up()
    line = p.daemon.lines("log.ndjson")[0]
    attributes = lib.strict(line)
    data = attributes.pop("data")
    [m] = broker.messages(p.topic("order"))
    want = {"content-type": attributes.pop("datacontenttype"), "ce_partitionkey": "Zürich 1"}
    for name, value in attributes.items():
        want[f"ce_{name}"] = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
    assert dict(m["headers"]) == want and len(m["headers"]) == len(want)
    assert m["payload"].encode() == lib.data_bytes(line) and lib.strict(m["payload"]) == data
    assert m["key"] == "Zürich 1"


def test_a_structured_message_is_the_line_and_its_partitionkey(publish, broker):
    p = publish("kafka-mode=structured")
    p.daemon.append("", event('order/a"1', 1, meta={"tenant": "acme"}))
    p.caught_up()
    [m] = broker.messages(p.topic("order"))
    [line] = p.daemon.lines("log.ndjson")
    more = rb',"uid":0,"partitionkey":"a\"1","tenant":'
    assert m["payload"].encode() + b"\n" == line.replace(b',"uid":0,"tenant":', more) != line
    assert m["headers"] == [("content-type", "application/cloudevents+json")] and m["key"] == 'a"1'
    p.verified()


def test_the_cloudevents_sdk_reads_both_modes(publish, broker):
    where = lib_kafka.python_package("cloudevents", "cloudevents==1.12.0")
    if not where:
        pytest.skip("pip cannot get the package cloudevents")
    sys.path.insert(0, where)
    try:
        kafka = pytest.importorskip("cloudevents.kafka")
    finally:
        sys.path.remove(where)
    for mode, read in ("binary", kafka.from_binary), ("structured", kafka.from_structured):
        p = publish(f"kafka-mode={mode}")
        p.daemon.append("", event("order/1", 1, id="c-1", meta={"tenant": "acme", "n": 7}))
        p.caught_up()
        [m] = broker.messages(p.topic("order"))
        ours = p.daemon.events("order/1")[0]
        theirs = read(kafka.KafkaMessage({k: v.encode() for k, v in m["headers"]}, m["key"], m["payload"].encode()))
        data = theirs.get_data()
        assert (lib.strict(data) if isinstance(data, bytes) else data) == ours["data"]
        for name in ("id", "source", "type", "subject", "time", "specversion", "tenant", "commandid", "position"):
            assert theirs[name] == ours[name], name
        assert theirs["partitionkey"] == m["key"] == ours["subject"]
        p.daemon.stop()


def test_another_client_reads_what_kcat_reads(publish, broker):
    """kafka-python, which shares nothing with librdkafka."""
    where = lib_kafka.python_package("kafka", "kafka-python==2.0.2", "lz4==4.3.3")
    if not where:
        pytest.skip("pip cannot get the package kafka-python")
    sys.path.insert(0, where)
    try:
        kafka = pytest.importorskip("kafka")
        p = publish()
        p.daemon.append("", *[event(f"order/{n % 17}", n) for n in range(500)])
        p.caught_up()
        reader = kafka.KafkaConsumer(p.topic("order"), bootstrap_servers=broker.address, auto_offset_reset="earliest",
                                     consumer_timeout_ms=5000)
        theirs = [next(reader) for _ in range(500)]
        reader.close()
    finally:
        sys.path.remove(where)
    ours = broker.messages(p.topic("order"))
    assert len(ours) == 500
    assert sorted((m.partition, m.offset, m.key, m.value, dict(m.headers)["ce_id"]) for m in theirs) == sorted(
        (m["partition"], m["offset"], m["key"].encode(), m["payload"].encode(), dict(m["headers"])["ce_id"].encode())
        for m in ours)


def test_topics_are_made_of_types_and_escaped(publish, broker):
    p = publish(topic="x.{type}")
    for name in "order_line", "order-line", "Bücher", "a.b":
        p.daemon.append("", event(f"{name}/1", 1))
    p.caught_up()
    for topic in "x.order_line", "x.order--line", "x.B-c3-bccher", "x.a-2eb":
        assert len(broker.messages(p.topic(topic))) == 1, topic
    assert sorted(t["topic"] for t in p.status()["topics"]) == sorted(
        p.topic(t) for t in ("x.order_line", "x.order--line", "x.B-c3-bccher", "x.a-2eb"))
    p.verified()


def test_filters_choose_what_is_published(publish, broker):
    p = publish("kafka-filter=order", "kafka-filter=invoice/Paid", "kafka-since=0000000000000003")
    for aggregate, kind in ("order/1", "A"), ("invoice/1", "Paid"), ("invoice/1", "Paid"), ("invoice/1", "Made"), \
            ("stock/1", "Paid"), ("order/1", "B"):
        p.daemon.append("", {"aggregate": aggregate, "type": kind})
    p.caught_up()
    assert [dict(m["headers"])["ce_position"] for m in broker.messages(p.topic("invoice"))] == ["0000000000000003"]
    assert [dict(m["headers"])["ce_position"] for m in broker.messages(p.topic("order"))] == ["0000000000000006"]
    s = p.status()
    assert s["acknowledged"] == 2 and s["filter"] == ["invoice/Paid", "order"] and s["since"] == "0000000000000003"
    p.verified()


ORDER = """
local function same(name) return { decide = function(state, cmd) return event(name, cmd.data) end } end
return { commands = { Counted = same("Counted"), Noted = same("Noted") }, events = { Counted = {}, Noted = {} } }
"""


def test_kafka_lua_of_the_domain_says_what_is_published(publish, broker, tmp_path):
    (tmp_path / "aggregates").mkdir()
    (tmp_path / "aggregates" / "order.lua").write_text(ORDER)
    rules = tmp_path / "kafka.lua"
    rules.write_text("""return { on = { Counted = function(data, e)
      if data.n == 2 then error("two") end
      if data.n == 3 then return { event("Half", { n = 1 }), event("Half", { n = 2 }) } end
      return data
    end } }""")
    p = publish(f"domain={tmp_path}")
    p.daemon.append("", *[event("order/1", n) for n in (1, 3, 2, 4)], {"aggregate": "order/2", "type": "Noted"}, event("order/2", 5))
    p.wait(lambda s: s["parked"] == 2 and s["lag_events"] == 0)

    def arrived():
        ids = {e["id"]: e["version"] for e in p.daemon.log_events()}
        return sorted((m["key"], ids[h["ce_id"][:36]], h["ce_id"][36:], h["ce_type"], lib.strict(m["payload"])["n"])
                      for m in broker.messages(p.topic("order")) for h in [dict(m["headers"])])
    assert arrived() == [("1", 1, "", "Counted", 1), ("1", 2, "-1", "Half", 1), ("1", 2, "-2", "Half", 2), ("2", 2, "", "Counted", 5)]
    [name] = p.refused()
    assert p.parked_event(name)["error"] == "kafka.lua:2: two" and p.parked_event(name)["event"]["data"] == {"n": 2}
    assert p.move(name, "retry") == "EIO"
    rules.write_text("return { on = { Counted = true } }")
    assert lib_domain.reload(p.daemon) is None
    assert p.move(name, "retry") is None
    p.wait(lambda s: s["parked"] == 0 and s["kafka_lua_since"] == f"{6:016x}")
    assert arrived()[-3:] == [("1", 3, "", "Counted", 2), ("1", 4, "", "Counted", 4), ("2", 2, "", "Counted", 5)]
    assert "kafka.lua says" in p.daemon.log()
    p.daemon.append("", event("order/1", 6))
    p.caught_up()
    assert "6 events" in p.verified("--domain", str(tmp_path))
    assert "--domain DIR" in p.ctl("verify", "--brokers", broker.address).err


# --- the broker is in trouble

def test_a_broker_that_is_killed_under_load_loses_nothing(publish, broker):
    p = publish()
    with Load(p.daemon) as load:
        for _ in range(KILLS):
            pause(1)
            broker.kill9()
            before = load.n
            pause(1)
            assert load.n > before, "appends go on"
            broker.start()
            p.wait(lambda s: s["state"] in ("live", "catching-up"), 60, "it is connected again")
    p.caught_up()
    said = p.verified()
    assert f"{load.n} events" in said and " 0 parked" in said, said


def test_a_broker_that_hangs_slows_no_append(publish, broker):
    p = publish()
    with Load(p.daemon) as load:
        pause(1)
        broker.pause()
        try:
            load.slowest = 0
            before = load.n
            pause(HANGS)
            assert load.n > before + 100
            assert load.slowest < lib.limit(1), load.slowest
            assert p.status()["lag_events"] > 100
            s = p.wait(lambda s: s["state"] == "waiting", what="that nothing is heard is told")
            assert re.fullmatch(rf"no acknowledgement from {broker.address} for \d+ s", s["last_error"]["error"]) or lib_kafka.LONG
            assert not s["last_error"]["over"]
        finally:
            broker.resume()
    assert p.caught_up()["last_error"]["over"]
    assert "publishing to Kafka: no acknowledgement from" in p.daemon.log()
    assert f"{load.n} events" in p.verified()


def test_a_daemon_that_is_killed_sends_again_from_its_cursor(publish):
    p = publish()
    total = 0
    for _ in range(CRASHES):
        load = Load(p.daemon)
        load.__enter__()
        pause(1)
        load.stopped = True
        p.daemon.kill9()
        load.thread.join(30)
        p.daemon.start()
        total = p.daemon.status()["events"]
    p.caught_up()
    assert f"{total} events" in p.verified()


def test_a_topic_that_is_deleted_is_made_again(publish, broker):
    p = publish()
    with Load(p.daemon) as load:
        pause(1)
        broker.topics("delete", p.topic("order"))
        first = p.daemon.status()["events"] + 1
        pause(2)
    assert p.caught_up()["parked"] == 0
    said = f"topic {p.topic('order')}: offset "
    assert sum(said in line.decode() for line in p.daemon.lines(".esfs/errors.ndjson")) == 1, p.daemon.lines(".esfs/errors.ndjson")
    assert len(re.findall(re.escape(said), p.daemon.log())) == 1
    assert said in p.status()["last_error"]["error"] and "deleted or cut short" in p.status()["last_error"]["error"]
    p.daemon.stop()
    done = p.ctl("verify", "--brokers", broker.address)
    assert done.rc == 1 and re.search(r"position [0-9a-f]{16} of order/\d+ is missing", done.err), done
    # what came after the deletion is there; what was before it comes again when it is asked for, behind what is there
    late = p.ctl("verify", "--brokers", broker.address, "--from", f"{min(first + 1000, load.n):016x}")
    assert late.rc == 0, late
    broker.topics("delete", p.topic("order"))
    assert "publishes what comes behind position 0000000000000000" in p.ctl("seek", "start").out
    p.daemon.start()
    p.caught_up()
    assert f"{load.n} events" in p.verified()


def test_no_broker_at_all_is_told_once_and_slows_nothing(daemons, broker):
    p = Publishing(daemons, broker)
    port = lib_kafka.free_port()
    p.daemon.options = [f"kafka=localhost:{port}", *p.options[1:]]
    p.daemon.start()
    with p.daemon.commands() as c:
        began = time.monotonic()
        c.write_all(b"".join(lib.line(event(f"order/{i % 7}", i)) for i in range(20000)))
        assert time.monotonic() - began < lib.limit(5)
    s = p.wait(lambda s: s["state"] == "waiting")
    assert "Connection refused" in s["last_error"]["error"] and not s["last_error"]["over"]
    assert s["lag_events"] == 20000 and s["position"] == "0" * 16
    pause(6)
    assert len(re.findall("publishing to Kafka", p.daemon.log())) == 1, p.daemon.log()
    assert len(p.daemon.lines(".esfs/errors.ndjson")) == 1
    began = time.monotonic()
    p.daemon.stop()
    assert time.monotonic() - began < lib.limit(5)
    p.daemon.options = p.options
    p.daemon.start()
    p.caught_up()
    assert "20000 events" in p.verified()


@pytest.fixture
def small_disk(place):
    """A directory that is a file system of 200 MiB."""
    lib.need_root()
    lib.need("mkfs.ext4", "losetup")
    image, where = os.path.join(place, "image"), os.path.join(place, "disk")
    os.mkdir(where)
    with open(image, "wb") as f:
        f.truncate(200 << 20)
    assert lib.run(["mkfs.ext4", "-q", "-m", "0", image]).rc == 0
    mounted = lib.run(["mount", "-o", "loop", image, where])
    if mounted.rc != 0:
        pytest.skip(f"no loop device can be mounted here: {mounted.err.strip()}")
    yield where
    lib.run(["umount", "-l", where])


def test_a_broker_whose_disk_is_full_gets_the_rest_later(daemons, small_disk, tmp_path):
    lib_kafka.need_kafka()
    broker = Broker(str(tmp_path / "broker"), f"log.dirs={small_disk}/data", "log.index.size.max.bytes=65536",
                    "log.segment.bytes=16777216")
    try:
        p = Publishing(daemons, broker.start())
        p.daemon.start()
        p.daemon.append("", event("order/1", 0))
        p.caught_up()
        filler, pad = os.path.join(small_disk, "filler"), incompressible(1500)
        free = os.statvfs(small_disk)
        with open(filler, "wb") as f:
            os.posix_fallocate(f.fileno(), 0, (free.f_bavail - 512) * free.f_frsize)  # 2 MiB are left
        with p.daemon.commands() as c:
            for at in range(0, 8000, 200):
                c.write_all(b"".join(lib.line(event(f"order/{i % 9}", i, data={"n": i, "pad": pad}))
                                     for i in range(at, at + 200)))
        p.wait(lambda s: s["state"] == "waiting" and s["lag_events"] > 1000)
        os.unlink(filler)
        broker.put_away()
        broker.start()
        p.caught_up()
        assert p.status()["parked"] == 0
        assert "8001 events" in p.verified()
    finally:
        broker.put_away()


# --- what the broker refuses

def test_what_is_too_large_is_parked_and_its_aggregate_waits(publish, broker):
    p = publish()
    big = {"aggregate": "order/1", "type": "Big", "data": {"n": 1, "pad": incompressible(2 * MESSAGE_MAX)}}
    p.daemon.append("", event("order/1", 0), big, event("order/1", 2), event("order/2", 3), event("order/1", 4))
    p.wait(lambda s: s["parked"] == 3 and s["lag_events"] == 0)
    first, second, third = p.parked()
    assert (first, second, third) == tuple(f"{n:016x}.json" for n in (2, 3, 5))
    parked = p.parked_event(first)
    assert parked["event"] == p.daemon.events("order/1")[1] and "waits_for" not in parked
    assert parked["error"] == "Broker: Message size too large (MSG_SIZE_TOO_LARGE)" and parked["attempts"] == 1
    assert p.parked_event(third)["waits_for"] == f"{2:016x}" and "error" not in p.parked_event(third)
    assert "parked" in p.daemon.lines(".esfs/errors.ndjson")[0].decode()

    assert p.move(second, "retry") == "EBUSY"
    assert p.move(first, "retry") == "EIO"
    assert p.parked_event(first)["attempts"] == 2
    at = p.daemon.path(".esfs/kafka/parked")
    assert lib.error_of(os.rename, f"{at}/{first}", f"{at}/retry/another") == "EPERM"
    assert lib.error_of(os.unlink, f"{at}/{first}") == "EPERM"
    assert lib.error_of(os.rename, p.daemon.path("log.ndjson"), f"{at}/retry/log.ndjson") == "EPERM"
    p.daemon.crash()
    p.wait(lambda s: s["parked"] == 3)
    assert p.move(first, "skipped") is None
    p.wait(lambda s: s["parked"] == 0 and s["lag_events"] == 0)
    assert p.move(first, "skipped") == "ENOENT" and p.parked() == []

    def skipped():
        assert os.listdir(f"{at}/skipped") == [first]
        text = p.daemon.read(".esfs/kafka/parked/skipped", first)
        assert os.stat(f"{at}/skipped/{first}").st_size == len(text)
        return lib.strict(text)
    decided = skipped()
    assert list(decided) == ["position", "time", "uid", "event"] and decided["uid"] == os.geteuid()
    assert decided["event"] == parked["event"] and decided["time"] > parked["event"]["time"]
    assert lib.error_of(os.unlink, f"{at}/skipped/{first}") == "EPERM"
    assert lib.error_of(os.rename, f"{at}/skipped/{first}", f"{at}/retry/{first}") == "EPERM"
    assert lib.error_of(os.stat, f"{at}/skipped/{second}") == "ENOENT"
    got = [dict(m["headers"])["ce_position"] for m in broker.messages(p.topic("order")) if m["key"] == "1"]
    seen = sorted(set(got), key=got.index)
    assert seen == [f"{n:016x}" for n in (1, 3, 5)]
    assert p.status()["skipped"] == 1
    said = p.verified()
    assert "0 parked" in said and "\n1 event was passed over by hand (parked/skipped): it need not be there" in said
    assert p.daemon.verify().rc == 0
    # for good: also when all is published again
    p.ctl("seek", "start")
    p.daemon.start()
    p.caught_up()
    assert p.status()["parked"] == 0 and skipped() == decided
    p.daemon.crash()
    p.caught_up()
    assert skipped() == decided
    p.verified()


def test_refusals_never_let_a_later_event_pass(publish, broker):
    """A broker refuses what comes behind a batch that it has refused, but not from a producer that is new to the
    partition. Here each producer begins with a message that is too large, and has the next one ready."""
    p = publish()
    broker.topics("create", p.topic("order"), "1")
    p.daemon.restart([])
    pad, aggregates = incompressible(2 * MESSAGE_MAX), 12
    with p.daemon.commands() as c:
        for a in range(aggregates):
            large = {"aggregate": f"order/{a}", "type": "A", "data": {"n": 0, "pad": pad}}
            c.write_all(b"".join(map(lib.line, [large, event(f"order/{a}", 1), event(f"order/{a}", 2)])))
    p.daemon.restart(p.options)
    p.wait(lambda s: s["lag_events"] == 0 and s["parked"] == 3 * aggregates)
    assert broker.messages(p.topic("order")) == []
    assert len(p.refused()) == aggregates
    broker.topics("alter", p.topic("order"), f"max.message.bytes={10 * MESSAGE_MAX}")
    for name in p.refused():
        assert p.move(name, "retry") is None
    p.wait(lambda s: s["parked"] == 0)
    p.daemon.append("", event("order/1", 3))
    p.caught_up()
    assert f"{3 * aggregates + 1} events, 0 duplicates" in p.verified()


def test_nothing_passes_what_is_refused_in_the_midst_of_many(publish, broker):
    """More batches of the same aggregate are ready behind the one that is refused."""
    p = publish()
    broker.topics("create", p.topic("order"), "1")
    p.daemon.restart([])
    pad = incompressible(2 * MESSAGE_MAX)
    with p.daemon.commands() as c:
        for at in range(0, 6001, 500):
            c.write_all(b"".join(lib.line(event("order/1", i, **({"data": {"n": i, "pad": pad}} if i == 3000 else {})))
                                 for i in range(at, min(at + 500, 6001))))
    p.daemon.restart(p.options)
    p.wait(lambda s: s["lag_events"] == 0 and s["parked"] == 3001)
    assert p.refused() == [f"{3001:016x}.json"]
    broker.topics("alter", p.topic("order"), f"max.message.bytes={10 * MESSAGE_MAX}")
    assert p.move(p.refused()[0], "retry") is None
    p.wait(lambda s: s["parked"] == 0)
    assert "6001 events" in p.verified()


def test_a_topic_that_one_may_not_write_to_parks_its_events_alone(publish, broker):
    p = publish()
    broker.topics("create", p.topic("secret"), "2")
    broker.topics("deny", p.topic("secret"))
    p.daemon.append("", event("secret/1", 1), event("order/1", 2), event("secret/1", 3), event("secret/2", 4))
    p.wait(lambda s: s["parked"] == 3 and s["lag_events"] == 0)
    p.daemon.append("", event("order/1", 5))
    p.caught_up()
    assert len(broker.messages(p.topic("order"))) == 2 and broker.messages(p.topic("secret")) == []
    first, second = p.refused()
    assert "authorization failed" in p.parked_event(first)["error"].lower(), p.parked_event(first)
    assert {t["topic"]: t["refused"] for t in p.status()["topics"]}[p.topic("order")] == 0
    assert p.move(first, "retry") == "EIO"
    broker.topics("allow", p.topic("secret"))
    for name in first, second:
        lib.wait_until(lambda name=name: p.move(name, "retry") is None, 20, "it may be written to")
    p.wait(lambda s: s["parked"] == 0)
    assert "5 events" in p.verified()


def test_a_batch_that_is_too_large_only_together_is_made_smaller(publish, broker):
    p = publish()
    pad = incompressible(2000)
    with p.daemon.commands() as c:
        for at in range(0, 3000, 100):
            c.write_all(b"".join(lib.line({"aggregate": f"order/{i % 10}", "type": "A", "data": {"n": i, "pad": pad}})
                                 for i in range(at, at + 100)))
    p.caught_up()
    assert p.status()["parked"] == 0
    assert "3000 events" in p.verified()


def test_a_topic_that_kafka_does_not_make_is_told_and_waited_for(publish, broker):
    """Kafka makes none with a name that is another one's but for `.` and `_`."""
    p = publish(topic="a.{type}")
    broker.topics("create", p.topic("a_order"))
    p.daemon.append("", event("order/1", 1), event("order/1", 2))
    s = p.wait(lambda s: s["state"] == "waiting")
    assert f"topic {p.topic('a.order')}: Broker: Unknown topic or partition" in s["last_error"]["error"]
    pause(2)
    assert p.status()["state"] == "waiting" and p.status()["parked"] == 0
    broker.topics("delete", p.topic("a_order"))
    p.caught_up()
    assert "2 events" in p.verified()


# --- who may publish

def test_sasl_and_its_password_stay_in_the_file(daemons, tmp_path):
    lib_kafka.need_kafka()
    module = "org.apache.kafka.common.security.plain.PlainLoginModule"
    secured = Broker(str(tmp_path / "secured"))
    secured.properties = (
        f"listeners=SASL_PLAINTEXT://localhost:{secured.port},CONTROLLER://localhost:{secured.port + 1}",
        "listener.security.protocol.map=CONTROLLER:PLAINTEXT,SASL_PLAINTEXT:SASL_PLAINTEXT",
        "inter.broker.listener.name=SASL_PLAINTEXT", "sasl.enabled.mechanisms=PLAIN",
        "sasl.mechanism.inter.broker.protocol=PLAIN",
        f'listener.name.sasl_plaintext.plain.sasl.jaas.config={module} required username="admin" password="admin" '
        'user_admin="admin" user_esfs="s3cr3t-right";')
    config = tmp_path / "kafka.properties"
    lines = ["# who we are", f"bootstrap.servers={secured.address}", "security.protocol=SASL_PLAINTEXT",
             "sasl.mechanism=PLAIN", "sasl.username=esfs"]
    config.write_text("\n".join([*lines, "sasl.password=s3cr3t-wrong", ""]))
    daemon = daemons(options=[f"kafka-config={config}", "loglevel=debug"])
    try:
        secured.start()
        daemon.start()
        daemon.append("", event("order/1", 1))

        def status():
            return lib.strict(daemon.read(".esfs/kafka/status.json"))
        lib.wait_until(lambda: status()["state"] == "waiting", 20)
        assert "uthentication" in status()["last_error"]["error"], status()
        pause(3)
        assert len(re.findall("publishing to Kafka: .*uthentication", daemon.log())) == 1, daemon.log()
        assert len(daemon.lines(".esfs/errors.ndjson")) == 1
        daemon.stop()
        config.write_text("\n".join([*lines, "sasl.password=s3cr3t-right", ""]))
        daemon.start()
        lib.wait_until(lambda: status()["lag_events"] == 0, 30)
        for text in daemon.log(), daemon.read(".esfs/config.json").decode(), daemon.read(".esfs/errors.ndjson").decode(), \
                daemon.read(".esfs/kafka/status.json").decode():
            assert "s3cr3t" not in text
        daemon.stop()
        done = lib.run([lib.esfsctl(), "kafka", "verify", daemon.store, "--config", str(config)], timeout=60)
        assert done.rc == 0 and "1 event," in done.out, done
    finally:
        secured.put_away()


# --- options

@pytest.mark.parametrize("options, says", [
    (["kafka="], "kafka=: HOST:PORT is meant"),
    (["kafka-topic=x"], "kafka=HOST:PORT or kafka-config=FILE is missing"),
    (["kafka=a:1", "kafka-mode=json"], "kafka-mode=json: binary or structured is meant"),
    (["kafka=a:1", "kafka-flush=soon"], "kafka-flush=soon: seconds are meant"),
    (["kafka=a:1", "kafka-since=soon"], "kafka-since=soon: a position of 16 hexadecimal digits or a time"),
    (["kafka=a:1", "kafka-filter=a/b/c"], "kafka-filter=a/b/c: the event"),
    (["kafka=a:1", "kafka-topic={type}{type}"], "stands there twice"),
    (["kafka-config=/no/such/file"], "kafka-config=/no/such/file: No such file or directory"),
    (["kafka"], "kafka: kafka=HOST:PORT is meant"),
    (["kafka=localhost"], "kafka=localhost: HOST:PORT is meant, with a port from 1 to 65535"),
    (["kafka=localhost:99999"], "kafka=localhost:99999: HOST:PORT is meant"),
    (["kafka=localhost:0"], "kafka=localhost:0: HOST:PORT is meant"),
    (["kafka=http://h:9092"], "kafka=http://h:9092: HOST:PORT is meant"),
    (["kafka=a:1;b:2"], "kafka=a:1;b:2: HOST:PORT is meant"),
    (["kafka=a:1", "kafka=b"], "kafka=b: HOST:PORT is meant"),
    (["kafka=::1:9092"], "kafka=::1:9092: HOST:PORT is meant"),
    (["kafka=a:1", "kafka-mode=binary", "kafka-mode=structured"], "kafka-mode is given twice"),
    (["kafka=a:1", "kafka-topic=a", "kafka-topic=b"], "kafka-topic is given twice"),
    (["kafka=a:1", "kafka-filter"], "kafka-filter: kafka-filter=TYPE is meant"),
])
def test_wrong_options_are_refused_in_words(daemons, options, says):
    daemon = daemons(options=options)
    assert says in daemon.refused().err
    assert not os.path.exists(daemon.store), "nothing was made for it"


def test_a_store_that_is_read_only_is_not_published(daemons):
    daemon = daemons()
    daemon.start()
    daemon.stop()
    daemon.options = ["kafka=a:1", "ro"]
    assert "kafka: a store that is opened read-only is not published" in daemon.refused().err


@pytest.mark.parametrize("name, says", [
    ("ordr", "kafka-filter=ordr: the domain has no type ordr, did you mean order?"),
    ("order/Countd", "kafka-filter=order/Countd: the type order of the domain declares no event Countd, did you mean Counted?"),
])
def test_a_filter_that_the_domain_does_not_know_is_refused(daemons, tmp_path, name, says):
    (tmp_path / "aggregates").mkdir()
    (tmp_path / "aggregates" / "order.lua").write_text(ORDER)
    daemon = daemons(options=["kafka=a:1", f"kafka-filter={name}", f"domain={tmp_path}"])
    assert says in daemon.refused().err


@pytest.mark.parametrize("since, says", [
    ("0000000000000003", "kafka-since=0000000000000003: nothing is published yet: the log ends at position 0000000000000000"),
    ("2999-01-01T00:00:00Z", "kafka-since=2999-01-01T00:00:00.000000Z: nothing is published yet: that is in the future"),
])
def test_a_beginning_that_lies_ahead_is_told(daemons, since, says):
    daemon = daemons(options=["kafka=a.invalid:1", f"kafka-since={since}", "kafka-flush=0"])
    daemon.start()
    assert lib.strict(daemon.read(".esfs/kafka/status.json"))["note"] == says
    assert f"kafka: {says}" in daemon.log()
    daemon.append("", event("order/1", 1), event("order/1", 2))
    if since.startswith("0"):
        assert "note" not in lib.strict(daemon.read(".esfs/kafka/status.json"))


def test_a_broker_may_be_named_by_its_address(daemons):
    daemon = daemons(options=["kafka=[::1]:1", "kafka=127.0.0.1:1"])
    daemon.start()
    assert lib.strict(daemon.read(".esfs/kafka/status.json"))["brokers"] == "[::1]:1,127.0.0.1:1"


@pytest.mark.parametrize("text, says", [
    ("bootstrap.servers=a:1\nacks=1\n", ":2: acks cannot be changed: messages could be lost"),
    ("bootstrap.servers=a:1\nno.such.thing=s3cr3t\n", 'No such configuration property: "no.such.thing"'),
    ("bootstrap.servers=a:1\ncompression.codec=brotli\n", "compression.codec"),
    ("linger.ms=1\n", "no brokers are named there"),
    ("bootstrap.servers\n", ":1: name=value is meant"),
])
def test_wrong_properties_are_refused_in_words(daemons, place, text, says):
    config = os.path.join(place, "kafka.properties")
    with open(config, "w") as f:
        f.write(text)
    said = daemons(options=[f"kafka-config={config}"]).refused().err
    assert says in said and "s3cr3t" not in said


def test_several_brokers_are_given_as_several_options(daemons):
    daemon = daemons(options=["kafka=a.invalid:1", "kafka=b.invalid:2", "kafka-flush=3"])
    daemon.start()
    assert lib.strict(daemon.read(".esfs/kafka/status.json"))["brokers"] == "a.invalid:1,b.invalid:2"
    assert lib.strict(daemon.read(".esfs/config.json"))["kafka"]["flush_seconds"] == 3


def test_without_the_option_there_is_no_directory(mount):
    assert "kafka" not in os.listdir(mount.path(".esfs"))
    assert lib.error_of(os.stat, mount.path(".esfs/kafka")) == "ENOENT"


def test_other_settings_want_a_word_from_the_operator(publish, broker):
    p = publish()
    p.daemon.append("", event("order/1", 1), event("order/1", 2))
    p.caught_up()
    p.daemon.stop()
    p.daemon.options = [*p.options, "kafka-mode=structured"]
    said = p.daemon.refused().err
    assert "was published with" in said and "mode=structured" in said and "esfsctl kafka seek STORE POSITION" in said
    assert p.ctl("seek", "0000000000000003").rc == 1 and p.ctl("seek", "1").rc == 1
    assert p.ctl("seek", "0000000000000001").rc == 0
    p.daemon.start()
    p.caught_up()
    assert [dict(m["headers"])["content-type"] for m in broker.messages(p.topic("order"))] == [
        "application/json", "application/json", "application/cloudevents+json"]
    assert "2 events, 1 duplicate," in p.verified()
    mounted = p.daemon.start()
    assert "mounted" in p.ctl("seek", "end").err or p.ctl("seek", "end").rc == 1
    mounted.stop()


# --- esfsctl kafka verify

def republished(p, broker, messages, topic):
    """The same messages in a topic by themselves, in one partition."""
    broker.topics("create", topic)
    for m in messages:
        broker.produce(topic, m["key"], m["payload"], m["headers"])


def test_verify_names_the_first_fault(publish, broker):
    p = publish()
    p.daemon.append("", *[event("order/1", i) for i in range(4)])
    p.caught_up()
    messages = broker.messages(p.topic("order"))
    p.verified()

    def verdict(name, changed):
        topic = f"{p.prefix}verdict-{name}"
        republished(p, broker, changed, topic)
        done = p.ctl("verify", "--brokers", broker.address, "--topic", topic)
        return done.rc, done.out + done.err

    def with_header(m, name, value):
        return {**m, "headers": [(k, value if k == name else v) for k, v in m["headers"]]}
    one, two, three, four = messages
    assert verdict("same", messages) == (0, f"{p.daemon.store}: sound in Kafka up to position 0000000000000004: 4 events, "
                                            "0 duplicates, 0 parked, 0 messages of others\n")
    late = p.ctl("verify", "--brokers", broker.address, "--from", f"{3:016x}")
    assert late.rc == 0 and ": 2 events, 0 duplicates" in late.out, late
    done = p.ctl("verify", "--brokers", broker.address, "--from", f"{5:016x}")
    assert done.rc == 1 and f"{5:016x}: the log ends at position {4:016x}" in done.err, done
    done = p.ctl("verify", "--brokers", broker.address, "--topic", f"{p.prefix}nope.{{type}}")
    assert done.rc == 1 and f"{p.prefix}nope.order: Kafka has no such topic: position" in done.err, done
    rc, said = verdict("twice", [one, two, one, three, two, three, four])
    assert rc == 0 and "4 events, 3 duplicates" in said
    rc, said = verdict("order", [one, three, two, four])
    assert rc == 1 and "position 0000000000000002 of order/1 comes behind its later position 0000000000000003" in said
    assert "verdict-order [0] offset 2" in said
    rc, said = verdict("missing", [one, two, four])
    assert rc == 1 and "position 0000000000000003 of order/1 is missing" in said
    rc, said = verdict("value", [one, {**two, "payload": '{"n":7}'}, three, four])
    assert rc == 1 and "position 0000000000000002: another value than that of the event" in said
    rc, said = verdict("header", [one, two, with_header(three, "ce_uid", "77"), four])
    assert rc == 1 and "position 0000000000000003: another ce_uid than" in said
    rc, said = verdict("key", [one, two, three, {**four, "key": "2"}])
    assert rc == 1 and "position 0000000000000004: another key than" in said
    rc, said = verdict("foreign", [one, {**two, "headers": []}, two, three,
                                   with_header(four, "ce_id", "somebody-else"), four])
    assert rc == 0 and "2 messages of others" in said


def test_verify_needs_no_consumer_group(publish, broker):
    """Whoever asks the broker for a group's coordinator has it make the topic of the groups' offsets. And librdkafka aborts
    when a client is destroyed in the instant in which its connection to the coordinator is given up
    (github.com/confluentinc/librdkafka/issues/3608)."""
    p = publish()
    p.daemon.append("", *[event("order/1", i) for i in range(4)])
    p.caught_up()
    p.verified()
    done = lib.run(["kcat", "-L", "-J", "-b", broker.address], timeout=60)
    topics = [topic["topic"] for topic in lib.strict(done.out)["topics"]]
    assert p.topic("order") in topics and "__consumer_offsets" not in topics, topics


def test_verify_and_seek_say_what_they_want(publish, broker):
    p = publish()
    p.daemon.stop()
    for arguments in ([], ["verify"], ["verify", p.daemon.store], ["seek", p.daemon.store], ["seek"],
                      ["verify", p.daemon.store, "--from", "7", "--brokers", "a"]):
        done = lib.run([lib.esfsctl(), "kafka", *arguments])
        assert done.rc == 2 and "Usage: esfsctl kafka" in done.err, done
    done = p.ctl("verify", "--brokers", "localhost:1")
    assert done.rc == 0, done  # nothing has been published, so nothing is asked for
    p.daemon.start()
    p.daemon.append("", event("order/1", 1))
    p.caught_up()
    p.daemon.stop()
    done = p.ctl("verify", "--brokers", "localhost:1")
    assert done.rc == 1 and "Connection refused" in done.err, done
    done = p.ctl("verify", "--brokers", "localhost:99999")
    assert done.rc == 1 and "--brokers localhost:99999: HOST:PORT is meant" in done.err, done
