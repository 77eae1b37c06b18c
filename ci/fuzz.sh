#!/usr/bin/env bash
# Fuzzes every reader of untrusted bytes for a while: ci/fuzz.sh [SECONDS] (20 for each target).
#
# Needs a nightly toolchain and cargo-fuzz, which is installed where it is missing; without them the property tests,
# which ask the same of fewer inputs, stand in. What was found interesting is kept for the next time.
set -euo pipefail
seconds=${1:-20}
cache=${CERTDRILL_FUZZ:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/fuzz}
tools=${CERTDRILL_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/tools}
export PATH=$tools/bin:$PATH

instead() {
  echo "not fuzzed: $1; the property tests stand in" >&2
  cargo test --locked --test hostile
  exit
}
[[ -z ${CERTDRILL_NEW_MACHINE:-} ]] || instead "this is the first run on a new machine"
# Building the targets takes 5 to 8 minutes, and a gate has to end in time.
if [[ ! -d $cache/target && -n ${CERTDRILL_GATE_BEGAN:-} ]]; then
  minutes=$((($(date +%s) - CERTDRILL_GATE_BEGAN) / 60))
  [[ $minutes -lt 65 ]] || instead "the targets are not built, and the gate has taken $minutes minutes already"
fi
cargo +nightly --version >/dev/null 2>&1 || instead "there is no nightly toolchain (rustup toolchain install nightly)"
if ! cargo fuzz --version >/dev/null 2>&1; then
  echo "installing cargo-fuzz into $tools"
  (cd / && unset CARGO_TARGET_DIR && cargo install cargo-fuzz --quiet --locked --root "$tools") ||
    instead "cargo-fuzz cannot be installed"
fi

fuzz/seeds.py "$cache/seeds"
# Safe Rust needs no address sanitizer, and builds in a third of the time without.
CARGO_TARGET_DIR=$cache/target cargo +nightly fuzz build --dev --sanitizer none
built=$cache/target/$(rustc -vV | sed -n 's/host: //p')/debug
failed=()
for target in pem_der kubeconfig kubeadm_config arguments; do
  printf -- '--- %s, %s s\n' "$target" "$seconds"
  mkdir -p "$cache/corpus/$target" "$cache/artifacts/$target"
  if ! "$built/$target" "$cache/corpus/$target" "$cache/seeds/$target" \
    -max_total_time="$seconds" -max_len=16384 -timeout=10 -rss_limit_mb=1024 -print_final_stats=1 \
    -artifact_prefix="$cache/artifacts/$target/" 2>"$cache/$target.log"; then
    tail -50 "$cache/$target.log" >&2
    failed+=("$target")
  fi
  grep -E 'number_of_executed_units|new_units_added|peak_rss_mb' "$cache/$target.log" || true
done
[[ ${#failed[@]} -eq 0 ]] || { echo "found something: ${failed[*]}, see $cache/artifacts" >&2; exit 1; }
