# shellcheck shell=bash disable=SC2154
# Consumers: how fast a backlog is read, how soon a reader that waits has an event after its command was answered (alone,
# and beside a thousand others that wait for something else), and what saying "done" costs, against the disk itself.
# NATS JetStream does the same with a pull consumer, where its server is installed; the consumer acknowledges a thousand
# events at a time, and the server answers before what it was told is on the disk.

consumers_events=1000000

consumers_prepare() {
  consumers_store=$(new_store consumers)
  mount_esfs "$consumers_store"
  fill order 10000 $consumers_events
  mkdir "$mnt"/consumers/{all,none,done}
  echo '{"types":["nothing"]}' >"$mnt/consumers/none/config.json"
  unmount
}

consumers_backlog() {
  mount_esfs "$consumers_store"
  local size follow=$mnt/consumers/all/follow pending=$mnt/consumers/all/pending
  size=$(stat -c %s "$mnt/log.ndjson")
  measure esfs "backlog, 1 MiB a read" consumer backlog "$follow" $consumers_events "$size"
  rmdir "$mnt/consumers/done"
  mkdir "$mnt/consumers/done"
  measure esfs "backlog, acknowledged" consumer backlog -a "$mnt/consumers/done/ack" "$mnt/consumers/done/follow" \
    $consumers_events "$size"
  measure esfs "backlog, 64 KiB a read" consumer backlog -b 65536 "$follow" $consumers_events "$size"
  rate esfs "backlog, cat" $consumers_events events/s "cat $pending > /dev/null"
  rate esfs "backlog, dd" $consumers_events events/s "dd if=$pending of=/dev/null bs=1M status=none"
  rate esfs "backlog that nothing matches" $consumers_events events/s "cat $mnt/consumers/none/pending > /dev/null"
  unmount
}

consumers_live() {
  local store
  store=$(new_store live)
  mount_esfs "$store"
  mkdir "$mnt"/consumers/{all,none}
  echo '{"types":["nothing"]}' >"$mnt/consumers/none/config.json"
  measure esfs "live" consumer live -s "$seconds" "$mnt/commands" "$mnt/consumers/all/follow" "$mnt/consumers/none/follow"
  unmount
  rm -rf "$store"
}

consumers_crowd() {
  local store
  store=$(new_store crowd)
  mount_esfs "$store"
  mkdir "$mnt"/consumers/{all,none}
  echo '{"types":["nothing"]}' >"$mnt/consumers/none/config.json"
  measure esfs "live beside 1,000 that wait" consumer live -s "$seconds" -w 1000 "$mnt/commands" \
    "$mnt/consumers/all/follow" "$mnt/consumers/none/follow"
  record esfs "threads beside 1,000 that waited" "$(awk '$1 == "Threads:" { print $2 }' "/proc/$daemon/status")" \
    threads "Threads: of /proc/PID/status"
  unmount
  rm -rf "$store"
}

consumers_acks() {
  local store consumers i
  for consumers in 1 8; do
    store=$(new_store acks)
    mount_esfs "$store"
    fill order 1000 100000
    for ((i = 0; i < consumers; i++)); do mkdir "$mnt/consumers/w$i"; done
    measure esfs "acks, consumers: $consumers" consumer acks -s "$seconds" -w $consumers "$mnt/consumers"
    unmount
    rm -rf "$store"
  done
}

consumers_disk() {
  sync -f "$scratch"
  measure disk "acks, consumers: 1" peer_disk -b 64 -s "$seconds" "$scratch/disk"
}

# A server of its own, in the scratch directory.
consumers_nats() {
  { command -v nats-server && command -v peer_nats; } >/dev/null || return 0
  local dir=$scratch/nats url=nats://127.0.0.1:14222
  mkdir -p "$dir"
  printf 'listen: "127.0.0.1:14222"\njetstream { store_dir: "%s" }\n' "$dir" >"$dir/conf"
  nats-server -c "$dir/conf" -l "$dir/log" >/dev/null 2>&1 &
  background=$!
  until grep -q 'Server is ready' "$dir/log" 2>/dev/null; do
    kill -0 "$background" 2>/dev/null || fail "nats-server ended: $(tail -5 "$dir/log")"
    sleep 0.1
  done
  measure nats "backlog, acknowledged" peer_nats backlog "$url" $consumers_events
  measure nats "live" peer_nats live -s "$seconds" "$url"
  kill "$background"
  wait "$background" 2>/dev/null || :
  background=
  rm -rf "$dir"
}

consumers_round() { in_turn consumers_backlog consumers_live consumers_crowd consumers_acks consumers_disk consumers_nats; }
