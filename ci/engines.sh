#!/usr/bin/env bash
# The real kubeadm binaries that tests and scenarios run, built from the published Go modules and kept.
set -euo pipefail
for version in v1.15.12 v1.16.15 v1.17.17 v1.27.16 v1.28.15 v1.34.4 v1.35.4 v1.36.3 v1.37.2; do
  ci/build-kubeadm.sh "$version"
done
ci/build-cfssl.sh
