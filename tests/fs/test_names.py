"""Names: what may be one, in mkdir and in `aggregate` alike, and that every tool copes with those that are."""

import os
import re
import subprocess

import pytest

import lib
from lib import command

GOOD = [
    "a", "A", "1", "order-1", "a b", " a", "a ", "a'b", 'a"b', "a\\b", "a\\nb", "*", "?", "[x]", "~", "-rf", "--help",
    "#", "%41", "a%2Fb", "a;b", "a&b", "$".join("ab"), "`id`", "$(id)".replace("$", "x$"), "a.b", "a..", "größe", "订单",
    "😀", "\u00e9", "e\u0301", "ا", "a\u200bb", "version", "events", "events.ndjson", "at", "key", "null", "x" * 128,
    "é" * 64, "😀" * 32, "<script>", "{}", "a=b,c=d", "a:b", "@", "+", "|", "CON", "a\xa0b"
]
# name, and why it is none
BAD = {
    "empty": b"", "dot": b".", "dot dot": b"..", "leading dot": b".x", "leading dollar": b"$x", "dollar": b"$",
    "slash": b"a/b", "newline": b"a\nb", "tab": b"a\tb", "escape": b"a\x1bb", "DEL": b"a\x7fb", "\\x01": b"\x01",
    "C1 control": "a\x85b".encode(), "129 bytes": b"x" * 129, "255 bytes": b"x" * 255, "1000 bytes": b"x" * 1000,
    "65 two-byte characters": "é".encode() * 65, "invalid UTF-8": b"a\xffb", "cut UTF-8": b"a\xe2\x82",
    "overlong": b"\xc0\xaf", "surrogate": b"\xed\xa0\x80",
}
RESERVED_ROOT = ["commands", "log.ndjson", "rejections.ndjson", "views", "queries", "consumers", "sagas", "services",
                 "schemas", ".esfs"]
RESERVED_TYPE = ["commands", "log.ndjson", "rejections.ndjson"]


def listed(mount, *names):
    return set(os.listdir(mount.path(*names))) - set(RESERVED_TYPE) - {".esfs", "consumers"}


# --- what is a name

def test_good_names_work_as_aggregates(mount):
    for name in GOOD:
        os.makedirs(mount.path("order", name))
        mount.append("order", command(aggregate=f"order/{name}", data={"name": name}))
        mount.append(f"order/{name}", command("B"))
    assert listed(mount, "order") == set(GOOD)
    assert len({os.stat(mount.path("order", name)).st_ino for name in GOOD}) == len(GOOD)
    for name in GOOD:
        events = mount.events(f"order/{name}")
        assert [e["type"] for e in events] == ["A", "B"] and events[0]["data"]["name"] == name
        assert events[0]["subject"] == name
    mount.restart()
    assert listed(mount, "order") == set(GOOD)


def test_good_names_work_as_types(mount):
    names = [n for n in GOOD if n not in RESERVED_ROOT]
    for name in names:
        os.makedirs(mount.path(name))
        mount.append(name, command(aggregate="1"))
        mount.append("", command(aggregate=f"{name}/1"))
        assert mount.version(f"{name}/1") == 2
    assert listed(mount) == set(names)


def test_good_names_work_as_event_types(mount):
    mount.make("order/1")
    mount.append("order/1", *[command(name) for name in GOOD])
    assert [e["type"] for e in mount.events("order/1")] == GOOD
    assert mount.event_files("order/1") == [f"{n:010}-{name}.json" for n, name in enumerate(GOOD, 1)]
    for n, name in enumerate(GOOD, 1):
        assert lib.strict(mount.read("order/1/events", f"{n:010}-{name}.json"))["type"] == name


def test_jq_parses_the_events_of_hostile_names(mount):
    lib.need("jq")
    for name in GOOD:
        mount.append("", command(name, aggregate=f"{name}/{name}" if name not in RESERVED_ROOT else f"x/{name}"))
    types = mount.ok("jq -j '.type + \"\\u0000\"' log.ndjson").split("\0")
    assert types[:-1] == GOOD
    assert mount.ok("jq -r 'select(.sequence != \"0000000001\") | .subject' log.ndjson") == ""
    mount.ok("find . -type f -name '*.json' -path '*/events/*' -print0 | xargs -0 jq -e .type > /dev/null")


def test_the_source_is_a_uri_reference_and_tells_aggregates_apart(mount):
    for name in GOOD:
        mount.append("", command(aggregate=f"order/{name}"))
    sources = [e["source"] for e in mount.log_events()]
    assert len(set(sources)) == len(GOOD)
    assert [s for s in sources if any(c in s for c in ' "<>\\^`{|}\n')] == []


@pytest.mark.parametrize("kind", BAD)
def test_mkdir_of_a_bad_name_is_refused(mount, kind):
    mount.make("order")
    for parent in ("", "order"):
        place = os.path.join(os.fsencode(mount.mnt), os.fsencode(parent), BAD[kind])
        before = sorted(os.listdir(mount.path(parent)))
        wrong = {"slash": "ENOENT", "empty": "EEXIST", "dot": "EEXIST", "dot dot": "EEXIST"}.get(kind, "EINVAL")
        assert lib.error_of(os.mkdir, place) in (wrong, "ENAMETOOLONG" if len(BAD[kind]) > 128 else wrong)
        assert sorted(os.listdir(mount.path(parent))) == before
        if kind not in ("empty", "dot", "dot dot"):
            assert lib.error_of(os.stat, place) in ("ENOENT", "ENAMETOOLONG")


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_name_in_aggregate_is_refused(mount, kind):
    name = BAD[kind]
    escaped = b"".join(b"\\u%04x" % b if b < 0x20 else bytes([b]) for b in name)
    utf8 = kind not in ("invalid UTF-8", "cut UTF-8", "overlong", "surrogate")
    for aggregate in (b"order/" + escaped, escaped + b"/1"):
        with mount.commands() as c:
            result = c.ask(b'{"type":"A","aggregate":"' + aggregate + b'"}')
        assert (result["status"], result["errno"]) == ("rejected", "EINVAL" if utf8 else "EBADMSG"), aggregate
    assert listed(mount) == set()


def test_a_nul_in_aggregate_is_refused(mount):
    with mount.commands() as c:
        assert c.ask(b'{"type":"A","aggregate":"order/a\\u0000b"}')["errno"] == "EINVAL"


@pytest.mark.parametrize("name", RESERVED_ROOT)
def test_names_of_the_system_are_reserved_at_the_root(mount, name):
    before = sorted(os.listdir(mount.mnt))
    assert lib.error_of(os.mkdir, mount.path(name)) in ("EINVAL", "EEXIST")
    with mount.commands() as c:
        assert c.ask({"type": "A", "aggregate": f"{name}/1"})["errno"] == "EINVAL"
    assert sorted(os.listdir(mount.mnt)) == before


def test_the_readme_says_which_names_are_reserved():
    text = " ".join(open(os.path.join(lib.ROOT, "README.md"), encoding="utf-8").read().split())
    root, of_type = text.split("Reserved are, at the root,")[1].split("In an aggregate")[0].split("and in a type")
    assert sorted(re.findall("`(.*?)`", root)) == sorted(set(RESERVED_ROOT) - {".esfs"})
    assert sorted(re.findall("`(.*?)`", of_type)) == sorted(RESERVED_TYPE)


@pytest.mark.parametrize("name", RESERVED_TYPE)
def test_names_of_the_system_are_reserved_in_a_type(mount, name):
    mount.make("order")
    assert lib.error_of(os.mkdir, mount.path("order", name)) in ("EINVAL", "EEXIST")
    for scope, aggregate in (("", f"order/{name}"), ("order", name), ("order", f"order/{name}")):
        with mount.commands(scope) as c:
            assert c.ask({"type": "A", "aggregate": aggregate})["errno"] == "EINVAL"
    assert listed(mount, "order") == set()


def test_names_that_differ_in_normal_form_or_case_are_different(mount):
    names = ["\u00e9", "e\u0301", "\u00c9", "e"]
    for name in names:
        os.makedirs(mount.path("order", name))
    assert listed(mount, "order") == set(names)


def test_shell_loops_survive_names_with_spaces_and_quotes(mount):
    lib.need("jq")
    for name in GOOD:
        mount.append("", command(aggregate=f"order/{name}"))
    assert mount.ok("for f in order/*/version; do cat \"$f\"; done | sort | uniq -c | xargs") == f"{len(GOOD)} 1"
    assert mount.ok("find order -mindepth 1 -maxdepth 1 -type d -print0 | tr -dc '\\0' | wc -c") == str(len(GOOD))
    out = subprocess.run(["tar", "cf", "-", "--", "order"],
                         cwd=mount.mnt,
                         stdout=subprocess.PIPE,
                         check=True,
                         timeout=30).stdout
    assert len(out) > 512 * len(GOOD)


def test_a_missing_name_is_enoent(mount):
    mount.make("order/1")
    for path in ("x", "order/x", "order/1/x", "order/1/events/x", "order/1/events/0000000001-A.json", "order/1/at/x",
                 ".esfs/x", "order/1/events/../x", "x/y/z", "order/1/key", "order/1/views"):
        assert lib.error_of(os.stat, mount.path(path)) == "ENOENT", path
    mount.fails("cat order/nope/version", "No such file")
    for path in ("commands/x", "order/1/version/x", "order/1/events.ndjson/"):
        assert lib.error_of(os.stat, mount.path(path)) == "ENOTDIR", path


def test_an_event_has_one_name_only(mount):
    """The file name is exact: neither another number of digits, nor another type."""
    mount.make("order/1")
    mount.append("order/1", command("Placed"))
    for name in ("0000000001-Paid.json", "1-Placed.json", "00000000001-Placed.json", "0000000001-Placed", "0000000001",
                 "0000000001-placed.json", "0000000002-Placed.json", "0000000000-Placed.json", "-000000001-Placed.json",
                 "0000000001-Placed.json.json", "+000000001-Placed.json", "000000001a-Placed.json"):
        assert lib.error_of(os.stat, mount.path("order/1/events", name)) == "ENOENT", name
    os.stat(mount.path("order/1/events/0000000001-Placed.json"))
