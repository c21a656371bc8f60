"""README.md is true: every ```sh block runs, in order, in a directory where `mnt` is mounted and `store` is its store.

Blocks that install (tools/start.sh, tools/test.sh) are replaced by that mount. A block must exit with 0. A comment
behind a command (two spaces and #) that begins with a digit, a bracket or a capital letter is what the command prints,
and is compared, white space apart; one in small letters is an explanation. A ```text or ```json block right after a
```sh block, with nothing between, is what that block prints. Other ```json blocks are a command that is accepted or an
event with the members that events have. The ```bash blocks of "Kafka" run in a directory of their own."""

import errno
import json
import os
import re
import shlex
import stat

import pytest

import lib
import lib_kafka

README = os.path.join(lib.ROOT, "README.md")
INSTALLS = re.compile(r"tools/(start|test)\.sh|apt(-get)? ")
PRINTS = re.compile(r'^(?P<command>\S.*?\S)\s{2,}# (?P<printed>["\[{0-9A-Z].*)$')


@pytest.fixture(scope="module")
def text():
    if not os.path.exists(README):
        pytest.skip("there is no README.md yet")
    return open(README, encoding="utf-8").read()


def blocks(text, *languages):
    """(language, content, text between it and the block before) of every fenced block."""
    found, end = [], 0
    for m in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.M | re.S):
        if m.group(1) in languages:
            found.append((m.group(1), m.group(2), text[end:m.start()].strip()))
        end = m.end()
    return found


def words(text):
    return " ".join(text.split())


def complete(command):
    """Whether it is a command by itself, not a piece of one."""
    return lib.run(["bash", "-n", "-c", command]).rc == 0


def instrumented(block, directory):
    """The script, with the output of each line that says what it prints kept in a file. Gives it, and the list of
    (file, command, what it should print)."""
    out, expected = [], []
    for number, text in enumerate(block.splitlines()):
        m = PRINTS.match(text)
        if m and complete(m["command"]):
            file = os.path.join(directory, f"line{number}")
            expected.append((file, m["command"], m["printed"]))
            kept = shlex.quote(file)
            text = f"{{ {m['command']}\n}} > {kept} 2>&1 || {{ rc=$?; cat {kept} >&2; exit $rc; }}; cat {kept}"
        out.append(text)
    return "\n".join(out), expected


def test_every_shell_block_runs_and_prints_what_it_says(text, daemons, place):
    daemon = daemons(store=os.path.join(place, "store"), mnt=os.path.join(place, "mnt"))
    daemon.start()
    ran, compared, printed, faults = 0, 0, None, []
    for language, block, between in blocks(text, "sh", "text", "json"):
        if language != "sh":
            if printed is not None and not between:
                compared += 1
                if words(block) != words(printed):
                    faults.append(f"printed:\n{printed}\nREADME.md says:\n{block}")
            printed = None
            continue
        if INSTALLS.search(block):
            assert daemon.alive()
            continue
        directory = os.path.join(place, f"block{ran}")
        os.mkdir(directory)
        script, expected = instrumented(block, directory)
        env = {"PATH": os.path.dirname(lib.esfs()) + ":" + os.path.dirname(lib.esfsctl()) + ":" + os.environ["PATH"]}
        done = lib.run(["bash", "-e", "-c", script], cwd=place, timeout=60, env=env)
        ran += 1
        printed = done.out
        if done.rc != 0:
            faults.append(f"{block}\nends with {done}")
        for file, command, says in expected:
            compared += 1
            said = words(open(file).read()) if os.path.exists(file) else "(it was not reached)"
            if words(says) not in said:
                faults.append(f"{command}\nprints: {said}\nREADME.md says: {says}")
    assert ran >= 3 and compared >= 3, f"only {ran} blocks and {compared} comparisons"
    assert not faults, "\n---\n".join(faults)


def test_the_chapter_on_kafka_runs_and_prints_what_it_says(text, place):
    lib_kafka.need_kafka()
    script, expected = instrumented("\n".join(block for _, block, _ in blocks(text, "bash")), place)
    assert len(expected) >= 4, expected
    port = str(lib_kafka.free_port())
    for name in "tools", "build":
        os.symlink(os.path.join(lib.ROOT, name), os.path.join(place, name))
    path = ":".join([os.path.dirname(lib.esfs()), os.path.dirname(lib.esfsctl()), os.environ["PATH"]])
    env = {**lib_kafka.ENV, "PATH": path}
    try:
        done = lib.run(["bash", "-e", "-c", script.replace("9092", port)], cwd=place, timeout=150, env=env)
        assert done.rc == 0, f"{script}\n{done}"
        for file, command, says in expected:
            said = words(open(file).read())
            assert words(says) in said, f"{command}\nprints: {said}\nREADME.md says: {says}"
    finally:
        lib.run(["fusermount3", "-uz", os.path.join(place, "published")])
        if os.path.exists(os.path.join(place, "broker", "pid")):
            lib.run([lib_kafka.SCRIPT, "stop", "broker"], cwd=place, timeout=60, env=env)


def test_the_examples_in_json_are_true(text, mount):
    seen = set()
    for _, block, _ in blocks(text, "json"):
        value = lib.strict(block)
        if "specversion" in value:
            seen.add("event")
            sent = {"type": "A", "aggregate": "shown/1", "id": "c-81", "meta": {"tenant": "acme"}, "data": {"total": 5}}
            mount.append("", sent)
            ours = mount.events("shown/1")[-1]
            assert list(value) == list(ours), "members, in their order"
            assert {k: type(v) for k, v in value.items()} == {k: type(v) for k, v in ours.items()}
        elif "type" in value and "status" not in value:
            seen.add("command")
            scope = "" if "aggregate" in value else "example/1"
            mount.make("example/1")
            value.pop("expectedVersion", None)
            assert mount.append(scope, value)[0]["status"] == "appended", json.dumps(value)
    assert seen == {"event", "command"}


def test_the_tree_it_shows_is_there(text, mount):
    tree = next((block for _, block, _ in blocks(text, "text") if "log.ndjson" in block), None)
    assert tree, "README.md shows the tree"
    mount.append("", {"type": "OrderPlaced", "aggregate": "order/1001"})
    at, checked = [], 0
    for row in tree.splitlines()[1:]:
        name = row.split()[0] if row.strip() else ""
        depth = (len(row) - len(row.lstrip())) // 2 - 1
        if not name or depth < 0 or not re.match(r"[\w.<>/*-]+$", name):
            continue
        at[depth:] = [name]
        path = os.path.join(*at)
        if "<" not in path:
            st = os.lstat(mount.path(path.rstrip("/")))
            assert stat.S_ISDIR(st.st_mode) == name.endswith("/"), path
            checked += 1
    assert checked >= 12


def test_the_table_of_refusals_says_what_the_shell_prints(text):
    rows = re.findall(r"^\|[^|]*\| `([a-z_]+)` \| (E[A-Z]+) \| ([^|]+?) \|$", text, re.M)
    assert len(rows) >= 13
    words = open(os.path.join(os.path.dirname(os.path.dirname(lib.HERE)), "core", "base", "outcome.c")).read()
    for word, name, printed in rows:
        assert f'({name}, "{word}")' in words, (name, word)
        assert os.strerror(getattr(errno, name)) == printed, name
