#!/usr/bin/env bash
# The command of the README: the whole library passes, twice the same, its report is written, and other seeds pass, too.
set -euo pipefail
report=$(mktemp -d)
trap 'rm -rf "$report"' EXIT
# Real clusters are the business of ci/clusters.sh.
export CERTDRILL_REQUIRE=kubeadm
cargo build --locked --release
cargo run --locked --release --quiet -- lint scenarios/
cargo run --locked --release --quiet -- run scenarios/ --check-determinism --failures-only \
  --report-junit "$report/junit.xml"
# What is drawn must not decide.
for seed in 1 20260101; do
  cargo run --locked --release --quiet -- run scenarios/ --backend sim --seed "$seed" --failures-only
done
grep -q '<testsuites ' "$report/junit.xml"
