"""core/FORMAT.md is enough to read a store: a reader written from that page alone, over RocksDB's own ldb.

It shares no code with esfs. What it renders must be what the mount shows, byte for byte."""

import hashlib
import json
import os
import struct
import unicodedata

import pytest

import lib

MASK = (1 << 64) - 1
PCHAR = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~!$&'()*+,;=:@")
COMMAND, TYPE, NAME, DECLARE, UNDECLARE, UNTYPE, SCHEMA, SKIP = range(1, 9)


def siphash(key, data):
    """SipHash-2-4."""
    k0, k1 = struct.unpack("<QQ", key)
    v = [k0 ^ 0x736F6D6570736575, k1 ^ 0x646F72616E646F6D, k0 ^ 0x6C7967656E657261, k1 ^ 0x7465646279746573]

    def rotate(x, n):
        return (x << n | x >> (64 - n)) & MASK

    def rounds(n):
        for _ in range(n):
            v[0] = (v[0] + v[1]) & MASK
            v[1] = rotate(v[1], 13) ^ v[0]
            v[0] = rotate(v[0], 32)
            v[2] = (v[2] + v[3]) & MASK
            v[3] = rotate(v[3], 16) ^ v[2]
            v[0] = (v[0] + v[3]) & MASK
            v[3] = rotate(v[3], 21) ^ v[0]
            v[2] = (v[2] + v[1]) & MASK
            v[1] = rotate(v[1], 17) ^ v[2]
            v[2] = rotate(v[2], 32)

    tail = data[len(data) // 8 * 8:]
    words = [*struct.unpack(f"<{len(data) // 8}Q", data[:len(data) // 8 * 8]),
             int.from_bytes(tail, "little") | (len(data) & 255) << 56]
    for word in words:
        v[3] ^= word
        rounds(2)
        v[0] ^= word
    v[2] ^= 255
    rounds(4)
    return v[0] ^ v[1] ^ v[2] ^ v[3]


class Bytes:
    """Values one behind the other."""

    def __init__(self, value):
        self.value, self.at = value, 0

    def bytes(self, n):
        assert self.at + n <= len(self.value), "cut short"
        self.at += n
        return self.value[self.at - n:self.at]

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.bytes(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def string(self):
        return self.bytes(self.number())

    def done(self):
        return self.at == len(self.value)


def scan(store, family):
    """The keys and values of a column family, in order."""
    ran = lib.run(["ldb", f"--db={store}/db", f"--column_family={family}", "scan", "--hex"], timeout=60)
    assert ran.rc == 0, ran
    for text in ran.out.splitlines():
        key, value = text.split(" : ")
        yield bytes.fromhex(key[2:]), bytes.fromhex(value[2:])


class Store:
    """Everything that the log says, and the events' text."""

    def __init__(self, path):
        text = open(f"{path}/format", encoding="ascii").read().split("\n")
        assert text[:2] == ["esfs store", "format 1"] and text[3:] == [""]
        self.id = bytes.fromhex(text[2].removeprefix("id "))
        self.types, self.names, self.gone, self.schemas, self.skips = {}, {}, set(), {}, {}
        self.log, self.streams, self.by_type = [], {}, {}
        self.block, self.link, values = 0, bytes(32), []
        for key, value in scan(path, "log"):
            first, last = self.chunk(key, value, len(values))
            values = [value] if first else [*values, value]
            if last:
                self.block += 1
                self.link = hashlib.blake2b(b"".join(values), digest_size=32).digest()
                values = []
        assert not values, "the last block is not whole"

    def chunk(self, key, value, index):
        magic, layout, renderer, flags, zero, number, pad, n_records, block, position, offset, base, n_events, table = \
            struct.unpack("<4s4BHHIQQQQII", value[:56])
        assert (magic, layout, renderer, zero, number, pad) == (b"ESC1", 1, 1, 0, index, 0)
        assert key == struct.pack(">QQH", position, block, number) and block == self.block + 1
        assert position == len(self.log) + 1 and offset == sum(map(len, self.log))
        first, last = flags & 1, flags & 2
        assert bool(first) == (index == 0) and (not first or value[56:88] == self.link)
        records = Bytes(value[:table])
        records.at = 88 if first else 56
        offsets = []
        for _ in range(n_records):
            at = records.at
            offsets += [at] * self.record(records.bytes(1)[0], Bytes(records.string()), base)
        assert records.done() and value[table:] == struct.pack(f"<{n_events}I", *offsets)
        return first, last

    def record(self, kind, body, base):
        time, uid, type_no = base + body.number(), body.number(), body.number()
        aggregate = body.number() if kind not in (TYPE, UNTYPE, SCHEMA, SKIP) else None
        if kind == TYPE:
            assert type_no == len(self.types) + 1
            self.types[type_no] = body.string()
        elif kind == NAME:
            assert aggregate == len(self.names) + 1
            self.names[aggregate] = type_no, body.string()
        elif kind == UNDECLARE:
            self.gone.add(aggregate)
        elif kind == SCHEMA:
            of_command, name, version = body.number(), body.string(), body.number()
            assert of_command in (0, 1) and version >= 1 and (type_no, of_command, name, version) not in self.schemas
            assert type_no in self.types and b"\0" not in name
            self.schemas[type_no, of_command, name, version] = json.loads(body.string())
        elif kind == SKIP:
            follower, position = body.string(), body.number()
            assert 1 <= len(follower) <= 256 and not any(unicodedata.category(c) == "Cc" for c in follower.decode())
            assert 1 <= position <= len(self.log) and (follower, position) not in self.skips
            assert self.log[position - 1] in self.by_type[type_no]
            self.skips[follower, position] = time, uid
        elif kind == COMMAND:
            return self.command(body, time, uid, type_no, aggregate)
        assert body.done() and TYPE <= kind <= SKIP
        return 0

    def command(self, body, time, uid, type_no, aggregate):
        assert self.names[aggregate] == (type_no, body.string())
        stream = self.streams.setdefault(aggregate, [])
        version, offset, parts = body.number(), body.number(), body.number()
        given = {"id": body.string() if parts & 2 else b""}
        content = body.bytes(16) if parts & 2 else None
        for part, name in ((4, "correlationid"), (8, "causationid"), (16, "traceparent"), (32, "meta")):
            given[name] = body.string() if parts & part else b""
        n = body.number()
        assert version == len(stream) + (1 if n else 0) and offset == sum(map(len, stream))
        for i in range(n):
            time, schema, kind, data = time + body.number(), body.number(), body.string(), body.string()
            if content and n == 1:
                assert hashlib.blake2b(kind + b"\0" + data, digest_size=16).digest() == content
            stream.append(self.event(time, uid, type_no, self.names[aggregate][1], version + i, schema, kind, data, given))
            self.by_type.setdefault(type_no, []).append(stream[-1])
        assert body.done()
        return n

    def event(self, time, uid, type_no, aggregate, version, schema, kind, data, given):
        position = len(self.log) + 1
        milliseconds, microseconds = divmod(time, 1000)
        low = siphash(self.id, struct.pack(">Q", position)) >> 2
        number = milliseconds << 80 | 7 << 76 | microseconds << 64 | 2 << 62 | low
        digits = f"{number:032x}"
        event_id = "-".join((digits[:8], digits[8:12], digits[12:16], digits[16:20], digits[20:]))
        seconds, fraction = divmod(time, 1000000)
        line = [f'{{"specversion":"1.0","id":"{event_id}","source":"/'.encode(), url(self.types[type_no]), b"/",
                url(aggregate), b'","type":"', text(kind), b'","subject":"', text(aggregate),
                f'","time":"{lib.time.strftime("%Y-%m-%dT%H:%M:%S", lib.time.gmtime(seconds))}.{fraction:06}Z'.encode(),
                b'","datacontenttype":"application/json']
        if schema:
            line += [b'","dataschema":"/schemas/', url(self.types[type_no]), b"/", url(kind), f"/{schema}".encode()]
        line += [f'","sequence":"{version:010}","version":{version},"position":"{position:016x}'.encode()]
        trace = (("commandid", given["id"]), ("correlationid", given["correlationid"] or given["id"] or event_id.encode()),
                 ("causationid", given["causationid"] or given["id"]), ("traceparent", given["traceparent"]))
        line += [b'","' + name.encode() + b'":"' + text(value) for name, value in trace if value]
        line += [f'","uid":{uid}'.encode(), given["meta"], b',"data":', data, b"}\n"]
        self.log.append(b"".join(line))
        return self.log[-1]


def url(name):
    return b"".join(bytes([c]) if c in PCHAR else b"%%%02X" % c for c in name)


def text(value):
    return value.replace(b"\\", b"\\\\").replace(b'"', b'\\"')


@pytest.fixture
def written(mount):
    """A store with every kind of record and part, unmounted. Gives what the mount showed."""
    lib.need("ldb")
    mount.make("order/1001", 'größe "7"/a b%\\')
    mount.append("order/1001", {"type": "OrderPlaced", "data": {"total": 5}, "id": "c-81", "meta": {"tenant": "acme", "n": 1}},
                 {"type": "OrderPaid", "correlationid": 'c"1', "causationid": "c\\2", "traceparent": "00-0-0-00"})
    mount.append('größe "7"/a b%\\', {"type": "Gemäß", "data": {"x": "ü\n"}})
    mount.ok("mkdir order/2 order/3 empty && rmdir order/3 empty && mkdir order/3")
    mount.append("", [{"aggregate": f"item/{i}", "type": "A"} for i in range(20)])
    mount.append("", *({"aggregate": f"item/{i % 300}", "type": "Counted", "data": {"i": i}} for i in range(5000)))
    shown = {name: mount.read(name) for name in ("log.ndjson", "order/log.ndjson", "item/log.ndjson",
                                                 "order/1001/events.ndjson", "item/7/events.ndjson")}
    mount.stop()
    return mount.store, shown


def test_a_reader_written_from_the_page_sees_what_the_mount_shows(written):
    path, shown = written
    store = Store(path)
    types = {name: no for no, name in store.types.items()}
    names = {(kind, name): no for no, (kind, name) in store.names.items() if no not in store.gone}
    assert b"".join(store.log) == shown["log.ndjson"]
    assert b"".join(store.by_type[types[b"order"]]) == shown["order/log.ndjson"]
    assert b"".join(store.by_type[types[b"item"]]) == shown["item/log.ndjson"]
    assert b"".join(store.streams[names[types[b"order"], b"1001"]]) == shown["order/1001/events.ndjson"]
    assert b"".join(store.streams[names[types[b"item"], b"7"]]) == shown["item/7/events.ndjson"]
    assert len(store.gone) == 1 and (types[b"order"], b"3") in names


def test_the_head_names_the_last_block(written):
    path, _ = written
    store = Store(path)
    slots = []
    for at in (0, 32):
        slot = open(f"{path}/head", "rb").read()[at:at + 32]
        magic, zero, block, position, check = struct.unpack("<4sIQQQ", slot)
        assert (magic, zero, check) == (b"HEAD", 0, siphash(store.id, slot[:24]))
        slots.append((block, position))
    assert max(slots) == (store.block, len(store.log))


def test_the_example_on_the_page_holds():
    page = open(os.path.join(lib.ROOT, "core", "FORMAT.md"), encoding="utf-8").read()
    event = next(t for t in page.splitlines() if t.startswith('{"specversion"'))
    store = Store.__new__(Store)
    store.id, store.log, store.types = bytes(range(16)), [], {1: b"order"}
    given = {"id": b"c-81", "correlationid": b"", "causationid": b"", "traceparent": b"", "meta": b',"tenant":"acme"'}
    time = lib.event_time_ns(json.loads(event)) // 1000
    rendered = store.event(time, 1000, 1, b"1001", 1, 0, b"OrderPlaced", b'{"total":5}', given)
    assert rendered.decode() == event + "\n"


def test_the_schema_on_the_page_holds():
    page = open(os.path.join(lib.ROOT, "core", "FORMAT.md"), encoding="utf-8").read()
    words = next(t for t in page.splitlines() if t.startswith("07 ")).split(" ")
    record = Bytes(b"".join(w.strip('"').encode() if w[0] in '"{' else bytes.fromhex(w) for w in words))
    store = Store.__new__(Store)
    store.types, store.schemas = {1: b"order"}, {}
    assert store.record(record.bytes(1)[0], Bytes(record.string()), 0) == 0 and record.done()
    assert store.schemas == {(1, 0, b"OrderPlaced", 1): {"minimum": 0}}


def test_the_skip_on_the_page_holds():
    page = open(os.path.join(lib.ROOT, "core", "FORMAT.md"), encoding="utf-8").read()
    words = next(t for t in page.splitlines() if t.startswith("08 ")).split(" ")
    record = Bytes(b"".join(w.strip('"').encode() if w[0] == '"' else bytes.fromhex(w) for w in words))
    store = Store.__new__(Store)
    store.types, store.skips, store.log, store.by_type = {1: b"order"}, {}, [b"{}\n"], {1: [b"{}\n"]}
    assert store.record(record.bytes(1)[0], Bytes(record.string()), 5) == 0 and record.done()
    assert store.skips == {(b"views/by_customer", 1): (5, 1000)}


def test_kinds_of_events_are_derived_as_the_page_tells(mount):
    """A store of one full window: each event weighs 4, with its id and its new aggregate."""
    lib.need("ldb")
    for start in range(0, 70_000, 10_000):
        mount.append("", *({"aggregate": f"order/{i}", "type": f"Event{i % 7}", "id": f"c-{i}"}
                           for i in range(start, start + 10_000)))
    first = {}
    for line in mount.lines("log.ndjson"):
        event = json.loads(line)
        first.setdefault(event["type"], int(event["position"], 16))
    mount.stop()
    meta, kinds = None, []
    for key, value in scan(mount.store, "derived"):
        if key[:1] == b"e":
            kinds.append((struct.unpack(">II", key[1:9]), key[9:].decode(), Bytes(value).number()))
        elif key == b"m":
            meta = Bytes(value)
    block, position = meta.number(), meta.number()
    assert block > 0 and 65_536 <= position <= 70_000
    assert kinds == [((1, 0), f"Event{i}", first[f"Event{i}"]) for i in range(7)]
    assert list(scan(mount.store, "folds")) == []
