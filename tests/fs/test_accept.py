"""The design read as shell commands, on an empty mount, where those scripts are at hand.

ESFS_ACCEPT and ESFS_ACCEPT_DOMAIN name them; by default they are looked for in the folders beside the checkout, as
accept/core.sh and accept/domain.sh (with the domain accept/shop)."""

import glob
import os
import shutil

import pytest

import lib


def script(name, variable):
    beside = sorted(glob.glob(os.path.join(lib.ROOT, "..", "*", "accept", name)))
    path = os.environ.get(variable) or (beside[0] if beside else "")
    if not os.path.exists(path):
        pytest.skip(f"accept/{name} is not here ({variable})")
    lib.need("jq", "tar", "python3")
    return os.path.abspath(path)


def reports_no_failure(path, mount):
    done = lib.run(["bash", path, mount.mnt], timeout=110)
    assert done.rc == 0 and done.out.splitlines()[-1].endswith(" 0 failed"), done


def test_the_acceptance_script_reports_no_failure(mount):
    reports_no_failure(script("core.sh", "ESFS_ACCEPT"), mount)


def test_the_acceptance_script_of_a_domain_reports_no_failure(daemons, place):
    path = script("domain.sh", "ESFS_ACCEPT_DOMAIN")
    lib.need_root()
    lib.need("setpriv")
    domain = os.path.join(place, "shop")
    shutil.copytree(os.path.join(os.path.dirname(path), "shop"), domain)
    reports_no_failure(path, daemons(options=["allow_other", f"domain={domain}"]).start())
