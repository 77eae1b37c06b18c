#!/usr/bin/env bash
# Builds the components of a Kubernetes version, unmodified, from the published Go modules.
#
#   ci/cluster/components.sh v1.36.3
#
# They end up in $CERTDRILL_CLUSTER/VERSION (default: the XDG cache) and are not built again while they are there.
# etcd, containerd and kind, which every version shares, are in $CERTDRILL_CLUSTER/shared, and what makes a node in shared-node.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=${1:?usage: $0 vMAJOR.MINOR.PATCH}
[[ $version =~ ^v1\.([0-9]+)\.([0-9]+)$ ]] || { echo "$0: $version is not a version such as v1.36.3" >&2; exit 2; }
minor=${BASH_REMATCH[1]} patch=${BASH_REMATCH[2]}
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
etcd=v3.7.3 containerd=v2.4.2 kind=v0.33.0 crictl=v1.37.0 plugins=v1.9.1
export CGO_ENABLED=0 GOFLAGS=-mod=mod
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# Makes a directory appear at once and whole.
settle() { # FROM TO
  mkdir -p "$(dirname "$2")"
  rm -rf "$2.new"
  mv "$1" "$2.new"
  rm -rf "$2"
  mv "$2.new" "$2"
}

kubernetes() {
  local target=$cache/$version
  [[ -x $target/kube-scheduler ]] && { echo "$target is there"; return; }
  mkdir -p "$work/k8s/out" "$work/k8s/tools"
  cd "$work/k8s"
  local source staging=v0.$minor.$patch
  source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  { echo "module certdrill.test/components"; echo "go 1.21"; echo "require k8s.io/kubernetes $version"
    grep -oE 'k8s\.io/[a-z0-9-]+ v0\.0\.0$' "$source/go.mod" | awk '{print $1}' | sort -u \
      | while read -r module; do echo "replace $module => $module $staging"; done; } > go.mod
  local packages=() name
  { echo '//go:build tools'; echo; echo 'package tools'; echo; echo 'import ('
    for name in kubeadm kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl; do
      echo "	_ \"k8s.io/kubernetes/cmd/$name\""
    done
    echo ')'; } > tools/tools.go
  for name in kubeadm kubelet kube-apiserver kube-controller-manager kube-scheduler kubectl; do
    packages+=("k8s.io/kubernetes/cmd/$name")
  done
  go mod tidy -e
  local flags="-s -w" prefix
  for prefix in k8s.io/component-base/version k8s.io/client-go/pkg/version; do
    flags+=" -X $prefix.gitVersion=$version -X $prefix.gitMajor=1 -X $prefix.gitMinor=$minor"
  done
  go build -ldflags "$flags" -o out/ "${packages[@]}"
  out/kubeadm version -o short | grep -qx "$version"
  out/kubelet --version | grep -qx "Kubernetes $version"
  settle out "$target"
  echo "built $target"
}

# A program of another module: NAME@VERSION, then its packages.
program() { # DIRECTORY MODULE VERSION TAGS PACKAGES...
  local dir=$1 module=$2 version=$3 tags=$4 package; shift 4
  mkdir -p "$work/$dir/out" "$work/$dir/tools"
  cd "$work/$dir"
  { echo "module certdrill.test/$dir"; echo "go 1.21"; } > go.mod
  { echo '//go:build tools'; echo; echo 'package tools'; echo; echo 'import ('
    for package in "$@"; do echo "	_ \"$package\""; done
    echo ')'; } > tools/tools.go
  go get "$module@$version"
  go mod tidy -e
  go build -tags "$tags" -ldflags '-s -w' -o out/ "$@"
}

shared() {
  local target=$cache/shared
  [[ -f $target/versions ]] && [[ $(cat "$target/versions") == "$etcd $containerd $kind" ]] && { echo "$target is there"; return; }
  mkdir -p "$work/all"
  program etcd go.etcd.io/etcd/server/v3 "$etcd" '' go.etcd.io/etcd/server/v3
  mv out/server "$work/all/etcd" 2>/dev/null || mv out/v3 "$work/all/etcd"
  program containerd github.com/containerd/containerd/v2 "$containerd" no_btrfs \
    github.com/containerd/containerd/v2/cmd/{containerd,containerd-shim-runc-v2,ctr}
  mv out/* "$work/all/"
  program kind sigs.k8s.io/kind "$kind" '' sigs.k8s.io/kind
  mv out/kind "$work/all/"
  cp -r "$here/balancer" "$here/pause" "$work/"
  (cd "$work/balancer" && go build -ldflags '-s -w' -o "$work/all/envoy" .)
  (cd "$work/pause" && go build -ldflags '-s -w' -o "$work/all/pause" .)
  echo "$etcd $containerd $kind" > "$work/all/versions"
  settle "$work/all" "$target"
  echo "built $target"
}

# What makes a node besides: the files of kind's own base image as its module has them (entry point, units, containerd's
# configuration), the CNI plugins that are in it, and crictl.
node() {
  local target=$cache/shared-node
  [[ -f $target/versions ]] && [[ $(cat "$target/versions") == "$kind $plugins $crictl" ]] && { echo "$target is there"; return; }
  mkdir -p "$work/node/cni"
  program crictl sigs.k8s.io/cri-tools "$crictl" '' sigs.k8s.io/cri-tools/cmd/crictl
  mv out/crictl "$work/node/"
  local at=github.com/containernetworking/plugins
  program cni "$at" "$plugins" '' "$at"/plugins/main/{loopback,ptp} "$at/plugins/ipam/host-local" "$at/plugins/meta/portmap"
  mv out/* "$work/node/cni/"
  local module
  module=$(go mod download -json "sigs.k8s.io/kind@$kind" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
  cp -r --no-preserve=mode "$module/images/base/files" "$work/node/files"
  echo "$kind $plugins $crictl" > "$work/node/versions"
  settle "$work/node" "$target"
  echo "built $target"
}

command -v go >/dev/null || { echo "$0: Go is needed to build Kubernetes" >&2; exit 1; }
kubernetes
shared
node
