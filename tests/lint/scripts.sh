#!/bin/sh
# No script has anything that shellcheck objects to.
set -eu
cd "$1"
command -v shellcheck >/dev/null || { echo "skipped: no shellcheck"; exit 77; }
find .ci/run tools tests \( -name run -o -name '*.sh' \) -exec shellcheck -x {} +
