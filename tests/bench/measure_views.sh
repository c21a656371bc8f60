# shellcheck shell=bash disable=SC2154
# Views over the benchmark's domain (tests/bench/domain, with the views of tests/bench/views): how fast a view
# catches up with a million events, what four of them cost the writers, how far one lags behind, and what opening a file
# that may have changed costs, against a daemon with nothing behind it that checks the name at each open.

views_events=1000000
views_keys=10000

# views_domain NAME VIEW...: a domain with these views.
views_domain() {
  local dir=$scratch/$1 view
  shift
  rm -rf "$dir"
  cp -r "$here/domain" "$dir"
  mkdir -p "$dir/views"
  for view in "$@"; do cp "$here/views/$view.lua" "$dir/views/"; done
  echo "$dir"
}

views_mount() { mount_with "$esfs" "$1" "$mnt" -o "domain=$2" -f; }

views_prepare() {
  views_store=$(new_store views)
  views_none=$(views_domain views-none)
  views_all=$(views_domain views-all count by_sku by_order by_count)
  views_mount "$views_store" "$views_none"
  fill order $views_keys $views_events
  unmount
  views_mount "$views_store" "$views_all"
  cat "$mnt/.esfs/barrier" >/dev/null
  views_size=$(stat -c %s "$mnt/views/by_order/0000000001-ItemAdded.json")
  unmount
}

views_rebuild() { rate esfs "$1, catch-up" $views_events events/s "echo > $mnt/views/$2/.rebuild; cat $mnt/.esfs/barrier"; }

views_catch_up() {
  views_mount "$views_store" "$views_all"
  cat "$mnt/.esfs/barrier" >/dev/null
  views_rebuild "view of a count" count
  views_rebuild "view of 997 keys" by_sku
  views_rebuild "view of 10,000 keys" by_order
  views_rebuild "index of 10,000 links" by_count
  record esfs "views, resident memory" "$(resident_mb VmHWM)" MB "(the same)"
  unmount
}

# views_bulk WHO DOMAIN
views_bulk() {
  local store
  store=$(new_store views-bulk)
  views_mount "$store" "$2"
  measure "$1" "bulk with four views, writers: 4" writer -p -b 4177 -w 4 -s "$seconds" "$mnt/commands"
  unmount
  rm -rf "$store"
}
views_bulk_four() { views_bulk esfs "$views_all"; }
views_bulk_none() { views_bulk "no views" "$views_none"; }

views_lag() {
  local store
  store=$(new_store views-lag)
  views_mount "$store" "$views_all"
  measure esfs "view's lag at 20,000/s" python3 "$here/lag.py" "$mnt" "$seconds" 20000
  unmount
  rm -rf "$store"
}

# The reader opens 0000000001-ItemAdded.json and so on; of a query, results that are in the cache.
views_open_esfs() {
  views_mount "$views_store" "$views_all"
  cat "$mnt/.esfs/barrier" >/dev/null
  reader files "$mnt/views/by_order" $views_keys >/dev/null
  measure esfs "view's file, open + read + close" reader files "$mnt/views/by_order" $views_keys
  unmount
}
views_open_null() {
  mount_with null_fuse -c "$mnt" "small:1:$views_keys:$((views_size - 5))"
  reader files "$mnt/small/order-000000/events" $views_keys >/dev/null
  measure null "view's file, open + read + close" reader files "$mnt/small/order-000000/events" $views_keys
  unmount
}

views_round() {
  views_catch_up
  in_turn views_bulk_four views_bulk_none
  views_lag
  in_turn views_open_esfs views_open_null
}
