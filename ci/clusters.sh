#!/usr/bin/env bash
# Real clusters in node containers, moved in time, against the simulation: zero differences.
#
#   ci/clusters.sh           builds what is needed (kept in the user's cache), then compares what the gate compares
#   ci/clusters.sh build     builds only, both versions
#   ci/clusters.sh all       compares whatever was compared once, on an idle machine: more than an hour
set -euo pipefail
started=$SECONDS
mark() { printf -- '--- %s (%d s)\n' "$1" $((SECONDS - started)); }

ci/cluster/docker.sh
# The version that upgrades go to is needed where one is compared, and takes a while to build.
versions=(v1.36.3)
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
[[ -z ${1:-} && ! -d $cache/v1.37.2 ]] || versions+=(v1.37.2)
for version in "${versions[@]}"; do ci/cluster/components.sh "$version"; done
ci/cluster/images.sh "${versions[@]}"
ci/cluster/approver.sh
# Clusters from before 1.17 live on cgroup v1 only.
legacy=
if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
  echo 'not built by the first run on a new machine: v1.16.15'
elif [[ -e /sys/fs/cgroup/cgroup.controllers ]]; then
  echo 'not played: kubeadm#1753 with v1.16.15, whose kubelet knows cgroup v1 only, and this machine has v2'
else
  ci/cluster/legacy.sh
  ci/cluster/images.sh v1.16.15
  legacy=v1.16.15
fi
mark 'engine, components and images are there'
[[ ${1:-} != build ]] || exit 0

said=$(mktemp)
trap 'rm -f "$said"' EXIT
cargo build --locked --release --quiet
certdrill=target/release/certdrill
"$certdrill" clean
mark 'certdrill is built'
# One cluster lives at a time.
compare() {
  "$certdrill" verify "$@" --between sim,kind --jobs 1
  mark "compared: $1"
}
compare scenarios/clusters/one-year.yaml
if [[ -n ${CERTDRILL_NEW_MACHINE:-} ]]; then
  echo 'not compared by the first run on a new machine: serving, slept-through-rotation, generate-csr, kubeadm#1753, a captured cluster'
else
  compare scenarios/clusters/serving.yaml
  compare scenarios/docs \
    --include 'slept-through-rotation/order=right,version=v1.36.3' \
    --include 'generate-csr/signed=right,version=v1.36.3' \
    --include 'serving-approver/approver=strict,version=v1.36.3'
  if [[ -n $legacy ]]; then
    compare scenarios/incidents --include "kubeadm-1753/fix=no,version=$legacy" | tee "$said"
    grep -q 'note: kube-apiserver .* was built with a stub' "$said" || { echo 'the stub is not told of' >&2; exit 1; }
  fi
  ci/cluster/captured.sh
  mark 'a captured cluster lives what was forecast for it'
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
  compare scenarios/docs --include 'external-ca/external=root,version=v1.36.3'
  compare scenarios/docs --include 'kubelet-rotation/signer=away,version=v1.36.3'
  compare scenarios/docs --include 'join-upload-certs/joins=threeHoursLater,version=v1.36.3'
  compare scenarios/docs --include 'join-not-approved/then=approved,version=v1.36.3'
  "$certdrill" run scenarios/docs scenarios/features --backend kind --jobs 1 \
    --include own-script --include 'csr-signed-by-openssl/signed=*,version=v1.36.3'
  compare scenarios/features --include 'reset-and-join/version=v1.36.3,when=inTime'
  compare scenarios/clusters/external-etcd.yaml
  compare scenarios/features --include apiserver-without-etcd/look=late
  compare scenarios/clusters/ha.yaml
  compare scenarios/clusters/upgrade.yaml
fi
"$certdrill" clean
