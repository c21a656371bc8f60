# shellcheck shell=bash disable=SC2154
# What the measures share: mounting, measuring, recording. Expects run.sh's variables.

daemon=      # pid of what is mounted at $mnt
background=  # pid of a writer that a measure left running

note() { echo "[$(date +%T)] $*" >&2; }
fail() { echo "run.sh: $*" >&2; exit 1; }

# --- mounting: one daemon at a time

mounted() { grep -q " $mnt fuse" /proc/self/mounts; }

# mount_with COMMAND...: starts a daemon in the foreground of a job and returns when it serves.
mount_with() {
  "$@" >>"$scratch/daemon.log" 2>&1 &
  daemon=$!
  until [ -e "$mnt/commands" ]; do
    kill -0 "$daemon" 2>/dev/null || fail "$1 ended: $(tail -5 "$scratch/daemon.log")"
    sleep 0.005
  done
}

mount_esfs() { mount_with "$esfs" "$1" "$mnt" -f; }

unmount() {
  local pid=$daemon
  fusermount3 -u "$mnt"
  wait "$pid" || fail "a daemon ended with status $?: $(tail -5 "$scratch/daemon.log")"
  daemon=
}

unmount_killed() {
  kill -9 "$daemon"
  wait "$daemon" 2>/dev/null || :
  daemon=
  fusermount3 -u -z "$mnt"
}

# On any way out. A daemon that hangs is killed: by then nobody needs its store.
clean_up() {
  trap - EXIT
  cd /
  [ -z "$background" ] || kill "$background" 2>/dev/null || :
  if mounted; then fusermount3 -u -z "$mnt" || :; fi
  if [ -n "$daemon" ]; then
    for _ in {1..50}; do
      kill -0 "$daemon" 2>/dev/null || break
      sleep 0.1
    done
    kill -9 "$daemon" 2>/dev/null || :
  fi
  daemon='' background=''
  rm -rf "$scratch"
}

# new_store NAME: where a store that does not exist yet will be; what was written before gets to the disk first.
new_store() {
  rm -rf "${scratch:?}/$1"
  sync -f "$scratch"
  echo "$scratch/$1"
}

# --- measuring

# A figure: WHO MEASURE VALUE UNIT COMMAND. The scratch directory's name would only hide what the command is.
record() {
  printf '%s\t%s\t%s\t%s\t%s\t%s\n' "$round" "$2" "$1" "$3" "$4" "${5//$scratch\//}" >>"$out"
}

# measure WHO MEASURE PROGRAM...: each line `value unit suffix` that the program prints.
measure() {
  local who=$1 what=$2 suffix value unit lines
  shift 2
  lines=$("$@") || fail "$* failed"
  while IFS=$'\t' read -r value unit suffix; do
    record "$who" "$what$suffix" "$value" "$unit" "$*"
  done <<<"$lines"
}

microseconds() { echo "${EPOCHREALTIME/[.,]/}"; }

# seconds_of COMMAND: how long a line of shell takes, to the millisecond that starting a shell takes.
seconds_of() {
  local began ended
  began=$(microseconds)
  bash -c "$1" >/dev/null || fail "$1 failed"
  ended=$(microseconds)
  awk -v us=$((ended - began)) 'BEGIN { printf "%.6f", us / 1e6 }'
}

# rate WHO MEASURE COUNT UNIT COMMAND: COUNT things in the time that a line of shell takes.
rate() {
  local seconds
  seconds=$(seconds_of "$5")
  record "$1" "$2" "$(awk -v n="$3" -v s="$seconds" 'BEGIN { printf "%.6g", n / s }')" "$4" "$5"
}

# in_turn FUNCTION...: all of them, another one first in each round.
in_turn() {
  local i
  for ((i = 0; i < $#; i++)); do
    local at=$(((i + round) % $# + 1))
    "${!at}"
  done
}

# fill TYPE AGGREGATES EVENTS [VERSION]: EVENTS more events, in turn, each aggregate being at VERSION.
fill() { writer -b 4177 -t "$1" -a "$2" -n "$3" -v "${4:-0}" "$mnt/commands" >/dev/null; }

events_stored() { sed -n 's/.*"events": \([0-9]*\).*/\1/p' "$mnt/.esfs/status.json"; }
resident_mb() { awk -v what="$1:" '$1 == what { printf "%.1f", $2 / 1024 }' "/proc/$daemon/status"; }

machine() {
  echo "$(uname -srm), $(nproc) cores,$(grep -m1 'model name' /proc/cpuinfo | cut -d: -f2)," \
    "$(df -T "$(dirname "$scratch")" | awk 'NR == 2 { print $2 }'), $(date -u +%F)"
}
