#!/usr/bin/env bash
# Turns the rows of a CSV (CaseID,ActivityID,CompleteTimestamp) into events of ticket/<CaseID>, and asks standard
# tools about them. Writing the same file twice changes nothing: each row has an id.
#
#   tools/demo/helpdesk.sh helpdesk.csv mnt
set -euo pipefail
csv=${1:?usage: helpdesk.sh CSV MOUNTPOINT} mnt=${2:?usage: helpdesk.sh CSV MOUNTPOINT}

awk -F, 'NR > 1 {
  printf "{\"aggregate\":\"ticket/%s\",\"type\":\"ActivityDone\",\"id\":\"row-%d\",", $1, NR
  printf "\"data\":{\"activity\":%d,\"done\":\"%s\"}}\n", $2, $3
}' "$csv" >"$mnt/commands"

echo "tickets: $(find "$mnt/ticket" -mindepth 1 -maxdepth 1 -type d | wc -l)"
echo "events:  $(wc -l <"$mnt/ticket/log.ndjson")"
echo "events a ticket (tickets, events):"
cat "$mnt"/ticket/*/version | sort -n | uniq -c | sort -rn | head -n 5
echo "commonest sequences of activities (tickets, sequence):"
jq -r '[.subject, .data.activity] | @tsv' "$mnt/ticket/log.ndjson" |
  awk -F'\t' '{ seen[$1] = seen[$1] " " $2 } END { for (ticket in seen) print seen[ticket] }' |
  sort | uniq -c | sort -rn | head -n 5
