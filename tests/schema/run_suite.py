"""Runs the official JSON-Schema-Test-Suite: run_suite.py SUITE-PROGRAM CACHE-DIRECTORY

The suite comes with the source package of jsonschema, which pip fetches once into the cache directory. Every required
test of both drafts must pass. Of the optional ones those fail that optional_failures.txt lists, and no others; one
that is listed and passes is a failure too. Exit status 77: the suite is not there and cannot be fetched.
"""
import hashlib
import pathlib
import subprocess
import sys
import tarfile

PACKAGE = "jsonschema-4.23.0"
SHA256 = "d71497fef26351a33265337fa77ffeb82423f3ea21283cd9467bb03999266bc4"
DRAFTS = {
    "draft2020-12": "https://json-schema.org/draft/2020-12/schema",
    "draft7": "http://json-schema.org/draft-07/schema#",
}
LIST = pathlib.Path(__file__).with_name("optional_failures.txt")


def fetch(cache):
    archive = cache / f"{PACKAGE}.tar.gz"
    if not archive.exists():
        pip = [sys.executable, "-m", "pip", "download", "--no-deps", "--no-binary", "jsonschema", "-d", str(cache)]
        done = subprocess.run(pip + [PACKAGE.replace("-", "==")], capture_output=True, text=True, check=False)
        if done.returncode or not archive.exists():
            reason = (done.stderr.strip() or done.stdout.strip()).splitlines()
            print(f"skipped: pip could not fetch {PACKAGE}: {reason[-1] if reason else 'it says nothing'}")
            sys.exit(77)
    if hashlib.sha256(archive.read_bytes()).hexdigest() != SHA256:
        archive.unlink()
        sys.exit(f"{archive} was not what it should be, and is removed")
    with tarfile.open(archive) as tar:
        tar.extractall(cache, [m for m in tar.getmembers() if m.name.startswith(f"{PACKAGE}/json/")])


def run(program, suite, draft, format_asserted, paths):
    """The failures as {(file, group, test): reason}, and how many tests there were."""
    command = [program, suite / "remotes", DRAFTS[draft], "01"[format_asserted], *paths]
    done = subprocess.run(command, stdout=subprocess.PIPE, encoding="utf-8", check=True)
    *lines, last = done.stdout.rstrip("\n").split("\n")
    failures = {}
    for line in lines:
        file, group, test, reason = line.split("\t", 3)
        failures[draft + "/" + file, group, test] = reason
    n_tests = int(last.split()[0])
    if n_tests < len(paths):
        sys.exit(f"{draft}: only {n_tests} tests in {len(paths)} files")
    return failures, n_tests


def listed():
    tests = set()
    for line in LIST.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            file, group, test, _reason = line.split("\t")
            tests.add((file, group, test))
    return tests


def optional_run(program, suite, draft):
    """`format` is an assertion in the tests of formats, and where regular expressions are tested through it."""
    optional = suite / "tests" / draft / "optional"
    asserted = sorted(optional.glob("format/*.json")) + [optional / "ecmascript-regex.json"]
    others = sorted(set(optional.glob("*.json")) - set(asserted))
    failures, n_tests = run(program, suite, draft, True, asserted)
    more, n_more = run(program, suite, draft, False, others)
    return {**failures, **more}, n_tests + n_more


def main(program, cache):
    cache = pathlib.Path(cache)
    cache.mkdir(parents=True, exist_ok=True)
    suite = cache / PACKAGE / "json"
    if not (suite / "tests" / "draft7").is_dir():
        fetch(cache)
    bad, optional = 0, {}
    for draft in DRAFTS:
        failures, n_required = run(program, suite, draft, False, sorted((suite / "tests" / draft).glob("*.json")))
        for test, reason in failures.items():
            print("FAILED", *test, reason, sep="\t")
        more, n_optional = optional_run(program, suite, draft)
        optional.update(more)
        bad += len(failures)
        print(f"{draft}: {n_required} required tests, {len(failures)} failed; {n_optional} optional, {len(more)} failed")
    known = listed()
    for test in sorted(optional.keys() - known):
        print("FAILED, and not listed", *test, optional[test], sep="\t")
    for test in sorted(known - optional.keys()):
        print("listed, but it passes or is not there", *test, sep="\t")
    sys.exit(1 if bad or known != optional.keys() else 0)


main(*sys.argv[1:])
