#!/usr/bin/env bash
# What a warp costs, with and without it side by side in one run: starting a program, and reading a clock.
# Run by hand, on a machine that does nothing else: numbers are not a test.
#
#   ci/compare-warp.sh [KUBEADM]     by default the v1.36.3 that ci/build-kubeadm.sh made
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
kubeadm=${1:-${CERTDRILL_ENGINES:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/engines}/v1.36.3/kubeadm}
[[ -x $kubeadm ]] || { echo "no kubeadm at $kubeadm: ci/build-kubeadm.sh v1.36.3" >&2; exit 1; }
rounds=${ROUNDS:-60}

cargo build --quiet --release --locked --bin certdrill --example clock
target=${CARGO_TARGET_DIR:-target}/release
warp=("$target/certdrill" warp --offset +370d --)

# Microseconds for a command, by the shell's own clock.
once() {
  local start=$EPOCHREALTIME
  "$@" >/dev/null 2>&1
  local end=$EPOCHREALTIME
  echo $((${end/./} - ${start/./}))
}
median() { sort -n | sed -n "$((($1 + 1) / 2))p"; }

plain=() warped=()
for ((i = 0; i < rounds; i++)); do # in turn, so that both meet the same disturbances
  plain+=("$(once "$kubeadm" version)")
  warped+=("$(once "${warp[@]}" "$kubeadm" version)")
done
a=$(printf '%s\n' "${plain[@]}" | median "$rounds")
b=$(printf '%s\n' "${warped[@]}" | median "$rounds")
printf '%-28s %10s %10s %8s\n' '' plain warped ratio
printf '%-28s %7d us %7d us %8s\n' "kubeadm version, median" "$a" "$b" "$(awk "BEGIN { printf \"%.2f\", $b / $a }")"

plain=() warped=()
for ((i = 0; i < 7; i++)); do
  plain+=("$("$target/examples/clock")")
  warped+=("$("${warp[@]}" "$target/examples/clock")")
done
a=$(printf '%s\n' "${plain[@]}" | median 7)
b=$(printf '%s\n' "${warped[@]}" | median 7)
printf '%-28s %7d ns %7d ns %8s\n' "one reading of the clock" "$a" "$b" "$(awk "BEGIN { printf \"%.1f\", $b / $a }")"
