# shellcheck shell=bash disable=SC2154
# Starting on the large store: from the start of the program to the first command it has made durable.
# shellcheck source=/dev/null
. "$here/large.sh"

big_prepare() { large_prepare; }

started() {
  local began
  began=$(microseconds)
  mount_esfs "$large"
  echo '{"type":"Started","aggregate":"probe/1"}' >"$mnt/commands"
  awk -v us=$(($(microseconds) - began)) 'BEGIN { printf "%.4f", us / 1e6 }' >"$scratch/started"
}

big_round() {
  local command="esfs STORE MNT -f & echo '{\"type\":\"Started\",\"aggregate\":\"probe/1\"}' > MNT/commands"
  started
  record esfs "start after a clean stop" "$(cat "$scratch/started")" s "$command"
  # Killed in the middle of a load, so that the tail is as long as it happens to be.
  writer -b 4177 -t "load$round" -s 60 "$mnt/commands" >/dev/null 2>&1 &
  background=$!
  sleep "$seconds"
  unmount_killed
  wait "$background" 2>/dev/null || :
  background=
  started
  record esfs "start after kill -9" "$(cat "$scratch/started")" s "kill -9 under load; $command"
  unmount
}
