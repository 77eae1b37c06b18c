#!/usr/bin/env bash
# Machines on which something is wrong: real clusters are not made, or not moved, and certdrill says so.
# Needs what ci/clusters.sh builds.
set -euo pipefail
if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
  echo 'not compared: faults of the machine, a machine without ptrace; this is the first run on a new machine'
  exit 0
fi
minutes=$((($(date +%s) - ${CERTDRILL_GATE_BEGAN:-$(date +%s)}) / 60))
if ((minutes > 45)); then
  echo "not compared: faults of the machine, a machine without ptrace; the gate has taken $minutes minutes already"
  exit 0
fi
ci/cluster/docker.sh
cargo build --locked --release --quiet
target/release/certdrill clean
ci/cluster/faults.sh
said=$(mktemp)
trap 'rm -f "$said"' EXIT
CERTDRILL_CONTAINERS=ci/cluster/no-ptrace target/release/certdrill verify scenarios/clusters/asleep.yaml \
  --between sim,kind --jobs 1 | tee "$said"
grep -q 'note: no clock was moved' "$said" || { echo 'it does not tell that no clock was moved' >&2; exit 1; }
