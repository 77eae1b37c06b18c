#!/usr/bin/env bash
# Builds an unmodified kubeadm of one version and keeps it: `certdrill engines install` runs the same script.
#
#   ci/build-kubeadm.sh v1.36.3
exec "$(dirname "${BASH_SOURCE[0]}")/../src/real/engines/build-kubeadm.sh" "$@"
