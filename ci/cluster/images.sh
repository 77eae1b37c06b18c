#!/usr/bin/env bash
# Node images as kind wants them, from kind's own files, Debian packages and components built by components.sh: stand-ins for
# the official images, for machines without a registry.
#
#   ci/cluster/images.sh v1.36.3 v1.37.2
#
# The first version's image also holds what an upgrade to each of the others needs, below /kind/versions.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
[[ $# -gt 0 ]] || { echo "usage: $0 vMAJOR.MINOR.PATCH..." >&2; exit 2; }
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
shared=$cache/shared node=$cache/shared-node
# What the images are made from: another content is another image.
recipe=$(cat "$here"/images.sh "$here"/node/* "$here"/balancer/*.go "$here"/pause/*.go "$shared/versions" "$node/versions" | sha256sum | cut -c1-16)
work=$(mktemp -d)
maker=
cleanup() {
  [[ -z $maker ]] || docker rm -f -v "$maker" >/dev/null
  rm -rf "$work"
}
trap cleanup EXIT

made() { [[ $(docker image inspect -f '{{index .Config.Labels "dev.certdrill.recipe"}}' "$1" 2>/dev/null) == "$recipe $2" ]]; }

# An image with one static program in it.
single() { # IMAGE PROGRAM NAME ENTRYPOINT
  local dir=$work/single
  rm -rf "$dir"; mkdir -p "$dir/usr/local/bin" "$dir/tmp" "$dir/etc"
  cp "$2" "$dir/usr/local/bin/$3"
  tar -C "$dir" -c . | docker import -c "ENV PATH=/usr/local/bin" ${4:+-c "ENTRYPOINT [\"$4\"]"} - "$1" >/dev/null
}

# The images that kubeadm of a version wants, in a tar.
component_images() { # VERSION FILE
  local version=$1 name image images=()
  while read -r image; do
    name=${image##*/}; name=${name%%:*}
    case $name in
    kube-apiserver | kube-controller-manager | kube-scheduler) single "$image" "$cache/$version/$name" "$name" "" ;;
    etcd) single "$image" "$shared/etcd" etcd "" ;;
    pause) single "$image" "$shared/pause" pause /usr/local/bin/pause ;;
    # Addons do nothing in these clusters, but kubeadm's objects for them are there.
    kube-proxy) single "$image" "$shared/pause" kube-proxy "" ;;
    coredns) single "$image" "$shared/pause" pause /usr/local/bin/pause ;;
    *) continue ;;
    esac
    images+=("$image")
  done < <("$cache/$version/kubeadm" config images list --kubernetes-version "$version" 2>/dev/null)
  docker save -o "$2" "${images[@]}"
  docker rmi "${images[@]}" >/dev/null
}

rootfs() {
  [[ -f $cache/rootfs.tar ]] && return
  rm -rf "$cache/rootfs"
  debootstrap --variant=minbase \
    --include=systemd,systemd-sysv,dbus,runc,iproute2,iptables,conntrack,ethtool,socat,mount,kmod,ca-certificates,procps,openssl,jq,util-linux \
    bookworm "$cache/rootfs" >"$cache/debootstrap.log" 2>&1 \
    || { tail -5 "$cache/debootstrap.log" >&2; return 1; }
  rm -rf "$cache/rootfs"/var/cache/apt/archives/*.deb "$cache/rootfs"/var/lib/apt/lists/*
  tar -C "$cache/rootfs" -cf "$cache/rootfs.tar.new" .
  mv "$cache/rootfs.tar.new" "$cache/rootfs.tar"
  rm -rf "$cache/rootfs"
}

# The container runtime of Debian 12, which still speaks the interface that old kubelets know; and a crictl, without
# which old kubeadms do not begin.
legacy_runtime() { # DIRECTORY
  # Into a directory that apt's own user may write to, or it warns.
  mkdir -p "$work/deb"
  chmod 755 "$work"
  chown _apt "$work/deb" 2>/dev/null || true
  # A machine that never asked for packages has no lists of them.
  (cd "$work/deb" && { apt-get download -qq containerd 2>/dev/null || { apt-get update -qq && apt-get download -qq containerd; }; })
  # Not into the node itself: the package's /lib would take the place of the link to /usr/lib.
  dpkg -x "$work"/deb/containerd_*.deb "$work/containerd"
  install -D -m 755 -t "$1/usr/bin" "$work"/containerd/usr/bin/{containerd,containerd-shim*,ctr}
  ln -s /usr/bin/containerd "$1/usr/local/bin/containerd"
  printf '#!/bin/sh\nexit 0\n' >"$1/usr/local/bin/crictl"
  chmod 755 "$1/usr/local/bin/crictl"
}

# The unit files, containerd and network of the image for old versions, which kind's files of today do not fit.
legacy_files() { # DIRECTORY VERSION
  mkdir -p "$1/kind"
  # certdrill says it in every report of a cluster made from this image.
  echo "kube-apiserver $2 was built with a stub for the generated OpenAPI definitions, which the published module" \
    "lacks: it serves no /openapi/v2; code about certificates is as published" >"$1/kind/remarks"
  legacy_runtime "$1"
  install -D -m 755 -t "$1/usr/local/bin" "$here/node/entrypoint"
  install -D -m 644 -t "$1/etc/systemd/system" "$here/node/containerd.service" "$here/node/kubelet.service"
  install -D -m 644 -t "$1/etc/systemd/system/kubelet.service.d" "$here/node/10-kubeadm.conf"
  install -D -m 644 -t "$1/etc/cni/net.d" "$here/node/10-stub.conflist"
  install -D -m 755 "$here/node/cni" "$1/opt/cni/bin/stub"
  install -D -m 755 "$here/node/cni" "$1/opt/cni/bin/loopback"
  install -D -m 644 "$here/node/containerd-legacy.toml" "$1/etc/containerd/config.toml"
}

# What kind's own Dockerfile (images/base) does, from the same files.
kind_files() { # DIRECTORY
  cp -r "$node/files/." "$1/"
  chmod 755 "$1"/usr/local/bin/{entrypoint,clean-install} "$1"/kind/bin/*.sh
  install -D -m 755 -t "$1/usr/local/bin" "$shared"/{containerd,containerd-shim-runc-v2,ctr} "$node/crictl"
  install -D -m 755 -t "$1/opt/cni/bin" "$node"/cni/*
  mkdir -p "$1/usr/local/sbin" "$1/etc/kubernetes/manifests"
  # Debian's lies elsewhere, and a link in this place points to it.
  cp -L "$1/usr/sbin/runc" "$work/runc"
  rm -f "$1"/usr/{,local/}sbin/runc "$1/usr/bin/runc"
  install -m 755 "$work/runc" "$1/usr/local/sbin/runc"
  find "$1/usr/lib/systemd/system/sysinit.target.wants/" -name systemd-tmpfiles-setup.service -delete
  rm -f "$1"/usr/lib/systemd/system/{multi-user,local-fs,basic}.target.wants/* \
    "$1"/usr/lib/systemd/system/sockets.target.wants/*{udev,initctl}* "$1"/etc/systemd/system/*.wants/*
  echo ReadKMsg=no >>"$1/etc/systemd/journald.conf"
  ln -sf /dev/null "$1/etc/systemd/system/systemd-binfmt.service"
  # Machines that run these images may have no huge pages, and no CAP_SYS_RESOURCE (bit 24).
  local bound config=$1/etc/containerd/config.toml
  sed -i 's/tolerate_missing_hugepages_controller/tolerate_missing_hugetlb_controller/' "$config"
  bound=$(awk '/^CapBnd:/ { print $2 }' /proc/self/status)
  if ! (((16#$bound >> 24) & 1)); then
    sed -i 's/restrict_oom_score_adj = false/restrict_oom_score_adj = true/' "$config"
    mkdir -p "$1/etc/systemd/system/containerd.service.d"
    printf '[Service]\nLimitNPROC=\nLimitCORE=\nLimitNOFILE=\nOOMScoreAdjust=\n' \
      >"$1/etc/systemd/system/containerd.service.d/10-bounded.conf"
  fi
}

node_image() { # VERSION OTHERS...
  local version=$1 image=kindest/node:$1 dir=$work/node other; shift
  if made "$image" "$version $*"; then
    echo "$image is there"
    return
  fi
  rootfs
  rm -rf "$dir"; mkdir -p "$dir"
  tar -C "$dir" -xf "$cache/rootfs.tar"
  local legacy=
  if [[ $version == v1.16.* ]]; then
    legacy=yes
    legacy_files "$dir" "$version"
  else
    kind_files "$dir"
  fi
  install -D -m 755 -t "$dir/usr/bin" "$cache/$version"/{kubeadm,kubelet,kubectl}
  local pause
  pause=$("$cache/$version/kubeadm" config images list --kubernetes-version "$version" 2>/dev/null | grep /pause:)
  sed -Ei "s#(sandbox_image +=) .*#\1 \"$pause\"#" "$dir/etc/containerd/config.toml"
  mkdir -p "$dir/kind/manifests"
  echo "$version" >"$dir/kind/version"
  # kind applies both, so they must hold an object. No network is installed as an add-on, for want of its image: certdrill
  # configures the plugins, as captured.sh does.
  printf 'apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: no-network\n  namespace: kube-system\n' \
    >"$dir/kind/manifests/default-cni.yaml"
  printf 'apiVersion: storage.k8s.io/v1\nkind: StorageClass\nmetadata:\n  name: standard\nprovisioner: %s\n' \
    kubernetes.io/no-provisioner >"$dir/kind/manifests/default-storage.yaml"
  ln -sf /dev/null "$dir/etc/systemd/system/console-getty.service"
  ln -sf /dev/null "$dir/etc/systemd/system/getty@tty1.service"
  ln -sf /dev/null "$dir/etc/systemd/system/systemd-logind.service"
  ln -sf /dev/null "$dir/etc/systemd/system/e2scrub_reap.service"
  mkdir -p "$dir/etc/systemd/system/multi-user.target.wants"
  for other in containerd kubelet undo-mount-hacks; do
    [[ ! -e $dir/etc/systemd/system/$other.service ]] ||
      ln -sf "/etc/systemd/system/$other.service" "$dir/etc/systemd/system/multi-user.target.wants/$other.service"
  done
  for other in "$@"; do
    install -D -m 755 -t "$dir/kind/versions/$other" "$cache/$other"/{kubeadm,kubelet,kubectl}
    component_images "$other" "$dir/kind/versions/$other/images.tar"
  done
  local settings=(-c 'ENTRYPOINT ["/usr/local/bin/entrypoint", "/sbin/init"]'
    -c 'ENV container=docker PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin')
  tar -C "$dir" -c . | docker import "${settings[@]}" - "$image-empty" >/dev/null
  rm -rf "$dir"
  # The component images go into the node's containerd, so that a node that boots has them.
  component_images "$version" "$work/images.tar"
  maker=$(docker run -d --privileged --security-opt seccomp=unconfined --tmpfs /tmp --tmpfs /run --entrypoint sleep "$image-empty" 3600)
  docker cp "$work/images.tar" "$maker:/images.tar"
  docker exec -e "legacy=$legacy" "$maker" sh -ec '
    # As in kind: what every container begins with.
    [ -n "$legacy" ] || ctr oci spec \
      | jq "del(.process.rlimits) | .hooks.createContainer += [{ path: \"/kind/bin/mount-product-files.sh\" }]" \
        >/etc/containerd/cri-base.json
    containerd >/var/log/containerd-import.log 2>&1 & pid=$!
    until ctr version >/dev/null 2>&1; do sleep 0.1; done
    ctr -n k8s.io images import /images.tar >/dev/null
    ctr -n k8s.io images ls -q
    kill $pid; wait $pid || true
    rm -f /images.tar /var/log/containerd-import.log'
  docker commit -c "LABEL dev.certdrill.recipe=\"$recipe $version $*\"" "${settings[@]}" "$maker" "$image" >/dev/null
  docker rm -f -v "$maker" >/dev/null
  maker=
  docker rmi "$image-empty" >/dev/null 2>&1 || true
  rm -f "$work/images.tar"
  echo "made $image"
}

balancer_image() {
  local image=envoyproxy/envoy:v1.36.2
  if made "$image" balancer; then
    echo "$image is there"
    return
  fi
  local dir=$work/balancer
  rootfs
  mkdir -p "$dir"
  tar -C "$dir" -xf "$cache/rootfs.tar"
  mkdir -p "$dir/usr/local/bin" "$dir/tmp" "$dir/home/envoy"
  cp "$shared/envoy" "$dir/usr/local/bin/envoy"
  tar -C "$dir" -c . | docker import -c "LABEL dev.certdrill.recipe=\"$recipe balancer\"" \
    -c 'ENV PATH=/usr/local/bin:/usr/bin:/bin' - "$image" >/dev/null
  echo "made $image"
}

if [[ $1 == v1.16.* ]]; then
  node_image "$1"
  exit 0
fi
first=$1; shift
node_image "$first" "$@"
for version in "$@"; do node_image "$version"; done
balancer_image
