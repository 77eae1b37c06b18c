#!/usr/bin/env bash
# No warning, in the library, the binary, the tests, the benchmarks and the examples.
set -euo pipefail
cargo clippy --version >/dev/null 2>&1 || { echo "clippy is missing: rustup component add clippy" >&2; exit 1; }
cargo clippy --locked --all-targets -- -D warnings
cargo clippy --locked --all-targets --all-features -- -D warnings
