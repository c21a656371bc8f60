"""Where what lies in RocksDB's files: the regions of a table (block based, format 5), the records of a write-ahead log."""

FOOTER = 53
BLOCK_TRAILER = 5
WAL_BLOCK, WAL_HEADER = 32768, 7

HARMLESS = ("padding", "version")
"""Regions of a table on whose every bit no answer depends: the padding of the footer, and its version (4 reads as 5)."""


def varint(text, at):
    value = shift = 0
    while True:
        byte = text[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def handle(text, at=0):
    """(where a block begins, where it ends with its trailer), and where the handle ends."""
    offset, at = varint(text, at)
    size, at = varint(text, at)
    return (offset, offset + size + BLOCK_TRAILER), at


def entries(block):
    """What an uncompressed block maps: keys share beginnings with the one before."""
    end = len(block) - 4 * (int.from_bytes(block[-4:], "little") + 1)
    at, key, found = 0, b"", {}
    while at < end:
        shared, at = varint(block, at)
        own, at = varint(block, at)
        size, at = varint(block, at)
        key = key[:shared] + block[at:at + own]
        found[key.decode()] = block[at + own:at + own + size]
        at += own + size
    return found


def regions(path):
    """[(kind, begin, end)] of a table, in order and without gaps: data, filters in parts and the index of those, the index
    in parts and the index of those, removed ranges, properties, the metaindex, which names all but data and index, and
    the footer, which tells where metaindex and index are."""
    with open(path, "rb") as f:
        text = f.read()
    footer = len(text) - FOOTER
    meta, at = handle(text, footer + 1)
    index, end = handle(text, at)
    named = {name: handle(value)[0] for name, value in entries(text[meta[0]:meta[1] - BLOCK_TRAILER]).items()}
    properties = named.pop("rocksdb.properties")
    data, _ = varint(entries(text[properties[0]:properties[1] - BLOCK_TRAILER])["rocksdb.data.size"], 0)
    found, at = [("data", 0, data)], data
    for name in [name for name in named if name.startswith("partitionedfilter.")]:
        begin, at = named.pop(name)
        found += [("filter parts", data, begin), ("filter top", begin, at)]
    found += [("index parts", at, index[0]), ("index top", *index)]
    found += [(name, *block) for name, block in sorted(named.items(), key=lambda item: item[1])]
    found += [("properties", *properties), ("metaindex", *meta), ("footer", footer, end)]
    found += [("padding", end, len(text) - 12), ("version", len(text) - 12, len(text) - 8)]
    found.append(("magic", len(text) - 8, len(text)))
    assert all(a[2] == b[1] and b[1] < b[2] for a, b in zip(found, found[1:])), found
    return found


def records(path):
    """[(begin, end)] of the records of a write-ahead log, headers included. Between them is padding."""
    with open(path, "rb") as f:
        text = f.read()
    found, at = [], 0
    while at + WAL_HEADER <= len(text):
        room = WAL_BLOCK - at % WAL_BLOCK
        if room < WAL_HEADER:
            at += room
            continue
        end = at + WAL_HEADER + int.from_bytes(text[at + 4:at + 6], "little")
        if text[at + 6] == 0 or end > len(text):
            break
        found.append((at, end))
        at = end
    return found
