#!/usr/bin/env bash
# One static binary with its checksum, in target/release-static/. Prints its size.
#
#   ci/release.sh
#
# The C library is linked in: glibc's static archive comes with libc6-dev. Name resolution is the one thing that this
# cannot do, and certdrill needs none. The commit is in `certdrill --version`; CERTDRILL_COMMIT gives it where there is no git.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
target=$(rustc -vV | sed -n 's/^host: //p')
out=target/release-static
mkdir -p "$out"
RUSTFLAGS="${RUSTFLAGS:-} -C target-feature=+crt-static" \
  cargo build --locked --release --target "$target" --target-dir target/static
binary=$out/certdrill-$target
install -m 0755 "target/static/$target/release/certdrill" "$binary"
if ldd "$binary" 2>/dev/null | grep -q '=>'; then
  echo "not static:" >&2
  ldd "$binary" >&2
  exit 1
fi
(cd "$out" && sha256sum "${binary##*/}" >"${binary##*/}.sha256")
"$binary" --version
# Nothing of this machine is needed to play the library.
env -i "$binary" run scenarios/ --failures-only --format json >/dev/null
printf '%s: %s bytes, sha256 %s\n' "$binary" "$(stat -c %s "$binary")" "$(cut -d' ' -f1 "$binary.sha256")"
