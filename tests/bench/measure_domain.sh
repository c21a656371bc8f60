# shellcheck shell=bash disable=SC2154
# A domain at work (tests/bench/domain): each command checked against a schema, decided in Lua, its event checked
# against a schema and folded; against the same commands without a domain. And what an aggregate with a million events
# costs: its state when nothing of it is in memory, and one more command.

domain_many=1000000
domain_few=10

domain_option=domain=$here/domain
mount_domain() { mount_with "$esfs" "$1" "$mnt" -o "$domain_option" -f; }

# domain_fill TYPE EVENTS: one aggregate, in the store that the rounds share.
domain_fill() { writer -b 4177 -t "$1" -a 1 -n "$2" "$mnt/commands" >/dev/null; }

domain_prepare() {
  domain_store=$(new_store domain)
  mount_domain "$domain_store"
  domain_fill order $domain_many
  domain_fill cart $domain_few
  unmount
}

domain_bulk_esfs() {
  local writers store
  for writers in 1 4; do
    store=$(new_store domain-bulk)
    mount_domain "$store"
    measure esfs "with a domain, writers: $writers" writer -p -b 4177 -w $writers -s "$seconds" "$mnt/commands"
    record esfs "with a domain, writers: $writers, resident memory" "$(resident_mb VmHWM)" MB "(the same)"
    unmount
  done
  rm -rf "$store"
}

domain_bulk_none() {
  local writers store
  for writers in 1 4; do
    store=$(new_store domain-bulk)
    mount_esfs "$store"
    measure "no domain" "with a domain, writers: $writers" writer -p -b 4177 -w $writers -s "$seconds" "$mnt/commands"
    unmount
  done
  rm -rf "$store"
}

# first_read MEASURE FILE: how long its first reader waits, in a daemon that has just been started. By a builtin, so
# that no program is started.
first_read() {
  local began ended line
  mount_domain "$domain_store"
  if [ "$(id -u)" = 0 ]; then sync && echo 3 >/proc/sys/vm/drop_caches; fi
  began=${EPOCHREALTIME/[.,]/}
  IFS= read -r line <"$mnt/$2" || fail "$2 cannot be read"
  ended=${EPOCHREALTIME/[.,]/}
  [ "${line:0:9}" = '{"items":' ] || fail "$2 has $line"
  record esfs "$1" "$(awk -v us=$((ended - began)) 'BEGIN { printf "%.3f", us / 1e3 }')" ms "cat $2"
  unmount
}

domain_cold() {
  local order=order/order-000000
  first_read "state.json of 1,000,000 events, cold" $order/views/state.json
  first_read "state.json of 10 events, cold" cart/order-000000/views/state.json
  first_read "state.json at 500,050 of 1,000,000, cold" $order/at/500050/state.json
}

# domain_one WHO TYPE: single commands to the one aggregate of a type.
domain_one() {
  local version
  version=$(<"$mnt/$2/order-000000/version")
  measure "$1" "one command after 1,000,000 events" writer -t "$2" -a 1 -v "$version" -s "$seconds" "$mnt/commands"
}

domain_one_many() { domain_one esfs order; }
domain_one_few() { domain_one "after 10" cart; }

domain_round() {
  in_turn domain_bulk_esfs domain_bulk_none
  domain_cold
  mount_domain "$domain_store"
  in_turn domain_one_many domain_one_few
  unmount
}
