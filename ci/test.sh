#!/usr/bin/env bash
# Every test, the examples of the documentation included.
set -euo pipefail
INSTA_UPDATE=no cargo test --locked --no-fail-fast
