#!/usr/bin/env bash
# An approver of kubelet serving certificates as an image, certdrill.test/approver, for scenarios/clusters/approver.yaml.
#
#   ci/cluster/approver.sh
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
image=certdrill.test/approver:latest
recipe=$(cat "$here/approver.sh" "$here"/approver/* | sha256sum | cut -c1-16)
if [[ $(docker image inspect -f '{{index .Config.Labels "dev.certdrill.recipe"}}' "$image" 2>/dev/null) == "$recipe" ]]; then
  echo "$image is there"
  exit 0
fi
command -v go >/dev/null || { echo "$0: Go is needed to build the approver" >&2; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp "$here"/approver/* "$work/"
cd "$work"
mkdir -p root/usr/local/bin
export CGO_ENABLED=0 GOFLAGS=-mod=mod
go mod tidy -e
go build -ldflags '-s -w' -o root/usr/local/bin/approver .
tar -C root -c . | docker import -c "LABEL dev.certdrill.recipe=\"$recipe\"" \
  -c 'ENTRYPOINT ["/usr/local/bin/approver"]' - "$image" >/dev/null
echo "made $image"
