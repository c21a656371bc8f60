# shellcheck shell=bash disable=SC2154
# One command at a time: on a descriptor that stays open, against the disk itself; and as a shell loop sends them,
# against the same loop on a daemon that keeps nothing.

loops=3000

latency_esfs() {
  mount_esfs "$(new_store latency)"
  measure esfs "one command" writer -a 1 -s "$seconds" "$mnt/commands"
  latency_shells esfs
  unmount
  rm -rf "$scratch/latency"
}

latency_null() {
  mount_with null_fuse "$mnt" order:1:1:400
  latency_shells null
  unmount
}

# Builtins only: the shell forks nothing.
latency_shells() {
  local to=$mnt/order/order-000000/commands command='{"type":"Ticked","data":{"n":1}}'
  rate "$1" "echo > commands, bash" $loops commands/s \
    "bash -c 'for ((i = 0; i < $loops; i++)); do echo '\''$command'\'' > $to; done'"
  rate "$1" "echo > commands, dash" $loops commands/s \
    "dash -c 'i=0; while [ \$i -lt $loops ]; do echo '\''$command'\'' > $to; i=\$((i + 1)); done'"
}

latency_disk() {
  sync -f "$scratch"
  measure disk "one command" peer_disk -s "$seconds" "$scratch/disk"
}

latency_round() { in_turn latency_esfs latency_disk latency_null; }
