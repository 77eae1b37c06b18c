#!/bin/sh
# Signs a request with cfssl: request, certificate, usages as cfssl calls them ("server auth").
set -eu
cat >/tmp/cfssl.json <<JSON
{"signing": {"default": {"expiry": "8760h", "usages": ["signing", "key encipherment", "$3"]}}}
JSON
cfssl sign -ca /root/acme/ca.crt -ca-key /root/acme/ca.key -config /tmp/cfssl.json "$1" >/tmp/signed.json
# cfssljson is a program of its own: this takes the certificate out of the answer.
printf '%b' "$(sed 's/.*"cert":"\([^"]*\)".*/\1/' /tmp/signed.json)" >"$2"
openssl x509 -in "$2" -noout -subject -ext extendedKeyUsage
