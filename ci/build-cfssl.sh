#!/usr/bin/env bash
# Builds CloudFlare's cfssl from its published Go module, for scenarios in which another CA signs kubeadm's requests.
#
# It is kept beside the engines, in $CERTDRILL_ENGINES/tools (default: the XDG cache), where scripts (`exec:`) find it.
set -euo pipefail

version=v1.6.5
tools=${CERTDRILL_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/engines}/tools
if [[ -x $tools/cfssl ]] && go version -m "$tools/cfssl" 2>/dev/null | grep -q "cfssl[[:space:]]$version"; then
  echo "$tools/cfssl is there"
  exit 0
fi
command -v go >/dev/null || { echo "$0: Go is needed to build cfssl; install it, or put a cfssl at $tools/cfssl" >&2; exit 1; }
mkdir -p "$tools"
CGO_ENABLED=0 GOBIN=$tools go install "github.com/cloudflare/cfssl/cmd/cfssl@$version"
echo "built $tools/cfssl"
