# shellcheck shell=bash disable=SC2154
# Reading: the whole log, one event of many, whole streams.
# shellcheck source=/dev/null
. "$here/large.sh"

million=$scratch/million
sqlite_events=1000000

scan_prepare() {
  large_prepare
  mount_esfs "$million"
  fill order 10000 1000000
  unmount
  peer_sqlite fill -n $sqlite_events "$scratch/scan.sqlite"
}

scan_large() {
  mount_esfs "$large"
  local events
  events=$(events_stored)
  rate esfs "whole log, cat" "$events" events/s "cat $mnt/log.ndjson > /dev/null"
  rate esfs "whole log, dd" "$events" events/s "dd if=$mnt/log.ndjson of=/dev/null bs=1M status=none"
  measure esfs "one event, large store" reader paths -s "$seconds" "$mnt/order" "$large_aggregates" 100
  measure esfs "4 KiB of the log, large store" reader offsets -s "$seconds" "$mnt/log.ndjson"
  measure esfs "streams of 100, large store" reader streams "$mnt/order" "$large_aggregates"
  measure esfs "streams of 100, large store, neighbours" reader streams -o "$mnt/order" "$large_aggregates"
  record esfs "resident memory, most while reading" "$(resident_mb VmHWM)" MB "VmHWM of esfs STORE MNT -f"
  unmount
}

scan_million() {
  mount_esfs "$million"
  measure esfs "one event, million" reader paths -s "$seconds" "$mnt/order" 10000 100
  measure esfs "4 KiB of the log, million" reader offsets -s "$seconds" "$mnt/log.ndjson"
  measure esfs "streams of 100, million" reader streams "$mnt/order" 10000
  measure esfs "streams of 100, million, neighbours" reader streams -o "$mnt/order" 10000
  unmount
}

scan_sqlite() {
  peer_sqlite scan "$scratch/scan.sqlite" >/dev/null # its pages are in memory, as the store's are
  local kind
  for kind in cat dd; do
    measure sqlite "whole log, $kind" peer_sqlite scan "$scratch/scan.sqlite"
  done
}

scan_round() { in_turn scan_large scan_sqlite scan_million; }
