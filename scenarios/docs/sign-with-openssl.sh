#!/bin/sh
# Signs a request with openssl, as an operator's CA does: request, certificate, usages, and whether the names of the
# request are copied. Without -copy_extensions openssl drops them.
set -eu
printf 'basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature,keyEncipherment\nextendedKeyUsage=%s\n' "$3" >/tmp/extensions
openssl x509 -req -in "$1" -CA /root/acme/ca.crt -CAkey /root/acme/ca.key -CAcreateserial -days 365 \
  -extfile /tmp/extensions -copy_extensions "$4" -out "$2"
openssl x509 -in "$2" -noout -subject -ext extendedKeyUsage
