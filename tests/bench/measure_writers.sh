# shellcheck shell=bash disable=SC2154
# 32 processes, one command a write, all on the root's `commands`: they share flushes or they queue. In the second
# measure each command has a descriptor of its own, as a shell's `>` would.

writers_esfs() {
  mount_esfs "$(new_store writers)"
  measure esfs "32 writers" writer -w 32 -s "$seconds" "$mnt/commands"
  measure esfs "32 writers, reopening" writer -r -w 32 -t again -s "$seconds" "$mnt/commands"
  unmount
  rm -rf "$scratch/writers"
}

writers_rocksdb() { measure rocksdb "32 writers" peer_rocks -w 32 -s "$seconds" "$(new_store rocks)"; }

# What opening and closing alone allow.
writers_null() {
  mount_with null_fuse "$mnt" order:1:1:400
  measure null "32 writers" writer -w 32 -s "$seconds" "$mnt/commands"
  measure null "32 writers, reopening" writer -r -w 32 -s "$seconds" "$mnt/commands"
  unmount
}

writers_round() { in_turn writers_esfs writers_rocksdb writers_null; }
