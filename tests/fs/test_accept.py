"""The design read as shell commands, on an empty mount, where that script is at hand.

ESFS_ACCEPT names it; by default it is looked for in the folders beside the checkout, as accept/core.sh."""

import glob
import os

import pytest

import lib

BESIDE = sorted(glob.glob(os.path.join(lib.ROOT, "..", "*", "accept", "core.sh")))
SCRIPT = os.environ.get("ESFS_ACCEPT") or (BESIDE[0] if BESIDE else "")


def test_the_acceptance_script_reports_no_failure(mount):
    if not os.path.exists(SCRIPT):
        pytest.skip("accept/core.sh is not here (ESFS_ACCEPT)")
    lib.need("jq", "tar", "python3")
    done = lib.run(["bash", os.path.abspath(SCRIPT), mount.mnt], timeout=110)
    assert done.rc == 0 and done.out.splitlines()[-1].endswith(" 0 failed"), done
