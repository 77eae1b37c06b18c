#!/usr/bin/env bash
# The published JSON Schema is the one that the binary prints.
set -euo pipefail
current=$(mktemp)
trap 'rm -f "$current"' EXIT
cargo run --locked --quiet -- schema >"$current"
diff -u scenarios/schema.json "$current" || {
  echo "scenarios/schema.json is not current: cargo run -- schema > scenarios/schema.json" >&2
  exit 1
}
