#!/usr/bin/env bash
# Builds an unmodified kubeadm of one version from the published Go modules.
#
#   ci/build-kubeadm.sh v1.36.3
#
# The binary ends up in $CERTDRILL_ENGINES/VERSION/kubeadm (default: the XDG cache) and is not built again
# while it is there and says its version. Needs Go.
set -euo pipefail

version=${1:?usage: $0 vMAJOR.MINOR.PATCH}
[[ $version =~ ^v1\.([0-9]+)\.([0-9]+)$ ]] || { echo "$0: $version is not a version such as v1.36.3" >&2; exit 2; }
minor=${BASH_REMATCH[1]} patch=${BASH_REMATCH[2]}
engines=${CERTDRILL_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/engines}
target=$engines/$version/kubeadm

if [[ -x $target ]] && "$target" version -o short 2>/dev/null | grep -qx "$version"; then
  echo "$target is there"
  exit 0
fi
command -v go >/dev/null || { echo "$0: Go is needed to build kubeadm; install it, or put a kubeadm $version at $target" >&2; exit 1; }

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work"
export CGO_ENABLED=0 GOFLAGS=-mod=mod
# Staging modules are published as v0.MINOR.PATCH beside k8s.io/kubernetes v1.MINOR.PATCH.
staging=v0.$minor.$patch
source=$(cd "$work" && go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')
prefix=k8s.io/component-base/version
flags="-s -w -X $prefix.gitVersion=$version -X $prefix.gitMajor=1 -X $prefix.gitMinor=$minor"

if ((minor <= 17)); then
  # Old releases pin everything by replace; their x/ modules and two JSON libraries do not work with today's Go.
  { echo "module certdrill.test/engine"; echo "go 1.16"; echo "require k8s.io/kubernetes $version"
    echo "replace ("
    sed -n '/^replace (/,/^)/p' "$source/go.mod" | sed '1d;$d' \
      | sed -E "s#=> \./staging/src/(k8s\.io/[a-z0-9-]+)#=> \1 $staging#" \
      | grep -vE '^\s*(golang\.org/x/(sys|net|crypto|text)|github\.com/modern-go/reflect2|github\.com/json-iterator/go|vbom\.ml/util|k8s\.io/kubernetes) =>' || true
    echo "golang.org/x/sys => golang.org/x/sys v0.30.0"
    echo "golang.org/x/net => golang.org/x/net v0.35.0"
    echo "golang.org/x/crypto => golang.org/x/crypto v0.33.0"
    echo "golang.org/x/text => golang.org/x/text v0.22.0"
    echo "github.com/modern-go/reflect2 => github.com/modern-go/reflect2 v1.0.2"
    echo "github.com/json-iterator/go => github.com/json-iterator/go v1.1.12"
    echo "vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc"
    echo ")"; } > go.mod
  flags+=" -X k8s.io/kubernetes/cmd/kubeadm/app/version.gitVersion=$version -X k8s.io/kubernetes/pkg/version.gitVersion=$version"
else
  { echo "module certdrill.test/engine"; echo "go 1.21"; echo "require k8s.io/kubernetes $version"
    grep -oE 'k8s\.io/[a-z0-9-]+ v0\.0\.0$' "$source/go.mod" | awk '{print $1}' | sort -u \
      | while read -r module; do echo "replace $module => $module $staging"; done
    # One is gone from where it was; the others do not build, or crash, with today's Go.
    if ((minor <= 22)); then
      echo "replace vbom.ml/util => github.com/fvbommel/util v0.0.0-20160121211510-db5cfe13f5cc"
      echo "replace golang.org/x/sys => golang.org/x/sys v0.30.0"
      echo "replace github.com/modern-go/reflect2 => github.com/modern-go/reflect2 v1.0.2"
      echo "replace github.com/json-iterator/go => github.com/json-iterator/go v1.1.12"
    fi; } > go.mod
fi
mkdir tools
cat > tools/tools.go <<'GO'
//go:build tools

package tools

import _ "k8s.io/kubernetes/cmd/kubeadm/app"
GO
((minor <= 17)) || go mod tidy
go build -ldflags "$flags" -o kubeadm k8s.io/kubernetes/cmd/kubeadm
./kubeadm version -o short | grep -qx "$version" || { echo "$0: the binary does not say $version" >&2; exit 1; }
mkdir -p "$(dirname "$target")"
mv kubeadm "$target.new"
mv "$target.new" "$target"
echo "built $target"
