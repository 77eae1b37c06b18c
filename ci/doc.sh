#!/usr/bin/env bash
# The documentation builds and no link in it is broken.
set -euo pipefail
RUSTDOCFLAGS='-D warnings' cargo doc --locked --no-deps
