#!/usr/bin/env bash
# Components of Kubernetes v1.16.15, for the bug that kubeadm had before 1.17 (kubeadm#1753).
#
#   ci/cluster/legacy.sh
#
# kube-apiserver needs a stub: the file with the generated OpenAPI definitions is not part of the published module. The
# binary serves no /openapi/v2 and is otherwise the published code. Everything else is unmodified.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
version=v1.16.15 staging=v0.16.15
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
target=$cache/$version
[[ -x $target/kube-apiserver ]] && { echo "$target is there"; exit 0; }
command -v go >/dev/null || { echo "$0: Go is needed to build Kubernetes" >&2; exit 1; }
work=$(mktemp -d)
trap 'chmod -R u+w "$work"; rm -rf "$work"' EXIT
cd "$work"
export GOFLAGS=-mod=mod
source=$(go mod download -json "k8s.io/kubernetes@$version" | sed -n 's/.*"Dir": "\(.*\)".*/\1/p')

# The module with the stub in it stands in for the published one.
cp -r "$source" module
chmod -R u+w module
cat > module/pkg/generated/openapi/zz_generated.openapi.go <<'GO'
package openapi

import "k8s.io/kube-openapi/pkg/common"

// GetOpenAPIDefinitions is generated in a checkout and not part of the module.
func GetOpenAPIDefinitions(common.ReferenceCallback) map[string]common.OpenAPIDefinition {
	return map[string]common.OpenAPIDefinition{}
}
GO
# Without definitions there is nothing to serve.
sed -i 's#^\(\s*\)genericConfig.Authentication.Authenticator, genericConfig.OpenAPIConfig.SecurityDefinitions, err = BuildAuthenticator(.*#&#' module/cmd/kube-apiserver/app/server.go
grep -n 'SecurityDefinitions, err = BuildAuthenticator' module/cmd/kube-apiserver/app/server.go >/dev/null
perl -0pi -e 's/(SecurityDefinitions, err = BuildAuthenticator\([^\n]*\n\s*if err != nil \{\n[^\n]*\n[^\n]*\n\s*\})/$1\n\tgenericConfig.OpenAPIConfig = nil/' module/cmd/kube-apiserver/app/server.go
grep -q 'genericConfig.OpenAPIConfig = nil' module/cmd/kube-apiserver/app/server.go || { echo "the place for the stub was not found" >&2; exit 1; }

{ echo "module certdrill.test/legacy"; echo "go 1.16"; echo "require k8s.io/kubernetes $version"
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
  echo "k8s.io/kubernetes => ./module"
  echo ")"; } > go.mod
flags="-s -w"
for prefix in k8s.io/kubernetes/pkg/version k8s.io/component-base/version k8s.io/client-go/pkg/version; do
  flags+=" -X $prefix.gitVersion=$version -X $prefix.gitMajor=1 -X $prefix.gitMinor=16"
done
mkdir out
CGO_ENABLED=0 go build -ldflags "$flags" -o out/ \
  k8s.io/kubernetes/cmd/{kube-apiserver,kube-controller-manager,kube-scheduler,kubectl}
# NVIDIA's library needs C: dynamic against glibc only, which the node has.
CGO_ENABLED=1 go build -ldflags "$flags -checklinkname=0" -o out/ k8s.io/kubernetes/cmd/kubelet
out/kubelet --version | grep -qx "Kubernetes $version"
engines=${CERTDRILL_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/engines}
"$here/../build-kubeadm.sh" "$version"
cp "$engines/$version/kubeadm" out/
rm -rf "$target.new"
mv out "$target.new"
rm -rf "$target"
mv "$target.new" "$target"
echo "built $target"
