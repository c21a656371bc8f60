# shellcheck shell=bash disable=SC2154
# The large store that scan and big read: aggregates of 100 events each, in turn, so that the events of one are as
# far apart as they can be. Filled once a run; what its growth costs is measured on the way.

large=$scratch/large
large_aggregates=$((big_events / 100))

large_prepare() {
  [ ! -e "$large" ] || return 0
  local at=0 to
  mount_esfs "$large"
  for to in $((big_events / 10)) $((big_events / 2)) "$big_events"; do
    fill order "$large_aggregates" $((to - at)) $((at / large_aggregates))
    at=$to
    record esfs "resident memory, $to events" "$(resident_mb VmRSS)" MB "VmRSS of esfs STORE MNT -f, after a bulk load"
  done
  record esfs "resident memory, most while loading" "$(resident_mb VmHWM)" MB "VmHWM of esfs STORE MNT -f"
  unmount
  large_sizes
}

# After a clean stop and a start, which leave as little in the WAL as there will ever be.
large_sizes() {
  local rendered stored
  mount_esfs "$large"
  rendered=$(stat -c %s "$mnt/log.ndjson")
  unmount
  stored=$(du -s --block-size=1 "$large" | cut -f1)
  record esfs "disk / rendered size" "$(awk -v s="$stored" -v r="$rendered" 'BEGIN { printf "%.4f", s / r }')" ratio \
    "du -s STORE, stat -c %s MNT/log.ndjson"
  record esfs "rendered size of an event" "$((rendered / big_events))" bytes "stat -c %s MNT/log.ndjson"
}
