#!/usr/bin/env bash
# A browser for the test of the HTML report. Installed where there is none and the machine is Debian's and ours.
set -euo pipefail
for name in chromium chromium-browser google-chrome; do
  if command -v "$name" >/dev/null; then
    "$name" --version
    exit 0
  fi
done
[[ $(id -u) -eq 0 ]] || { echo "no Chromium; as root: apt-get install chromium" >&2; exit 1; }
apt-get update -qq
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium fonts-dejavu-core >/dev/null
chromium --version
