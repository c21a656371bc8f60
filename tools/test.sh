#!/usr/bin/env bash
# Builds esfs in several ways and runs all tests.
#
#   tools/test.sh [--quick] [--cycles N] [PART...]
#
#   PART       gate    format, lint, gcc release build, unit tests; when it fails, nothing else is run
#              fs      the tests on a real mount, of the release build, and with a real Kafka broker
#              asan    all tests again, by clang with AddressSanitizer and UndefinedBehaviorSanitizer (which sees more
#                      than gcc's), and each fuzz target for some seconds
#              tsan    what has threads, under ThreadSanitizer
#   --quick    gate and fs only, without the long kill -9 and fault tests
#   --cycles N kill -9 cycles of the crash test (200, or ESFS_CYCLES)
#
# Builds are kept in build/, logs in build/<part>/meson-logs. The last line is "N passed, N failed".
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/lib.sh

test_packages=(clang clang-format libclang-rt-14-dev libcmocka-dev libsqlite3-dev python3-pytest
  python3-pytest-timeout shellcheck jq acl attr rsync rocksdb-tools restic borgbackup e2fsprogs procps strace
  python3-jsonschema python3-pip kcat)
# Any Java will do for a broker, and any Maven to get it.
command -v java >/dev/null || test_packages+=(default-jre-headless)
command -v mvn >/dev/null || test_packages+=(maven)

passed=0 failed=0 skipped=0 quick='' parts=()
export ESFS_CYCLES=${ESFS_CYCLES:-200}
while [ $# -gt 0 ]; do
  case $1 in
    --quick) quick=1 ;;
    --cycles) ESFS_CYCLES=${2:?--cycles needs a number}; shift ;;
    gate | fs | asan | tsan) parts+=("$1") ;;
    *) sed -n '2,/^set/s/^# \{0,1\}//p' "$0"; exit 2 ;;
  esac
  shift
done
[ ${#parts[@]} -gt 0 ] || parts=(gate fs asan tsan)
[ -z "$quick" ] || parts=(gate fs)

# What tests leave behind: mounts in their directory, programs out of our builds.
leftovers() {
  local exe
  awk -v at="$TMPDIR/" 'index($5, at) == 1 { print "mount " $5 }' /proc/self/mountinfo
  for exe in /proc/[0-9]*/exe; do
    case $(readlink "$exe" 2>/dev/null) in
      "$PWD"/build/release/*) ;; # start.sh's
      "$PWD"/build/*) echo "process ${exe//[!0-9]/} $(tr '\0' ' ' <"${exe%exe}cmdline")" ;;
    esac
  done
}

# Adds up what a run of meson test wrote: a line of JSON for each test.
count() {
  local log=$1 ok bad skip
  ok=$(grep -c '"result": "\(OK\|EXPECTEDFAIL\)"' "$log" || true)
  skip=$(grep -c '"result": "SKIP"' "$log" || true)
  bad=$(($(wc -l <"$log") - ok - skip))
  passed=$((passed + ok)) failed=$((failed + bad)) skipped=$((skipped + skip))
}

fault() {
  say "FAILED: $*"
  failed=$((failed + 1))
}

# build DIR OPTION...
build() {
  local dir=build/$1
  shift
  say "building $dir: $*"
  mkdir -p build
  build_setup "$dir" "$@" || { fault "meson setup $dir"; return 1; }
  ninja -C "$dir" --quiet || { fault "the build of $dir"; return 1; }
}

# check DIR ARGUMENT...: meson test. Tests wait more than they compute: for a mount, a broker, a thread's turn.
check() {
  local dir=build/$1 log
  shift
  say "testing $dir: $*"
  log="$*" && log=${log//--/} && log=$dir/meson-logs/${log//[!a-z0-9]/-}
  rm -f "$log.json"
  meson test -C "$dir" --no-rebuild --print-errorlogs --logbase "$(basename "$log")" \
    --num-processes $((2 * $(nproc))) "$@" || true
  [ -f "$log.json" ] || { fault "meson test $* wrote no log"; return; }
  count "$log.json"
}

part_gate() {
  build gcc --buildtype=release -Dbench=true || return 0
  check gcc --suite lint --suite unit
}

part_fs() {
  build gcc --buildtype=release -Dbench=true || return 0
  local more=(--suite crash --suite faults --suite kafka)
  [ -z "$quick" ] || more=()
  check gcc --suite fs "${more[@]}"
}

part_asan() {
  CC=clang CXX=clang++ build asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false \
    -Dbench=true -Dfuzz=true || return 0
  ESFS_CYCLES=$((ESFS_CYCLES < 10 ? ESFS_CYCLES : 10)) check asan --timeout-multiplier 3 \
    --suite unit --suite fuzz --suite fs --suite crash --suite faults
}

part_tsan() {
  build tsan --buildtype=debugoptimized -Db_sanitize=thread || return 0
  check tsan --timeout-multiplier 3 --suite threads
}

packages_install "${build_packages[@]}" "${test_packages[@]}"
fuse_check
if [ "$(id -u)" = 0 ] && [ "$(stat -c %a /dev/fuse)" != 666 ]; then
  say "chmod 666 /dev/fuse, so that tests can mount as an ordinary user"
  chmod 666 /dev/fuse
fi
TMPDIR=$(mktemp -d /tmp/esfs-test.XXXXXX)
export TMPDIR
chmod 755 "$TMPDIR"
for part in "${parts[@]}"; do
  say "=== $part ($SECONDS s)"
  "part_$part"
  if [ "$part" = gate ] && [ "$failed" != 0 ] && [ ${#parts[@]} -gt 1 ]; then
    say "the gate failed: the rest is not run"
    break
  fi
done
left=$(leftovers)
[ -z "$left" ] || fault "left behind:"$'\n'"$left"
[ "$failed" != 0 ] || rm -rf "$TMPDIR"/pytest-of-* # pytest keeps its directories whatever became of the tests
rmdir "$TMPDIR" 2>/dev/null || say "what failing tests left to look at is in $TMPDIR"
say "took $SECONDS s; $skipped skipped"
echo "$passed passed, $failed failed"
[ "$failed" = 0 ]
