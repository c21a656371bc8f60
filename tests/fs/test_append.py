"""Commands in, events out: every way of writing them, and what the events hold."""

import json
import os
import sys

import pytest

import lib
from lib import command, data_bytes, line, numbered


def append(mount, text, aggregate="order/1"):
    mount.make(aggregate)
    with mount.commands(aggregate, os.O_WRONLY) as c:
        c.write_all(text)
    return mount.events(aggregate)


# --- one event

def test_an_echo_appends_an_event(mount):
    mount.ok("""mkdir -p order/1001 && echo '{"type":"OrderPlaced","data":{"total":5}}' > order/1001/commands""")
    assert mount.read("order/1001/version") == b"1\n"
    assert mount.event_files("order/1001") == ["0000000001-OrderPlaced.json"]
    text = mount.read("order/1001/events/0000000001-OrderPlaced.json")
    event = lib.strict(text)
    assert text.count(b"\n") == 1 and text.endswith(b"\n")
    assert {k: event[k] for k in ("specversion", "source", "type", "subject", "sequence", "version", "position", "uid",
                                  "datacontenttype", "data")} == {
        "specversion": "1.0", "source": "/order/1001", "type": "OrderPlaced", "subject": "1001",
        "sequence": "0000000001", "version": 1, "position": "0000000000000001", "uid": os.geteuid(),
        "datacontenttype": "application/json", "data": {"total": 5}}
    assert list(event)[-1] == "data"
    assert event["correlationid"] == event["id"], "without a command id it defaults to the event's"


def test_event_ids_are_uuids_of_version_7_that_hold_the_time(mount):
    event = append(mount, command())[0]
    digits = event["id"].replace("-", "")
    assert len(event["id"]) == 36 and digits[12] == "7" and digits[16] in "89ab"
    assert int(digits[:12], 16) == lib.event_time_ns(event) // 10**6


def test_times_and_positions_strictly_rise(mount):
    append(mount, numbered(3000))
    events = mount.log_events()
    assert [int(e["position"], 16) for e in events] == list(range(1, 3001))


@pytest.mark.parametrize("redirect", [">", ">>", "1<>"])
def test_every_redirection_appends(mount, redirect):
    mount.make("order/1")
    for n in (1, 2, 3):
        mount.ok(f"""echo '{{"type":"A"}}' {redirect} order/1/commands""")
        assert mount.version("order/1") == n


def test_no_newline_is_needed(mount):
    mount.make("order/1")
    mount.ok("""printf '{"type":"A"}' > order/1/commands""")
    assert mount.version("order/1") == 1


def test_data_defaults_to_an_empty_object(mount):
    assert data_bytes(line(append(mount, command())[0])) == b"{}"


def test_white_space_alone_is_no_command(mount):
    mount.make("order/1")
    mount.ok("printf ' \\n\\t\\r\\n' > order/1/commands; : > order/1/commands; echo > order/1/commands")
    with mount.commands("order/1") as c:
        assert c.write(b" \n ") == 3
        assert c.results() == []
    assert mount.version("order/1") == 0
    assert mount.rejections("order") == []


def test_the_text_may_be_pretty_printed(mount):
    value = {"type": "Noted", "data": {"text": "a\nb", "list": [1, [2, {"x": None}]], "empty": {}}}
    events = append(mount, json.dumps(value, indent=4).encode() + b"\n\n" + json.dumps(value, indent="\t").encode())
    assert [e["data"] for e in events] == [value["data"]] * 2


def test_values_may_follow_each_other_without_white_space(mount):
    events = append(mount, b'{"type":"A"}{"type":"B"}[{"type":"C"},{"type":"D"}]{"type":"E"}')
    assert [e["type"] for e in events] == ["A", "B", "C", "D", "E"]


def test_attributes_of_the_command_become_attributes_of_the_event(mount):
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    event = append(mount, command(id="c-1", correlationid="k", causationid="w", traceparent=trace,
                                  meta={"tenant": "acme", "n": -5, "dry": True, "a1": "é\"\\"}))[0]
    names = ("commandid", "correlationid", "causationid", "traceparent", "tenant", "n", "dry", "a1")
    assert [event[k] for k in names] == ["c-1", "k", "w", trace, "acme", -5, True, "é\"\\"]


def test_correlation_and_causation_default_to_the_command_id(mount):
    event = append(mount, command(id="c-1"))[0]
    assert (event["correlationid"], event["causationid"]) == ("c-1", "c-1")


# --- data, to the byte

@pytest.mark.parametrize("data", [
    '{"n":123456789012345678901234567890}', '{"n":-0}', '{"n":1.10}', '{"n":1E+2,"m":1e-400}', '{"n":1e400}',
    '{"n":0.1000000000000000055511151231257827021181583404541015625}',
    r'{"s":"\u00e9\/\"\\\b\f\n\r\t"}', r'{"s":"\ud83d\ude00"}', '{"s":"é订单😀"}', r'{"s":"\u0000"}',
    '{"b":1,"a":2,"":3}', '{"a":[],"o":{},"n":null,"t":true,"f":false}', '{"s":" a  b "}', r'{"\u00e9":1}',
    '{"deep":' + "[" * 300 + "]" * 300 + "}", '{"s":"\x7f"}', '{"x":"' + "y" * 100_000 + '"}',
])
def test_data_is_kept_to_the_byte(mount, data):
    mount.make("order/1")
    with mount.commands("order/1", os.O_WRONLY) as c:
        c.write_all(f'{{"type":"A","data":{data}}}'.encode())
    text = mount.read("order/1/events.ndjson")
    assert data_bytes(text) == data.encode()
    assert mount.read("order/1/events/0000000001-A.json") == text


def test_data_is_minified_and_nothing_else(mount):
    events = append(mount, b'{ "type" : "A" , "data" : { "b" : [ 1.0 , "x  y" ,\n{ } ] ,\t"a" :\r\n null } }')
    assert len(events) == 1
    assert data_bytes(mount.read("order/1/events.ndjson")) == b'{"b":[1.0,"x  y",{}],"a":null}'


def test_order_of_many_commands_is_kept(mount):
    events = append(mount, numbered(5000))
    assert [e["data"]["n"] for e in events] == list(range(5000))
    assert [e["version"] for e in events] == list(range(1, 5001))


# --- split over writes

SPLIT = ('{"type":"A","data":{"k":"é\\u00e9\\\\\\"}]😀","n":[1,{"x":-1.5e3}]}}\n'
         '[{"type":"B"},{"type":"C","id":"i"}] {"type":"D"}').encode()


def test_a_stream_may_be_split_at_every_byte(mount):
    for cut in range(1, len(SPLIT)):
        mount.make(f"split/{cut}")
        with mount.commands(f"split/{cut}") as c:
            assert c.write(SPLIT[:cut]) == cut
            assert c.write(SPLIT[cut:]) == len(SPLIT) - cut
            assert [r["status"] for r in c.results()] == ["appended"] * 3
    expected = [("A", {"k": 'éé\\"}]😀', "n": [1, {"x": -1500.0}]}), ("B", {}), ("C", {}), ("D", {})]
    for cut in range(1, len(SPLIT)):
        assert [(e["type"], e["data"]) for e in mount.events(f"split/{cut}")] == expected, cut


def test_a_stream_may_be_written_byte_by_byte(mount):
    mount.make("order/1")
    with mount.commands("order/1", os.O_WRONLY) as c:
        for byte in SPLIT:
            assert c.write(bytes([byte])) == 1
    assert [e["type"] for e in mount.events("order/1")] == ["A", "B", "C", "D"]


def test_a_command_is_decided_when_its_last_byte_arrives(mount):
    mount.make("order/1")
    with mount.commands("order/1") as c:
        c.write(b'{"type":"A"')
        assert mount.version("order/1") == 0
        c.write(b"}")
        assert mount.version("order/1") == 1
        assert c.results()[0]["version"] == 1


def test_a_write_of_1_mib_may_hold_4000_commands(mount):
    mount.make("order/1", "order/2")
    pad = "x" * 205
    text = "".join(f'{{"type":"A","data":{{"n":{i},"pad":"{pad}"}}}}\n' for i in range(4000)).encode()
    assert 900_000 < len(text) < 1 << 20
    with mount.commands("order/1", os.O_WRONLY) as c:
        c.write_all(text)
    with mount.commands("order/2", os.O_WRONLY) as c:
        c.write_all(text * 3)
    assert [e["data"]["n"] for e in mount.events("order/1")] == list(range(4000))
    assert [e["data"]["n"] for e in mount.events("order/2")] == list(range(4000)) * 3


@pytest.mark.parametrize("scope, prefix", [("", "order/"), ("order", ""), ("order", "order/")])
def test_commands_for_many_aggregates_go_to_the_level_above(mount, scope, prefix):
    mount.make("order/0")
    text = b"".join(command(aggregate=f"{prefix}{i % 7}", data={"n": i}) for i in range(700))
    results = mount.append(scope, text)
    assert [r["aggregate"] for r in results] == [f"order/{i % 7}" for i in range(700)]
    for i in range(7):
        assert [e["data"]["n"] for e in mount.events(f"order/{i}")] == list(range(i, 700, 7))


def test_a_command_sent_above_creates_what_it_names(mount):
    mount.append("", command(aggregate="bird/tit"))
    assert "bird" in os.listdir(mount.mnt) and "tit" in os.listdir(mount.path("bird"))
    mount.append("bird", command(aggregate="finch"))
    assert sorted(set(os.listdir(mount.path("bird"))) -
                  {"commands", "log.ndjson", "rejections.ndjson"}) == ["finch", "tit"]


# --- writers

WRITERS = {
    "bash printf": "printf '%s' \"$(cat in)\" > commands",
    "bash here-document": "cat > commands < in",
    "bash loop": 'while IFS= read -r l; do printf "%s\\n" "$l"; done < in > commands',
    "/bin/echo": "xargs -d '\\n' -n 1 /bin/echo < in > commands",
    "cat": "cat in > commands",
    "cp": "cp in commands",
    "tee": "tee commands < in > /dev/null",
    "tee -a": "tee -a commands < in > /dev/null",
    "dd bs=1": "dd if=in of=commands bs=1 status=none",
    "dd bs=7": "dd if=in of=commands bs=7 status=none",
    "dd bs=4096": "dd if=in of=commands bs=4096 status=none",
    "dd conv=notrunc": "dd if=in of=commands bs=64K conv=notrunc oflag=append status=none",
    "dd oflag=sync": "dd if=in of=commands bs=64K oflag=sync conv=fsync status=none",
    "sed": "sed -n 'w commands' in",
    "awk": "awk '{print > \"commands\"}' in",
    "jq -c": "jq -c . in > commands",
    "jq": "jq . in > commands",
    "jq -s": "jq -s . in > commands",
    "python print": f'{sys.executable} -S -c "f=open(\'commands\',\'w\')\n'
                    'for l in open(\'in\'): print(l.rstrip(), file=f)\nf.close()"',
    "perl": "perl -pe1 in > commands",
    "head": "head -n 100 in > commands",
}


@pytest.mark.parametrize("writer", WRITERS)
def test_any_program_may_write(mount, place, writer):
    tool = writer.split()[0]
    if tool in ("jq", "perl", "awk"):
        lib.need(tool)
    directory = mount.path(mount.make("order/1"))
    source = os.path.join(place, "in")
    with open(source, "wb") as f:
        f.write(numbered(100))
    done = lib.sh(WRITERS[writer].replace("commands", f"{directory}/commands"), cwd=place)
    assert done.rc == 0, done
    assert [e["data"]["n"] for e in mount.events("order/1")] == list(range(100))


def test_dash_may_write(mount):
    lib.need("dash")
    mount.make("order/1")
    mount.ok("""for i in 0 1 2; do echo '{"type":"A","data":{"n":'$i'}}' > order/1/commands; done""", shell="dash")
    assert [e["data"]["n"] for e in mount.events("order/1")] == [0, 1, 2]


# --- results on the descriptor that wrote

def test_a_result_says_what_was_appended(mount):
    mount.make("order/1001")
    mount.append("order/1001", command(), command())
    with mount.commands("order/1001") as c:
        result = c.ask({"type": "A", "id": "c-81"})
    event = mount.events("order/1001")[-1]
    assert result == {"status": "appended", "aggregate": "order/1001", "version": 3, "position": event["position"],
                      "commandid": "c-81", "events": [event["id"]]}


def test_each_command_gives_one_line_and_each_transaction_one(mount):
    text = b'{"aggregate":"a/1","type":"A"}[{"aggregate":"a/1","type":"B"},{"aggregate":"a/2","type":"C"}]'
    results = mount.append("", text, command("D", aggregate="a/2"))
    assert [r["status"] for r in results] == ["appended"] * 3
    assert [(r["aggregate"], r["version"]) for r in results[1]["commands"]] == [("a/1", 2), ("a/2", 1)]
    events = {e["position"]: e["id"] for e in mount.log_events()}
    for r in (results[0], *results[1]["commands"], results[2]):
        assert r["events"] == [events[r["position"]]]


def test_bash_reads_results_line_by_line(mount):
    mount.make("order/1")
    out = mount.ok("""exec 3<>order/1/commands
        printf '{"type":"A"}{"type":"B"}' >&3
        read -r a <&3; read -r b <&3
        echo '{"type":"C"}' >&3; read -r c <&3
        printf '%s\\n' "$a" "$b" "$c" """)
    assert [lib.strict(t)["version"] for t in out.splitlines()] == [1, 2, 3]


def test_results_are_each_descriptors_own(mount):
    mount.make("order/1")
    with mount.commands("order/1") as a, mount.commands("order/1") as b:
        a.write(command("A"))
        b.write(command("B"))
        assert [r["version"] for r in b.results()] == [2]
        assert [r["version"] for r in a.results()] == [1]
        assert a.results() == [] and b.results() == []


def test_a_result_may_be_read_in_pieces_at_any_offset(mount):
    mount.make("order/1")
    with mount.commands("order/1") as c:
        c.write(command())
        text = b""
        while piece := os.read(c.fd, 7):
            text += piece
        assert lib.strict(text)["version"] == 1


def test_a_descriptor_that_never_wrote_reads_what_the_file_accepts(mount):
    mount.make("order/1")
    for scope in ("", "order", "order/1"):
        help_text = mount.ok(f"cat {scope or '.'}/commands")
        assert "type" in json.dumps(lib.strict(help_text)), "it is JSON and names the members"


def test_unread_results_are_kept_up_to_1_mib_and_the_oldest_go(mount):
    mount.make("order/1")
    n = 20_000
    with mount.commands("order/1") as c:
        c.write_all(numbered(n))
        results = c.results()
    kept = sum(len(line(r)) for r in results)
    assert (1 << 19) < kept <= (1 << 20) + 4096 and len(results) < n
    assert [r["version"] for r in results] == list(range(n - len(results) + 1, n + 1)), "the newest, in order"


def test_a_transaction_may_span_aggregates(mount):
    members = [{"aggregate": f"a/{i % 3}", "type": f"T{i}"} for i in range(9)]
    results = mount.append("", members)
    assert len(results) == 1 and len(results[0]["commands"]) == 9
    events = mount.log_events()
    assert [e["type"] for e in events] == [f"T{i}" for i in range(9)], "in the order of the array"


def test_a_large_transaction_is_one(mount):
    n = lib.size(8000)
    members = b"[" + b",".join(command(aggregate=f"a/{i % 50}").rstrip() for i in range(n)) + b"]"
    assert len(members) < 1 << 20
    results = mount.append("", members)
    assert len(results) == 1 and len(mount.lines("log.ndjson")) == n


# --- durability levels: the same to look at

@pytest.mark.parametrize("durability", ["commit", "fsync", "os"])
def test_an_append_is_visible_at_every_durability(daemons, durability):
    daemon = daemons(options=[f"durability={durability}"]).start()
    daemon.make("order/1")
    with daemon.commands("order/1") as c:
        for n in range(1, 50):
            c.write(command())
            assert daemon.version("order/1") == n
        os.fsync(c.fd)
    daemon.restart()
    assert daemon.version("order/1") == 49
