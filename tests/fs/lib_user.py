"""Being somebody else: root can become any user."""

import contextlib
import os


@contextlib.contextmanager
def user(uid, gid, groups=()):
    """The block runs as another user."""
    before = os.getgroups()
    os.setgroups(list(groups))
    os.setegid(gid)
    os.seteuid(uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(before)
