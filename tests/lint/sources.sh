#!/bin/sh
# The lists in meson.build are explicit: a source or a test that no list names would never be built or run.
set -eu
cd "$1"
missing=0
for file in core/*.c core/*/*.c core/*/*.cc fs/*.c tools/*.c tests/unit/test_*.c tests/fs/*.c tests/fs/test_*.py \
  tests/fuzz/*.c tests/bench/*.c; do
  [ -e "$file" ] || continue
  list=${file%/*}/meson.build name=${file##*/}
  case $file in core/*) list=core/meson.build name=${file#core/} ;; esac
  grep -q "'${name%.*}\(\.[a-z]*\)\?'" "$list" && continue
  echo "$file: not in $list"
  missing=1
done
exit $missing
