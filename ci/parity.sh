#!/usr/bin/env bash
# The model against the real kubeadm: the whole library, then drawn sequences.
#
#   ci/parity.sh             as CI runs it: 30 sequences for each of two versions
#   ci/parity.sh afresh      the same, and every command is really run
#   ci/parity.sh long 500 7  500 sequences for each version, from another start
#   ci/parity.sh more        incidents of versions that nothing else needs; builds seven kubeadms first
set -euo pipefail
export CERTDRILL_REQUIRE=${CERTDRILL_REQUIRE:-kubeadm}
# Incidents that want versions of their own.
more=(kubeadm-2618 kubeadm-2989 kubeadm-3055)
if [[ ${1:-} == more ]]; then
  for version in v1.19.16 v1.20.15 v1.26.3 v1.26.4 v1.29.4 v1.29.5 v1.34.1; do ci/build-kubeadm.sh "$version"; done
  cargo build --locked --release
  cargo run --locked --release --quiet -- verify scenarios/incidents "${more[@]/#/--include=}" --between sim,kubeadm
  exit
fi
if [[ ${1:-} == long ]]; then
  export PARITY_SEQUENCES=${2:-500} PARITY_SEED=${3:-$RANDOM}
  echo "$PARITY_SEQUENCES sequences from seed $PARITY_SEED"
else
  cargo build --locked --release
  what=scenarios/
  if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
    echo 'not compared: scenarios/features and scenarios/incidents with the real kubeadm; this is the first run on a new machine'
    what=scenarios/docs
  fi
  [[ ${1:-} != afresh ]] || export CERTDRILL_AFRESH=1
  cargo run --locked --release --quiet -- verify "$what" --between sim,kubeadm "${more[@]/#/--exclude=}"
  export PARITY_SEQUENCES=30
fi
cargo test --locked --test sequences -- --nocapture
