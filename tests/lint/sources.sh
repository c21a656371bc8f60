#!/bin/sh
# The lists in meson.build are explicit: a source or a test that no list names would never be built or run.
set -eu
cd "$1"
missing=0
for file in core/*.c core/*.cc fs/*.c tools/*.c tests/unit/test_*.c tests/fs/*.c tests/fs/test_*.py tests/fuzz/*.c \
  tests/bench/*.c; do
  [ -e "$file" ] || continue
  name=${file##*/}
  grep -q "'${name%.*}\(\.[a-z]*\)\?'" "${file%/*}/meson.build" && continue
  echo "$file: not in ${file%/*}/meson.build"
  missing=1
done
exit $missing
