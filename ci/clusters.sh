#!/usr/bin/env bash
# Real clusters in node containers, moved in time, against the simulation: zero differences.
#
#   ci/clusters.sh           builds what is needed (kept in the user's cache), then compares what the gate compares
#   ci/clusters.sh build     builds only, both versions
#   ci/clusters.sh all       compares whatever was compared once, on an idle machine: more than an hour
set -euo pipefail
started=$SECONDS
mark() { printf -- '--- %s (%d s)\n' "$1" $((SECONDS - started)); }

# The gate has to end in time, and parity and fuzzing come after this: whether it has taken less than so many minutes. Else
# what is left out is said (.ci/run says it again at its end).
gate_is_younger_than() {
  local minutes=$1 what=$2 taken=0
  [[ -z ${CERTDRILL_GATE_BEGAN:-} ]] || taken=$((($(date +%s) - CERTDRILL_GATE_BEGAN) / 60))
  ((taken < minutes)) || {
    echo "not compared: $what; the gate has taken $taken minutes already"
    return 1
  }
}

ci/cluster/docker.sh
# The version that upgrades go to takes six minutes to build.
versions=(v1.36.3)
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
upgrade=
if [[ -n ${CERTDRILL_NEW_MACHINE:-} && -z ${1:-} ]]; then
  echo 'not compared: an upgrade; this is the first run on a new machine'
elif [[ -n ${1:-} || -d $cache/v1.37.2 ]] || gate_is_younger_than 25 'an upgrade, whose second version is not built'; then
  upgrade=v1.37.2
  versions+=("$upgrade")
fi
for version in "${versions[@]}"; do ci/cluster/components.sh "$version"; done
ci/cluster/images.sh "${versions[@]}"
ci/cluster/approver.sh
# Clusters from before 1.17 live on cgroup v1 only.
legacy=
if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
  echo 'not compared: kubeadm#1753 with v1.16.15; this is the first run on a new machine'
elif [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
  echo 'not compared: kubeadm#1753 with v1.16.15, whose kubelet knows cgroup v1 only, and this machine has v2'
else
  ci/cluster/legacy.sh
  ci/cluster/images.sh v1.16.15
  legacy=v1.16.15
fi
mark 'engine, components and images are there'
[[ ${1:-} != build ]] || exit 0

said=$(mktemp)
memory=$(mktemp)
trap 'rm -f "$said" "$memory"' EXIT
cargo build --locked --release --quiet
certdrill=target/release/certdrill
"$certdrill" clean
mark 'certdrill is built'
available_kib() { awk '/^MemAvailable:/ { print $2 }' /proc/meminfo; }
# Notes the least that is available.
watch_memory() {
  local least=$1 now
  while sleep 1; do
    now=$(available_kib)
    if ((now < least)); then least=$now && echo "$least" >"$memory"; fi
  done
}
# One cluster lives at a time.
compare() {
  local before watcher code=0
  before=$(available_kib)
  echo "$before" >"$memory"
  watch_memory "$before" &
  watcher=$!
  "$certdrill" verify "$@" --between sim,kind --jobs 1 || code=$?
  kill "$watcher"
  wait "$watcher" 2>/dev/null || true
  mark "compared: $1, with $(((before - $(<"$memory")) / 1024)) MiB of memory at most"
  return "$code"
}
compare scenarios/clusters/one-year.yaml
if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
  echo 'not compared: serving, slept-through-rotation, generate-csr, a captured cluster, HA, an external CA; this is the first run on a new machine'
else
  compare scenarios/clusters/serving.yaml
  compare scenarios/docs \
    --include 'slept-through-rotation/order=right,version=v1.36.3' \
    --include 'generate-csr/signed=right,version=v1.36.3'
  if [[ -n $legacy ]]; then
    compare scenarios/incidents --include "kubeadm-1753/fix=no,version=$legacy" | tee "$said"
    grep -q 'note: kube-apiserver .* was built with a stub' "$said" || { echo 'the stub is not told of' >&2; exit 1; }
  fi
  ci/cluster/captured.sh
  mark 'a captured cluster lives what was forecast for it'
  if gate_is_younger_than 45 'three control planes'; then compare scenarios/clusters/ha.yaml; fi
  if [[ -n $upgrade ]] && gate_is_younger_than 45 'an upgrade'; then compare scenarios/clusters/upgrade.yaml; fi
  if gate_is_younger_than 45 'an external CA'; then
    compare scenarios/docs --include 'external-ca/external=root,version=v1.36.3'
  fi
fi
# What nothing simulated stands beside.
"$certdrill" run scenarios/clusters/approver.yaml --backend kind --jobs 1 --include 'approver/lookAt=everything'
mark 'an approver and an attacker'
if [[ ${1:-} == all ]]; then
  [[ -z $legacy ]] || compare scenarios/incidents --include "kubeadm-1753/fix=yes,version=$legacy"
  approver=postfinance/kubelet-csr-approver:v1.2.14
  if docker image inspect "$approver" >/dev/null 2>&1; then
    "$certdrill" run scenarios/clusters/approver-postfinance.yaml --backend kind --jobs 1
  else
    echo "not played: scenarios/clusters/approver-postfinance.yaml, for want of the image $approver"
  fi
  "$certdrill" run scenarios/clusters/approver.yaml --backend kind --jobs 1 --include 'approver/lookAt=name'
  compare scenarios/docs --include 'serving-approver/approver=strict,version=v1.36.3'
  compare scenarios/docs --include 'kubelet-rotation/signer=away,version=v1.36.3'
  compare scenarios/docs --include 'join-upload-certs/joins=threeHoursLater,version=v1.36.3'
  compare scenarios/docs --include 'join-not-approved/then=approved,version=v1.36.3'
  "$certdrill" run scenarios/docs scenarios/features --backend kind --jobs 1 \
    --include own-script --include 'csr-signed-by-openssl/signed=*,version=v1.36.3'
  compare scenarios/features --include 'reset-and-join/version=v1.36.3,when=inTime'
  compare scenarios/clusters/external-etcd.yaml
  compare scenarios/features --include apiserver-without-etcd/look=late
  compare scenarios/features --include staggered-dates/version=v1.36.3
  compare scenarios/features/dormant.yaml
fi
"$certdrill" clean
