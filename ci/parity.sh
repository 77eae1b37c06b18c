#!/usr/bin/env bash
# The model against the real kubeadm: the whole library, then drawn sequences.
#
#   ci/parity.sh             as CI runs it: 30 sequences for each of two versions
#   ci/parity.sh long 500 7  500 sequences for each version, from another start
set -euo pipefail
export CERTDRILL_REQUIRE=${CERTDRILL_REQUIRE:-kubeadm}
if [[ ${1:-} == long ]]; then
  export PARITY_SEQUENCES=${2:-500} PARITY_SEED=${3:-$RANDOM}
  echo "$PARITY_SEQUENCES sequences from seed $PARITY_SEED"
else
  cargo build --locked --release
  what=scenarios/
  if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
    echo 'not compared by the first run on a new machine: scenarios/features, scenarios/incidents'
    what=scenarios/docs
  fi
  cargo run --locked --release --quiet -- verify "$what" --between sim,kubeadm
  export PARITY_SEQUENCES=30
fi
cargo test --locked --test sequences -- --nocapture
