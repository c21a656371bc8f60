# shellcheck shell=bash disable=SC2154
# A command of 240 bytes, read into a tree and checked against its JSON Schema; the peer is Python's fastjsonschema,
# which pip fetches. By itself: run.sh -s 1 schema

schema_prepare() {
  python3 -m venv "$scratch/python" || fail "python3 has no venv"
  "$scratch/python/bin/pip" install -q fastjsonschema >&2 || fail "pip could not fetch fastjsonschema"
}

schema_esfs() { measure esfs "command of 240 bytes" bench_schema "$here"/schema{,_command}.json "$seconds"; }

schema_python() {
  measure python "command of 240 bytes" "$scratch/python/bin/python" "$here/peer_schema.py" \
    "$here"/schema{,_command}.json "$seconds"
}

schema_round() { in_turn schema_esfs schema_python; }
