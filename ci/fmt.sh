#!/usr/bin/env bash
# The code is formatted as rustfmt does by default.
set -euo pipefail
cargo fmt --version >/dev/null 2>&1 || { echo "rustfmt is missing: rustup component add rustfmt" >&2; exit 1; }
cargo fmt --all -- --check
