#!/usr/bin/env bash
# The published JSON Schemas are those that the binary prints.
set -euo pipefail
current=$(mktemp)
trap 'rm -f "$current"' EXIT
stale=0
for pair in scenario:scenarios/schema.json report:docs/report.schema.json verify:docs/verify.schema.json forecast:docs/forecast.schema.json; do
  word=${pair%%:*} file=${pair#*:}
  cargo run --locked --quiet -- schema "$word" >"$current"
  diff -u "$file" "$current" || {
    echo "$file is not current: cargo run -- schema $word > $file" >&2
    stale=1
  }
done
exit "$stale"
