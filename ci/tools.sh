#!/usr/bin/env bash
# What tests need besides: a browser and xmllint to look at reports, jq for traces, runc for containers at another time. Installed where they
# are missing and the machine is Debian's.
set -euo pipefail
missing=()
if [[ -n ${CERTDRILL_CHROMIUM:-} ]] || command -v chromium chromium-browser google-chrome >/dev/null; then
  :
else
  missing+=(chromium fonts-dejavu-core)
fi
command -v xmllint >/dev/null || missing+=(libxml2-utils)
command -v jq >/dev/null || missing+=(jq)
command -v runc >/dev/null || missing+=(runc)
if [[ ${#missing[@]} -gt 0 ]]; then
  [[ $(id -u) -eq 0 ]] || { echo "missing; as root: apt-get install ${missing[*]}" >&2; exit 1; }
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
xmllint --version 2>&1 | sed -n 1p
