"""One write(2) of a million commands, of which one is bad. The kernel cuts it into many; the caller must not see it."""

import errno
import os

import pytest

import lib
from lib import command, numbered

N = lib.size(1_000_000)


def text_with(k, bad):
    """N lines; the k-th (from 1) is the bad one."""
    return numbered(k - 1), bad, numbered(N - k, first=k)


def write_like_cat(fd, text):
    """Tries until the end or an error: gives the bytes that were taken, and the errno's name."""
    view, taken = memoryview(text), 0
    while taken < len(text):
        try:
            n = os.write(fd, view[taken:])
        except OSError as e:
            return taken, errno.errorcode[e.errno]
        assert n > 0
        taken += n
    return taken, None


BAD = {"ESTALE": command(expectedVersion="none"), "EINVAL": b'{"typ":"A"}\n', "EBADMSG": b'{"type":"A",}\n'}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("k, error", [(1, "EINVAL"), (N // 2 + 7, "ESTALE"), (N, "EBADMSG")])
def test_the_kth_of_a_million_is_bad(mount, k, error):
    mount.make("order/1")
    mount.append("order/1", command("First"))
    before, bad, after = text_with(k, BAD[error])
    with mount.commands("order/1", os.O_WRONLY) as c:
        taken, failed = write_like_cat(c.fd, before + bad + after)
        assert failed == error
        assert len(before) - 1 <= taken < len(before) + len(bad), "up to the bad one, or into it where the kernel cut"
        for _ in range(3):
            assert write_like_cat(c.fd, (before + bad + after)[taken:taken + 100_000]) == (0, error), "and again"
    assert mount.version("order/1") == k
    last = mount.lines("order/1", "events.ndjson")[-1]
    assert lib.data_bytes(last) == (b'{"n":%d}' % (k - 2) if k > 1 else b"{}")
    assert mount.rejections()[-1]["error"]


@pytest.mark.timeout(240)
def test_a_million_good_ones_are_all_there_in_order(mount):
    text = numbered(N).replace(b'{"type"', b'{"aggregate":"order/1","type"')
    with mount.commands("", os.O_WRONLY) as c:
        assert write_like_cat(c.fd, text) == (len(text), None)
    assert mount.version("order/1") == N
    n = 0
    with open(mount.path("log.ndjson"), "rb") as f:
        for text in f:
            assert text.endswith(b',"data":{"n":%d}}\n' % n), (n, text)
            n += 1
    assert n == N
    assert os.path.getsize(mount.path("log.ndjson")) == os.path.getsize(mount.path("order/1/events.ndjson"))


@pytest.mark.timeout(240)
def test_cat_says_what_was_wrong_and_the_count_is_right(mount, place):
    k = N // 3
    with open(os.path.join(place, "text"), "wb") as f:
        for part in text_with(k, b'{"type":"A","id":"known","data":{"x":1}}\n'):
            f.write(part)
    mount.make("order/1")
    mount.append("order/1", command(id="known"))
    mount.fails(f"cat {place}/text > order/1/commands", "File exists", timeout=100)
    assert mount.version("order/1") == k
