#!/usr/bin/env bash
# Real clusters in node containers, moved in time, against the simulation: zero differences.
#
#   ci/clusters.sh           builds what is needed (kept in the user's cache), then compares
#   ci/clusters.sh build     builds only
#
# On a machine without a Docker engine, Debian's is installed and started; see ci/cluster/README.md.
set -euo pipefail
started=$SECONDS
mark() { printf -- '--- %s (%d s)\n' "$1" $((SECONDS - started)); }

ci/cluster/docker.sh
for version in v1.36.3 v1.37.2; do ci/cluster/components.sh "$version"; done
ci/cluster/images.sh v1.36.3 v1.37.2
mark 'engine, components and images are there'
[[ ${1:-} != build ]] || exit 0

cargo build --locked --release --quiet
certdrill=target/release/certdrill
"$certdrill" clean
mark 'certdrill is built'
# What CI plays: each file or variant is a promise of the issue that asked for real clusters.
"$certdrill" verify scenarios/clusters scenarios/docs/ha-one-forgotten.yaml --between sim,kind --jobs 1
mark 'compared'
"$certdrill" clean
