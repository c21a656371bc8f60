"""Commands that are refused: which errno, seen by which program, and what is left behind."""

import errno
import os
import sys

import pytest

import lib
from lib import command, line, numbered

MIB = 1 << 20


def padded(n):
    """A command of n bytes exactly."""
    frame = b'{"type":"A","data":{"x":""}}'
    return frame[:-3] + b"y" * (n - len(frame)) + frame[-3:]


def nested(depth, opening=b"[", closing=b"]"):
    return b'{"type":"A","data":{"x":' + opening * depth + closing * depth + b"}}"


# name: (text, errno). The aggregate has one event, of the command {"type":"B","id":"known","data":{"a":1}}.
REFUSED = {
    "no JSON": (b"{type:1}", "EBADMSG"),
    "a word": (b"hello\n", "EBADMSG"),
    "a number": (b"5\n", "EBADMSG"),
    "a string": (b'"x"\n', "EBADMSG"),
    "a closing bracket": (b"}\n", "EBADMSG"),
    "a bracket of the other kind": (b'{"type":"A","data":{"x":[1}}]', "EBADMSG"),
    "a trailing comma": (b'{"type":"A",}', "EBADMSG"),
    "no comma": (b'{"type":"A" "data":{}}', "EBADMSG"),
    "single quotes": (b"{'type':'A'}", "EBADMSG"),
    "a comment": (b'{"type":"A"/**/}', "EBADMSG"),
    "a bad number": (b'{"type":"A","data":{"n":01}}', "EBADMSG"),
    "a number without digits": (b'{"type":"A","data":{"n":1.}}', "EBADMSG"),
    "a plus sign": (b'{"type":"A","data":{"n":+1}}', "EBADMSG"),
    "a hexadecimal number": (b'{"type":"A","data":{"n":0x1}}', "EBADMSG"),
    "NaN": (b'{"type":"A","data":{"n":NaN}}', "EBADMSG"),
    "a bad word": (b'{"type":"A","data":{"n":nul}}', "EBADMSG"),
    "a bad escape": (b'{"type":"A","data":{"s":"\\x41"}}', "EBADMSG"),
    "a cut escape": (b'{"type":"A","data":{"s":"\\u12"}}', "EBADMSG"),
    "a raw newline in a string": (b'{"type":"A","data":{"s":"a\nb"}}', "EBADMSG"),
    "a raw tab in a string": (b'{"type":"A","data":{"s":"a\tb"}}', "EBADMSG"),
    "a lone high surrogate": (b'{"type":"A","data":{"s":"\\ud800"}}', "EBADMSG"),
    "a lone low surrogate": (b'{"type":"A","data":{"s":"\\udc00x"}}', "EBADMSG"),
    "surrogates in the wrong order": (b'{"type":"A","data":{"s":"\\udc00\\ud800"}}', "EBADMSG"),
    "a lone surrogate in a name": (b'{"type":"A","data":{"\\ud800":1}}', "EBADMSG"),
    "invalid UTF-8": (b'{"type":"A","data":{"s":"\xff"}}', "EBADMSG"),
    "overlong UTF-8": (b'{"type":"A","data":{"s":"\xc0\xaf"}}', "EBADMSG"),
    "a surrogate in UTF-8": (b'{"type":"A","data":{"s":"\xed\xa0\x80"}}', "EBADMSG"),
    "cut UTF-8": (b'{"type":"A","data":{"s":"\xe2\x82"}}', "EBADMSG"),
    "beyond Unicode": (b'{"type":"A","data":{"s":"\xf4\x90\x80\x80"}}', "EBADMSG"),
    "a byte order mark": (b'\xef\xbb\xbf{"type":"A"}', "EBADMSG"),
    "a NUL between values": (b'\0{"type":"A"}', "EBADMSG"),
    "a NUL inside": (b'{"type":"A"\0}', "EBADMSG"),
    "a NUL in a string": (b'{"type":"A","data":{"s":"\0"}}', "EBADMSG"),
    "arrays of depth 10000": (nested(10_000), "EBADMSG"),
    "objects of depth 10000": (nested(10_000, b'{"x":', b"}").replace(b'{"x":}', b'{"x":1}', 1), "EBADMSG"),
    "only opening brackets": (b"[" * 10_000, "EBADMSG"),
    "a member twice": (b'{"type":"A","type":"B"}', "EBADMSG"),
    "a member of data twice": (b'{"type":"A","data":{"a":1,"a":1}}', "EBADMSG"),
    "a member twice, deep down": (b'{"type":"A","data":{"a":[{"b":{"c":1,"d":2,"c":3}}]}}', "EBADMSG"),
    "a member twice, spelled differently": (b'{"type":"A","data":{"a":1,"\\u0061":2}}', "EBADMSG"),
    "a member of meta twice": (b'{"type":"A","meta":{"a":1,"a":1}}', "EBADMSG"),
    "malformed in a transaction": (b'[{"type":"A"},{"type":}]', "EBADMSG"),

    "no type": (b'{"data":{}}', "EINVAL"),
    "nothing": (b"{}", "EINVAL"),
    "an unknown member": (b'{"type":"A","dat":{}}', "EINVAL"),
    "a member in capitals": (b'{"type":"A","Data":{}}', "EINVAL"),
    "a type that is a number": (b'{"type":1}', "EINVAL"),
    "a type that is null": (b'{"type":null}', "EINVAL"),
    "an empty type": (b'{"type":""}', "EINVAL"),
    "a type with a slash": (b'{"type":"a/b"}', "EINVAL"),
    "a type with a dot in front": (b'{"type":".a"}', "EINVAL"),
    "a type of the system": (b'{"type":"$KeyShredded"}', "EINVAL"),
    "a type with a newline": (b'{"type":"a\\nb"}', "EINVAL"),
    "a type with a NUL": (b'{"type":"a\\u0000b"}', "EINVAL"),
    "a type of 129 bytes": (b'{"type":"' + b"t" * 129 + b'"}', "EINVAL"),
    "data that is an array": (b'{"type":"A","data":[]}', "EINVAL"),
    "data that is null": (b'{"type":"A","data":null}', "EINVAL"),
    "data that is a string": (b'{"type":"A","data":"{}"}', "EINVAL"),
    "an empty id": (b'{"type":"A","id":""}', "EINVAL"),
    "an id that is a number": (b'{"type":"A","id":1}', "EINVAL"),
    "an id of 257 bytes": (b'{"type":"A","id":"' + b"i" * 257 + b'"}', "EINVAL"),
    "a correlationid of 257 bytes": (b'{"type":"A","correlationid":"' + b"i" * 257 + b'"}', "EINVAL"),
    "an empty causationid": (b'{"type":"A","causationid":""}', "EINVAL"),
    "a traceparent that is true": (b'{"type":"A","traceparent":true}', "EINVAL"),
    "meta that is an array": (b'{"type":"A","meta":[]}', "EINVAL"),
    "meta in capitals": (b'{"type":"A","meta":{"Tenant":"x"}}', "EINVAL"),
    "meta with an underscore": (b'{"type":"A","meta":{"a_b":"x"}}', "EINVAL"),
    "meta without a name": (b'{"type":"A","meta":{"":"x"}}', "EINVAL"),
    "a meta name of 21 bytes": (b'{"type":"A","meta":{"aaaaabbbbbcccccddddde":"x"}}', "EINVAL"),
    "meta with an object": (b'{"type":"A","meta":{"a":{}}}', "EINVAL"),
    "meta with null": (b'{"type":"A","meta":{"a":null}}', "EINVAL"),
    "meta with a fraction": (b'{"type":"A","meta":{"a":1.5}}', "EINVAL"),
    "meta with 33 bits": (b'{"type":"A","meta":{"a":2147483648}}', "EINVAL"),
    "meta below 32 bits": (b'{"type":"A","meta":{"a":-2147483649}}', "EINVAL"),
    "meta that would be a member twice": (b'{"type":"A","meta":{"subject":"x"}}', "EINVAL"),
    "meta that would be data": (b'{"type":"A","meta":{"data":"x"}}', "EINVAL"),
    "a negative expectedVersion": (b'{"type":"A","expectedVersion":-1}', "EINVAL"),
    "a fractional expectedVersion": (b'{"type":"A","expectedVersion":1.0}', "EINVAL"),
    "an expectedVersion in words": (b'{"type":"A","expectedVersion":"one"}', "EINVAL"),
    "an expectedVersion in quotes": (b'{"type":"A","expectedVersion":"1"}', "EINVAL"),
    "an expectedVersion that is null": (b'{"type":"A","expectedVersion":null}', "EINVAL"),
    "another aggregate's name": (b'{"type":"A","aggregate":"order/2"}', "EINVAL"),
    "another type's name": (b'{"type":"A","aggregate":"item/1"}', "EINVAL"),
    "a check outside of a transaction": (b'{"expectedVersion":1}', "EINVAL"),
    "invalid in a transaction": (b'[{"type":"A"},{"typ":"A"}]', "EINVAL"),

    "a version it is not at": (b'{"type":"A","expectedVersion":0}', "ESTALE"),
    "a version far away": (b'{"type":"A","expectedVersion":18446744073709551615}', "ESTALE"),
    "none where there is one": (b'{"type":"A","expectedVersion":"none"}', "ESTALE"),
    "a version in a transaction": (b'[{"type":"A"},{"type":"A","expectedVersion":9}]', "ESTALE"),
    "a known id with other data": (b'{"type":"B","id":"known","data":{"a":2}}', "EEXIST"),
    "a known id with another type": (b'{"type":"C","id":"known","data":{"a":1}}', "EEXIST"),
    "an id twice in a transaction": (b'[{"type":"A","id":"x"},{"type":"A","id":"x"}]', "EEXIST"),
    "a command of 1 MiB + 1": (padded(MIB + 1), "EMSGSIZE"),
    "a transaction of 1 MiB + 1": (b"[" + padded(MIB - 1) + b"]", "EMSGSIZE"),
}

WRITERS = {
    "bash": ("bash", 'printf "%b" "$text" > order/1/commands'),
    "bash append": ("bash", 'printf "%b" "$text" >> order/1/commands'),
    "dash": ("dash", 'printf "%b" "$text" > order/1/commands'),
    "cat": ("bash", 'cat "$file" > order/1/commands'),
    "dd": ("bash", 'dd if="$file" of=order/1/commands bs=64K status=none'),
    "python": ("bash", f"{sys.executable} -S -c 'import sys\nwith open(sys.argv[1], \"wb\") as f:\n"
                       " f.write(open(sys.argv[2], \"rb\").read())' order/1/commands \"$file\""),
}


@pytest.fixture
def known(mount):
    """A mount where order/1 is at version 1."""
    mount.make("order/1")
    mount.append("order/1", command("B", id="known", data={"a": 1}))
    return mount


def octal(text):
    """For printf %b."""
    return "".join(f"\\0{b:03o}" for b in text)


def write_by(mount, place, writer, text):
    shell, script = WRITERS[writer]
    lib.need(shell)
    file, program = os.path.join(place, "text"), os.path.join(place, "script")
    with open(file, "wb") as f:
        f.write(text)
    with open(program, "w") as f:
        f.write(f"file={file}\n")
        if "$text" in script:
            f.write(f"text='{octal(text)}'\n")
        f.write(script + "\n")
    return lib.run([shell, program], cwd=mount.mnt, timeout=60)


def write_once(channel, text):
    """The errno that writing the text meets, on a fresh descriptor."""
    return lib.error_of(channel.write_all, text)


# --- which errno

@pytest.mark.parametrize("writer", WRITERS)
def test_every_refusal_is_told_by(known, place, writer):
    """Every row, by one program. What was refused leaves no event, and says so in rejections.ndjson."""
    wrong = []
    for name, (text, error) in REFUSED.items():
        before = len(known.rejections("order"))
        done = write_by(known, place, writer, text)
        message = "I/O error" if writer == "dash" else os.strerror(getattr(errno, error))
        rejections = known.rejections("order")
        if writer == "dash" and len(text) > 5 * 8192:
            message = ""  # dash's message follows from the last of its writes
        if done.rc == 0 or message not in done.err:
            wrong.append(f"{name}: {error}: {done}")
        elif len(rejections) == before or len(known.events("order/1")) != 1:
            wrong.append(f"{name}: {len(rejections) - before} rejections, {len(known.events('order/1'))} events")
    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("name", REFUSED)
def test_one_write_is_refused(known, name):
    text, error = REFUSED[name]
    with known.commands("order/1") as c:
        assert write_once(c, text) == error
        results = c.results()
    assert len(results) == 1
    assert (results[0]["status"], results[0]["errno"]) == ("rejected", error)
    assert results[0]["detail"]
    assert known.version("order/1") == 1
    told = known.rejections("order")[-1]
    assert told["error"] == results[0]["error"]
    assert told["detail"] == results[0]["detail"]


@pytest.mark.parametrize("text", [b"5\n", b'"hello"\n', b"true\n", b"hello\n", b"}\n"])
def test_what_is_neither_object_nor_array_is_told_what_is_meant(known, text):
    with known.commands("order/1") as c:
        assert write_once(c, text) == "EBADMSG"
        assert c.results()[0]["detail"] == "a command is an object, a transaction an array of objects: this is neither"


def test_what_is_nested_too_deep_is_told_so(known):
    with known.commands("order/1") as c:
        assert write_once(c, nested(10_000)) == "EBADMSG"
        assert c.results()[0]["detail"] == "not JSON: it is nested more than 512 deep"


def test_a_member_given_twice_is_malformed(known):
    for text in REFUSED["a member twice"][0], REFUSED["a member of data twice"][0]:
        with known.commands("order/1") as c:
            assert write_once(c, text) == "EBADMSG"
            told = c.results()[0]
        assert (told["error"], told["detail"]) == ("malformed", "not JSON: an object has the same member twice")


@pytest.mark.parametrize("text, error", [
    (command(), "EINVAL"),
    (command(aggregate="order"), "EINVAL"),
    (command(aggregate=""), "EINVAL"),
    (command(aggregate="/order/1"), "EINVAL"),
    (command(aggregate="order/1/"), "EINVAL"),
    (command(aggregate="order/1/events"), "EINVAL"),
    (command(aggregate=5), "EINVAL"),
    (command(aggregate="order/commands"), "EINVAL"),
    (command(aggregate="views/1"), "EINVAL"),
    (command(aggregate="order/2", expectedVersion=1), "ESTALE"),
    (command(aggregate="order/2", expectedVersion="exists"), "ESTALE"),
    (command(aggregate="order/1", expectedVersion="none"), "ESTALE"),
    (command("B", aggregate="order/1", id="known"), "EEXIST"),
    (line([{"type": "A", "aggregate": "order/7"}, {"type": "A"}]), "EINVAL"),
    (line([{"type": "A", "aggregate": "order/7"},
           {"type": "A", "aggregate": "order/8", "expectedVersion": 1}]), "ESTALE"),
])
def test_the_root_refuses(known, text, error):
    with known.commands() as c:
        assert write_once(c, text) == error
    assert len(known.log_events()) == 1
    assert known.rejections()[-1]["detail"]


def test_a_refused_command_creates_nothing(known):
    """Neither the aggregate nor the type that it named."""
    for name in ("order/77", "bird/1"):
        known.fails(f"""echo '{{"type":"A","aggregate":"{name}","expectedVersion":3}}' > commands""",
                    "Stale file handle")
        assert not os.path.exists(known.path(name))
    assert "bird" not in os.listdir(known.mnt)


def test_10_to_the_400_is_kept_as_text(known):
    known.append("order/1", b'{"type":"Big","data":{"x":1e400,"y":[-1E+4000]}}')
    assert lib.data_bytes(known.lines("order/1", "events.ndjson")[-1]) == b'{"x":1e400,"y":[-1E+4000]}'
    assert "1e400" in known.ok("tail -n 1 log.ndjson")


def test_limits_are_reached_exactly(known):
    with known.commands("order/1") as c:
        c.write_all(padded(MIB))
        assert c.results()[0]["status"] == "appended"
        c.write_all(b"[" + padded(MIB - 2) + b"]")
        assert c.results()[0]["status"] == "appended"
        c.write_all(command("t" * 128, id="i" * 256, correlationid="c" * 256, meta={"a" * 20: 2**31 - 1, "b": -2**31}))
        assert c.results()[0]["status"] == "appended"
        c.write_all(nested(300))
        assert c.results()[0]["status"] == "appended"
    assert known.version("order/1") == 5


@pytest.mark.options("max_command=4K")
def test_the_limit_is_an_option(known):
    with known.commands("order/1") as c:
        c.write_all(padded(4096) * 3)
        assert write_once(c, padded(4097)) == "EMSGSIZE"
        assert c.results()[-1]["detail"] == "the command has 4097 bytes, and max_command allows 4096"
    with known.commands("order/1") as c:
        assert write_once(c, padded(5000)[:-1]) == "EMSGSIZE"
        assert c.results()[-1]["detail"] == "the command has more than the 4096 bytes that max_command allows"
    assert known.version("order/1") == 4


def test_white_space_does_not_count_towards_the_limit(known):
    with known.commands("order/1") as c:
        c.write_all(b" " * MIB + command() + b"\n" * MIB + padded(MIB))
    assert known.version("order/1") == 3


def test_a_flood_without_end_is_refused_at_the_limit(known):
    """A value that never ends is not collected."""
    with known.commands("order/1") as c:
        taken = 0
        with pytest.raises(OSError) as failed:
            c.write_all(b'{"type":"A","data":{"x":"')
            while taken < 64 * MIB:
                taken += c.write(b"y" * 65536)
        assert failed.value.errno == errno.EMSGSIZE and taken <= MIB


# --- cut off at close

CUT = b'{"type":"A","data":{"k":'


def test_close_tells_python_that_a_command_was_cut_off(known):
    c = known.commands("order/1")
    assert c.write(CUT) == len(CUT)
    assert lib.error_of(c.close) == "EBADMSG"
    lib.wait_until(lambda: [r["error"] for r in known.rejections("order")] == ["malformed"], what="one rejection")
    assert known.version("order/1") == 1


@pytest.mark.parametrize("program", [
    "/bin/echo -n '{\"type\":' > order/1/commands", "printf '{\"type\":' | cat > order/1/commands",
    "printf '{\"type\":' | dd of=order/1/commands status=none",
    "printf '{\"type\":' | tee order/1/commands > /dev/null",
    "printf '{\"type\":' > /tmp/cut.$$; cp /tmp/cut.$$ order/1/commands; e=$?; rm /tmp/cut.$$; exit $e"
])
def test_close_tells_programs_that_a_command_was_cut_off(known, program):
    known.fails(program, "Bad message")
    lib.wait_until(lambda: len(known.rejections("order")) == 1, what="one rejection")
    assert known.version("order/1") == 1


def test_bash_does_not_see_it_but_it_is_logged(known):
    known.sh("printf '%s' '{\"type\":\"A\"' > order/1/commands")
    told = lib.wait_until(lambda: known.rejections("order"), what="one rejection")
    assert len(told) == 1 and told[0]["error"] == "malformed" and known.version("order/1") == 1


def test_what_came_before_a_cut_command_stays(known):
    c = known.commands("order/1")
    c.write_all(numbered(10) + CUT)
    assert lib.error_of(c.close) == "EBADMSG"
    assert known.version("order/1") == 11


def test_a_command_may_be_finished_after_a_duplicate_was_closed(known):
    """FLUSH comes at every close of a duplicate: it says so, and changes nothing."""
    with known.commands("order/1") as c:
        c.write(b'{"type":')
        for _ in range(3):
            assert lib.error_of(os.close, os.dup(c.fd)) == "EBADMSG"
        c.write(b'"A"}')
        assert lib.error_of(os.close, os.dup(c.fd)) is None
    assert known.version("order/1") == 2 and known.rejections("order") == []


# --- short writes

def test_a_write_is_short_up_to_the_bad_command(known):
    good, bad = numbered(3), command(expectedVersion=0)
    with known.commands("order/1") as c:
        n = c.write(good + bad + good)
        assert n in (len(good), len(good) - 1), "white space before the bad one may go with either"
        for _ in range(2):
            assert lib.error_of(c.write, (good + bad + good)[n:]) == "ESTALE", "as often as it is tried"
        assert c.write(good) == len(good), "the descriptor is in step: none of the bad one was taken"
        assert [r["status"] for r in c.results()] == ["appended"] * 3 + ["rejected"] * 2 + ["appended"] * 3
    assert known.version("order/1") == 7


def test_a_writer_may_leave_the_bad_command_out(known):
    with known.commands("order/1") as c:
        n = c.write(numbered(2) + command(expectedVersion=0))
        assert c.write(numbered(2, first=2)) == len(numbered(2, first=2)), n
    assert [e["data"].get("n") for e in known.events("order/1")[1:]] == [0, 1, 2, 3]


@pytest.mark.parametrize("bad, error", [(b'{"type":}', "EBADMSG"), (b'{"typ":"A"}', "EINVAL"),
                                        (b'{"type":"A","expectedVersion":0}', "ESTALE"),
                                        (b'{"type":"B","id":"known"}', "EEXIST"), (b"}", "EBADMSG"), (b"x", "EBADMSG")])
def test_a_write_never_returns_0(known, bad, error):
    for before in (b"", b" ", b"\n\n", command(), command() + b" \n "):
        with known.commands("order/1") as c:
            text, n = before + bad, 0
            with pytest.raises(OSError) as failed:
                while n < len(text):
                    taken = c.write(text[n:])
                    assert taken > 0
                    n += taken
            assert errno.errorcode[failed.value.errno] == error, before
            assert n <= len(before)


@pytest.mark.parametrize("bad, error", [(b'{"type":"A","data":{,}}', "EBADMSG"),
                                        (b'{"type":"A","dat":{"x":1}}', "EINVAL"),
                                        (b'{"type":"A","expectedVersion":0}', "ESTALE"),
                                        (b'{"type":"B","id":"known","data":{}}', "EEXIST"),
                                        (b'[{"type":"A"},{"type":"A","expectedVersion":0}]', "ESTALE"),
                                        (padded(MIB + 1), "EMSGSIZE"), (b"[" * 1000, "EBADMSG")],
                         ids=["not JSON", "unknown member", "version", "id", "transaction", "too long", "too deep"])
def test_a_command_refused_in_its_middle_leaves_the_descriptor_refused(known, bad, error):
    with known.commands("order/1") as c, known.commands("order/1") as other:
        assert c.write(bad[:9]) == 9
        for text in (bad[9:], bad[9:], command(), b" ", bad[9:], numbered(100)):
            assert write_once(c, text) == error
        assert known.version("order/1") == 1
        assert other.write(command()) == len(command()), "others are not concerned"
    with known.commands("order/1") as c:
        c.write(command())
    assert known.version("order/1") == 3


def test_a_refused_descriptor_tells_one_rejection(known):
    with known.commands("order/1") as c:
        c.write(b'{"type":"A"')
        for _ in range(5):
            assert write_once(c, b',"x":1}') == "EINVAL"
        assert len([r for r in c.results() if r["status"] == "rejected"]) == 1
    assert len(known.rejections("order")) == 1


def test_cat_stops_at_the_bad_command_and_says_which_errno(known, place):
    with open(os.path.join(place, "text"), "wb") as f:
        f.write(numbered(1000) + command(expectedVersion=7) + numbered(1000))
    known.fails(f"cat {place}/text > order/1/commands", "Stale file handle")
    assert known.version("order/1") == 1001


# --- rejections.ndjson

def test_a_rejection_tells_who_what_and_why(known):
    with known.commands("order/1") as c:
        result = c.ask({"type": "A", "id": "c-9", "expectedVersion": 7})
    assert {**result, "detail": ""} == {
        "status": "rejected", "error": "conflict", "errno": "ESTALE", "detail": "", "aggregate": "order/1",
        **({"commandid": "c-9"} if "commandid" in result else {})
    }
    assert "1" in result["detail"] and "7" in result["detail"]
    told = known.rejections()[-1]
    assert (told["uid"], told["pid"], told["error"], told["detail"]) == (os.geteuid(), os.getpid(), "conflict",
                                                                         result["detail"])
    assert told["time"].endswith("Z") and "command" in told
    assert lib.event_time_ns(known.events("order/1")[0]) <= lib.event_time_ns(told)


def test_a_refused_transaction_names_the_member(known):
    with known.commands() as c:
        result = c.ask([{"aggregate": "order/2", "type": "A"},
                        {"aggregate": "order/1", "type": "A", "expectedVersion": 5}])
    assert (result["status"], result["error"], result["errno"], result["aggregate"], result["index"]) == \
        ("rejected", "conflict", "ESTALE", "order/1", 1)


def test_the_pid_is_that_of_the_process_that_opened(known):
    pid = int(known.ok("""echo $$; echo '{"typ":1}' > order/1/commands 2>/dev/null; true"""))
    assert known.rejections()[-1]["pid"] == pid


def test_each_type_has_the_rejections_of_its_own(known):
    known.make("item/1")
    known.sh("""echo '{"typ":1}' > order/1/commands; echo '{"typ":2}' > item/commands; echo '{"typ":3}' > commands
                echo '{"type":"A","aggregate":"item/1","expectedVersion":4}' > commands""")
    assert len(known.rejections()) == 4
    assert len(known.rejections("order")) == 1
    assert len(known.rejections("item")) == 2, "its own file, and the root's that named it"


def test_hostile_text_in_a_refusal_stays_json(known):
    for text in (b'{"type":"a\\u001b[31m\\n\\"\\\\/"}', '{"é\\"😀\\u0007":1}'.encode(), b"\xff\xfe\n",
                 b'{"type":"A","' + b"x" * 5000 + b'":1}', '{"type":"A","'.encode() + "é".encode() * 700 + b'":1}'):
        with known.commands("order/1") as c:
            assert write_once(c, text) in ("EINVAL", "EBADMSG")
    assert len(known.rejections()) == 5, "strictly parsed, one a line"
    known.ok("jq -e .detail rejections.ndjson order/rejections.ndjson")


def test_rejections_are_bounded_and_the_newest_stay(known):
    n = lib.size(30_000)
    with known.commands("order/1", os.O_WRONLY) as c:
        for i in range(n):
            assert lib.error_of(c.write, b'{"type":"A","%07d":"%s"}' % (i, b"x" * 300)) == "EINVAL"
    told = known.rejections()
    assert f"{n - 1:07}" in told[-1]["detail"]
    assert os.path.getsize(known.path("rejections.ndjson")) <= 16 << 20
    assert [t["time"] for t in told] == sorted(t["time"] for t in told)


# --- no permission to write at all

@pytest.mark.parametrize("shell", ["bash", "dash"])
def test_a_read_only_mount_says_so(daemons, shell):
    daemon = daemons().start()
    daemon.append("", command(aggregate="order/1"))
    daemon.restart(["ro"])
    done = daemon.fails("echo '{\"type\":\"A\"}' > order/1/commands", "ead-only file system", shell=shell)
    assert done.rc != 0
    daemon.fails("mkdir order/2", "ead-only file system")
    assert daemon.version("order/1") == 1
