#!/usr/bin/env bash
# Licences, sources and duplicates of the crates that certdrill is built from (deny.toml).
#
# Not checked here: advisories. Their database is a git repository, which not every machine can reach;
# where it can be, run `cargo deny check advisories`.
set -euo pipefail
tools=${CERTDRILL_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/tools}
export PATH=$tools/bin:$PATH
if ! cargo deny --version >/dev/null 2>&1; then
  echo "installing cargo-deny into $tools"
  # Built away from this directory: its target directory and its lock file are not ours.
  (cd / && unset CARGO_TARGET_DIR && cargo install cargo-deny --quiet --debug --locked --root "$tools") ||
    { echo "cargo-deny cannot be installed" >&2; exit 1; }
fi
cargo deny --locked check --hide-inclusion-graph bans licenses sources
