# shellcheck shell=bash disable=SC2154
# Events as files: listing, archiving, opening them, against a FUSE daemon with nothing behind it. Cold: a fresh
# mount. Warm: the same again.

files_store=$scratch/files
small=small/order-000000/events large_dir=large/order-000000/events
null_types=()

files_prepare() {
  mount_esfs "$files_store"
  fill small 1 100000
  fill large 1 1000000
  fill trees 1000 100000
  local type size
  for type in small:1:100000 large:1:1000000 trees:1000:100; do
    size=$(stat -c %s "$mnt/${type%%:*}/order-000000/events/0000000001-ItemAdded.json")
    null_types+=("$type:$((size - 1))")
  done
  unmount
}

files_mount() {
  case $1 in
    esfs) mount_esfs "$files_store" ;;
    null) mount_with null_fuse "$mnt" "${null_types[@]}" ;;
  esac
}

# cold_and_warm WHO MEASURE COUNT UNIT COMMAND
cold_and_warm() {
  files_mount "$1"
  rate "$1" "$2, cold" "$3" "$4" "$5"
  rate "$1" "$2, warm" "$3" "$4" "$5"
  unmount
}

# tar tells /dev/null and then reads nothing.
files_of() {
  cold_and_warm "$1" "tar of 100,000" 100000 files/s "tar cf - -C $mnt/$small . | cat > /dev/null"
  cold_and_warm "$1" "ls -f of 1,000,000" 1000000 files/s "ls -f $mnt/$large_dir > /dev/null"
  cold_and_warm "$1" "find of 1,000,000" 1000000 files/s "find $mnt/$large_dir > /dev/null"
  cold_and_warm "$1" "find of 1,000 aggregates" 100000 files/s "find $mnt/trees > /dev/null"
  files_mount "$1"
  measure "$1" "open + read + close, cold" reader files "$mnt/$small" 100000
  measure "$1" "open + read + close, warm" reader files "$mnt/$small" 100000
  unmount
  files_mount "$1"
  measure "$1" "open + read + close, 2 processes, cold" reader files -w 2 "$mnt/$small" 100000
  measure "$1" "open + read + close, 2 processes, warm" reader files -w 2 "$mnt/$small" 100000
  unmount
}

files_esfs() { files_of esfs; }
files_null() { files_of null; }
files_round() { in_turn files_esfs files_null; }
