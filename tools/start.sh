#!/usr/bin/env bash
# Builds esfs and mounts ./store at ./mnt, from a fresh Debian 12 on.
#
#   tools/start.sh         installs what is missing, builds, mounts, prints a session to copy
#   tools/start.sh stop    unmounts and waits until the daemon has gone
set -euo pipefail
cd "$(dirname "$(readlink -f "$0")")/.."
. tools/lib.sh

store=$PWD/store mnt=$PWD/mnt build=$PWD/build/release
# Under sudo it is the caller who wants to use the mount.
[ "$(id -u)" = 0 ] && [ -n "${SUDO_USER:-}" ] && [ "$SUDO_USER" != root ] && user=(runuser -u "$SUDO_USER" --)

mounted_type() { awk -v at="$mnt" '$5 == at { for (i = 7; $i != "-"; i++); type = $(i + 1) } END { print type }' /proc/self/mountinfo; }
daemon_pid() { [ -r store/lock ] && head -n 1 store/lock; }
answers() { timeout 10 stat -f "$mnt" >/dev/null 2>&1; }

unmount() {
  if [ "$(id -u)" = 0 ]; then umount "$@" "$mnt"; else fusermount3 -u "${@/-l/-z}" "$mnt"; fi
}

who_is_in() {
  local cwd
  for cwd in /proc/[0-9]*/cwd; do
    case $(readlink "$cwd" 2>/dev/null) in
      "$mnt" | "$mnt"/*) printf ' %s(%s)' "$(cat "${cwd%cwd}comm")" "$(basename "${cwd%/cwd}")" ;;
    esac
  done
}

show_session() {
  cat <<'END'

A session to copy, in a new store (README.md has more):

  cd mnt
  mkdir -p order/2001
  echo '{"type":"OrderPlaced","data":{"customer":"alice","total":5}}' > order/2001/commands
  echo '{"type":"OrderPaid","expectedVersion":1}' > order/2001/commands
  ls order/2001/events
  cat order/2001/version
  jq . order/2001/events/0000000001-OrderPlaced.json
  echo '{"type":"OrderPaid","expectedVersion":1}' > order/2001/commands    # Stale file handle: it is at 2
  tail -n 5 log.ndjson    # with -f it follows, until ^C
  cd ..

Stop: tools/start.sh stop
END
}

mountpoint_prepare() {
  local type
  type=$(mounted_type)
  case $type in
    '') ;;
    fuse.esfs)
      if answers; then
        say "already mounted: ./store at ./mnt, by process $(daemon_pid)"
        show_session
        exit 0
      fi
      say "the mount at ./mnt is dead: taking it away"
      unmount -l
      ;;
    *) die "./mnt has a file system of type $type mounted on it: unmount that first" ;;
  esac
  "${user[@]}" mkdir -p "$mnt"
  [ -z "$(ls -A "$mnt")" ] || die "./mnt is not empty: a mount would hide what is in it"
}

start() {
  local want=("${build_packages[@]}" jq)
  packages_install "${want[@]}"
  fuse_check
  mountpoint_prepare
  "${user[@]}" test -r /dev/fuse -a -w /dev/fuse || die "/dev/fuse may not be read and written by you; as root: chmod 666 /dev/fuse"
  say "building in build/release"
  "${user[@]}" mkdir -p build
  build_setup "$build" --buildtype=release || die "meson setup failed"
  "${user[@]}" ninja -C "$build" --quiet || die "the build failed"
  say "mounting ./store at ./mnt"
  "${user[@]}" "$build/fs/esfs" "$store" "$mnt" || die "esfs did not start: the reason stands above"
  say "mounted by process $(daemon_pid)"
  show_session
}

stop() {
  local pid waited=0
  pid=$(daemon_pid) || pid=
  if [ -z "$(mounted_type)" ]; then
    say "nothing is mounted at ./mnt"
  else
    say "unmounting ./mnt"
    unmount || die "./mnt is busy: a program works in it:$(who_is_in)"
  fi
  while [ -n "$pid" ] && [ "$(cat "/proc/$pid/comm" 2>/dev/null)" = esfs ]; do
    [ $waited = 600 ] && die "process $pid still runs after a minute"
    waited=$((waited + 1))
    sleep 0.1
  done
  say "stopped; the store stays in ./store"
}

case ${1:-start} in
  start) start ;;
  stop) stop ;;
  *) die "usage: tools/start.sh [stop]" ;;
esac
