#!/usr/bin/env bash
# The real kubeadm that tests/differential.rs compares with, built from the published Go modules and kept.
set -euo pipefail
ci/build-kubeadm.sh v1.35.4
