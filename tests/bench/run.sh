#!/usr/bin/env bash
# shellcheck disable=SC2034 # the measures use them
# Measures esfs against its peers on this machine and prints a table: figure, peer's figure, ratio, target.
#
#   run.sh [-r ROUNDS] [-s SECONDS] [-n EVENTS] [-o OUT.tsv] [NAME...]
#
#   NAME   bulk latency writers scan files big domain views consumers kafka schema   (default: all of them)
#   -r     rounds (3); a round runs each measure and its peers one after the other, so that a noisy minute meets all
#   -s     seconds of a measure that lasts as long as it is told to (3)
#   -n     events of the large store that scan and big read (10000000)
#   -o     where the figures go (build/bench.tsv)
#
# Builds a release in build/bench, or measures $ESFS if that is set. Stores are made in $BENCH_DIR (default
# ${TMPDIR:-/var/tmp}/esfs-bench), which should be on a real disk and have 15 GB free, and are removed afterwards.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../.." && pwd)
rounds=3 seconds=3 big_events=10000000 out=$root/build/bench.tsv
while getopts r:s:n:o: option; do
  case $option in
    r) rounds=$OPTARG ;;
    s) seconds=$OPTARG ;;
    n) big_events=$OPTARG ;;
    o) out=$OPTARG ;;
    *) sed -n '3,15s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
done
shift $((OPTIND - 1))
names=("$@")
[ $# -gt 0 ] || names=(bulk latency writers scan files big domain views consumers kafka schema)
for name in "${names[@]}"; do
  [ -e "$here/measure_$name.sh" ] || { echo "run.sh: there is no measure $name" >&2; exit 2; }
done

build=${BENCH_BUILD:-$root/build/bench}
targets=(tests/bench/{bench_schema,consumer,writer,reader,null_fuse,peer_disk,peer_kafka,peer_rocks,peer_sqlite})
[ -n "${ESFS:-}" ] || targets+=(fs/esfs)
targets+=(tools/esfsctl)
[ -e "$build/build.ninja" ] || meson setup --buildtype=release -Dbench=true "$build" "$root" >&2
meson configure -Dbench=true "$build"
ninja -C "$build" "${targets[@]}" >&2
ninja -C "$build" tests/bench/peer_nats >/dev/null 2>&1 || : # only where its library is installed
esfs=${ESFS:-$build/fs/esfs}
PATH=$build/tests/bench:$PATH

scratch=${BENCH_DIR:-${TMPDIR:-/var/tmp}/esfs-bench}
mkdir -p "$scratch" "$(dirname "$out")"
scratch=$(mktemp -d "$scratch/XXXXXX")
mnt=$scratch/mnt
mkdir "$mnt"
case $(stat -f -c %T "$scratch") in
  tmpfs | ramfs) echo "run.sh: $scratch is in memory: what is durable cannot be measured there" >&2; exit 1 ;;
esac
# shellcheck source=/dev/null
. "$here/lib.sh"
for name in "${names[@]}"; do
  # shellcheck source=/dev/null
  . "$here/measure_$name.sh"
done
trap 'clean_up' EXIT
trap 'exit 1' INT TERM HUP

: >"$out"
round=0
for name in "${names[@]}"; do
  if declare -F "${name}_prepare" >/dev/null; then
    note "$name: preparing"
    "${name}_prepare"
  fi
done
for ((round = 1; round <= rounds; round++)); do
  for name in "${names[@]}"; do
    note "round $round: $name"
    "${name}_round"
  done
done
clean_up
machine
python3 "$here/summary.py" "$out"
