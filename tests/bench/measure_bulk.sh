# shellcheck shell=bash disable=SC2154
# Loading events as fast as possible, all of them durable and each with the version its aggregate must be at. A write
# carries as many commands as reach the daemon in one piece; the peers get batches of 1,000.

bulk_esfs() {
  local writers store
  for writers in 1 4; do
    store=$(new_store bulk)
    mount_esfs "$store"
    measure esfs "bulk, writers: $writers" writer -p -b 4177 -w $writers -s "$seconds" "$mnt/commands"
    unmount
  done
  store=$(new_store bulk)
  mount_esfs "$store"
  measure esfs "bulk, each a new aggregate" writer -b 4177 -a 500000 -n 500000 "$mnt/commands"
  unmount
  rm -rf "$store"
}

bulk_rocksdb() {
  local writers
  for writers in 1 4; do
    measure rocksdb "bulk, writers: $writers" peer_rocks -b 1000 -w $writers -s "$seconds" "$(new_store rocks)"
  done
}

bulk_sqlite() { measure sqlite "bulk, writers: 1" peer_sqlite append -b 1000 -s "$seconds" "$(new_store sqlite)"; }

bulk_round() { in_turn bulk_esfs bulk_rocksdb bulk_sqlite; }
