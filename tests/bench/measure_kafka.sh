# shellcheck shell=bash disable=SC2154
# shellcheck disable=SC2034 # run.sh ends the broker with what else runs in the background
# Publishing to a Kafka broker on this machine: a million events that are there already, against a plain producer with
# the same properties and messages; what it costs the writers; how long one event takes. Needs Java, Maven and kcat.

kafka_events=1000000
kafka_port=39092
kafka_brokers=localhost:$kafka_port

kafka_prepare() {
  command -v java mvn kcat >/dev/null || { note "kafka: needs java, mvn and kcat"; return; }
  "$root/tools/kafka.sh" start "$scratch/broker" $kafka_port
  background=$(cat "$scratch/broker/pid")
  kafka_store=$(new_store kafka)
  mount_esfs "$kafka_store"
  fill order 10000 $kafka_events
  unmount
}

# kafka_mount STORE TOPIC-PREFIX
kafka_mount() {
  mount_with "$esfs" "$1" "$mnt" -o "kafka=$kafka_brokers,kafka-topic=$2.{type},kafka-flush=0" -f
}

kafka_esfs() {
  "$build/tools/esfsctl" kafka seek "$kafka_store" start >/dev/null
  kafka_mount "$kafka_store" "esfs$round"
  rate esfs "published to Kafka" $kafka_events events/s \
    "until grep -q '\"lag_events\": 0,' $mnt/.esfs/kafka/status.json; do sleep 0.02; done"
  record esfs "kafka, resident memory" "$(resident_mb VmHWM)" MB "(the same)"
  unmount
}
kafka_peer() { measure producer "published to Kafka" peer_kafka -n $kafka_events $kafka_brokers "peer$round"; }

kafka_bulk_published() {
  local store
  store=$(new_store kafka-bulk)
  kafka_mount "$store" "bulk$round"
  measure esfs "bulk while publishing, writers: 4" writer -p -b 4177 -w 4 -s "$seconds" "$mnt/commands"
  unmount
  rm -rf "$store"
}
kafka_bulk_plain() {
  local store
  store=$(new_store kafka-bulk)
  mount_esfs "$store"
  measure "not published" "bulk while publishing, writers: 4" writer -p -b 4177 -w 4 -s "$seconds" "$mnt/commands"
  unmount
  rm -rf "$store"
}

kafka_lag() {
  local store
  store=$(new_store kafka-lag)
  kafka_mount "$store" "lag$round"
  fill order 1000 1000
  until grep -q '"lag_events": 0,' "$mnt/.esfs/kafka/status.json"; do sleep 0.02; done
  measure esfs "append to kcat" python3 "$here/kafka_lag.py" "$mnt" $kafka_brokers "lag$round.order" "$seconds"
  unmount
  rm -rf "$store"
}

kafka_round() {
  [ -e "$scratch/broker/pid" ] || return 0
  in_turn kafka_esfs kafka_peer
  in_turn kafka_bulk_published kafka_bulk_plain
  kafka_lag
}
