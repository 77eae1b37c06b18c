#!/usr/bin/env bash
# What is forecast for a captured cluster is what happens to it: a cluster that the kind CLI makes is captured and forecast, and
# then it lives that time itself.
#
#   ci/cluster/captured.sh                        with target/release/certdrill, or with CERTDRILL_PROGRAM
#
# Every connection that the forecast sees break must break on the real cluster, and no other; the commands it gives must mend
# them there. scenarios/clusters/forecast-year.yaml is the year.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
year=$root/scenarios/clusters/forecast-year.yaml
version=$(sed -n 's/^ *version: //p' "$year")
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
certdrill=${CERTDRILL_PROGRAM:-$root/target/release/certdrill}
kind=$cache/shared/kind
name=certdrill-captured
work=$(mktemp -d)
delete() {
  # What was killed while runc had frozen it cannot end (cgroup v1), and its node could not be removed.
  local node
  for node in $(docker ps -aq --no-trunc --filter "label=io.x-k8s.kind.cluster=$name"); do
    find "/sys/fs/cgroup/freezer/docker/$node" -name freezer.state 2>/dev/null \
      | while read -r state; do echo THAWED >"$state" || true; done
  done
  "$kind" delete cluster --quiet --name "$name"
}
cleanup() {
  delete || true
  rm -rf "$work"
}
trap cleanup EXIT

# What kubelets need in the image of ci/cluster/images.sh, on a machine with cgroup v1, or without CAP_SYS_RESOURCE (bit 24).
kubelet='{ "cgroupRoot": "/" }'
[[ -e /sys/fs/cgroup/cgroup.controllers ]] || kubelet=$(jq '.failCgroupV1 = false' <<<"$kubelet")
bound=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
(((16#$bound >> 24) & 1)) || kubelet=$(jq '.featureGates.KubeletInUserNamespace = true' <<<"$kubelet")
# No image of a network add-on is here: the plugins of the image are configured by hand.
cat >"$work/network.conflist" <<JSON
{ "cniVersion": "0.3.1", "name": "local", "plugins": [ { "type": "ptp", "ipam": { "type": "host-local",
  "dataDir": "/run/cni-ipam-state", "routes": [ { "dst": "0.0.0.0/0" } ], "ranges": [ [ { "subnet": "10.244.0.0/24" } ] ] } } ] }
JSON
mounts="[{ hostPath: $work/network.conflist, containerPath: /etc/cni/net.d/10-local.conflist }]"
cat >"$work/kind.yaml" <<YAML
kind: Cluster
apiVersion: kind.x-k8s.io/v1alpha4
networking: { disableDefaultCNI: true, kubeProxyMode: none }
nodes: [{ role: control-plane, extraMounts: $mounts }, { role: worker, extraMounts: $mounts }]
kubeadmConfigPatches:
- |
  $(jq -c '. + { kind: "KubeletConfiguration" }' <<<"$kubelet")
YAML
delete
# Its output is long: shown where it fails.
"$kind" create cluster --name "$name" --image "kindest/node:$version" --config "$work/kind.yaml" \
  --kubeconfig "$work/kubeconfig" >"$work/kind.log" 2>&1 || {
  cat "$work/kind.log" >&2
  exit 1
}

"$certdrill" capture --kind "$name" -o "$work/capture.yaml"
"$certdrill" forecast "$work/capture.yaml" --horizon 366d
"$certdrill" forecast "$work/capture.yaml" --horizon 366d --format json >"$work/forecast.json"

# The commands of the forecast, as they are: those that its first date asks of the control plane.
jq -r '(.remedies | map(.by) | min) as $first | .remedies[] | select(.by == $first) | .commands[]' \
  "$work/forecast.json" >"$work/commands"
[[ -s $work/commands ]] || { echo "the forecast gives no commands" >&2; exit 1; }
{ echo '#!/bin/sh'; echo 'set -ex'; cat "$work/commands"; } >"$work/remedy.sh"
chmod 755 "$work/remedy.sh"
cp "$year" "$work/"

"$certdrill" run "$work/forecast-year.yaml" --backend kind --kind-cluster "$name" --format json >"$work/trace" || {
  "$certdrill" show "$work/trace" >&2
  exit 1
}
# A kubelet is seen through an API server only, and that gives no answer; no extension API server is installed.
visible() { grep -vE -- '-> (extension|kubelet@)' | sort -u; }
jq -r '.breaks[].consequences[].what | select(contains(" -> "))' "$work/forecast.json" | visible >"$work/said"
jq -r 'select(.entry.event.kind == "edge.failed") | .entry.event.subject' "$work/trace" | visible >"$work/seen"
[[ -s $work/said ]] || { echo "the forecast sees nothing break" >&2; exit 1; }
diff -u --label 'forecast' --label 'the real cluster' "$work/said" "$work/seen"
echo "$(wc -l <"$work/seen") connections break on the real cluster as the forecast said, and its commands mend them"
