#!/usr/bin/env bash
# The command of the README: the whole library passes, twice the same, and its report is written.
set -euo pipefail
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
# Real clusters are the business of ci/clusters.sh.
export CERTDRILL_REQUIRE=kubeadm
cargo build --locked --release
cargo run --locked --release --quiet -- lint scenarios/
cargo run --locked --release --quiet -- run scenarios/ --check-determinism --failures-only \
  --report-junit "$report/junit.xml"
grep -q '<testsuites ' "$report/junit.xml"
