#!/bin/sh
# Renews everything when the first certificate has fewer days left than the argument says.
set -eu
date -u +%Y-%m-%d
for certificate in /etc/kubernetes/pki/*.crt /etc/kubernetes/pki/etcd/*.crt; do
  if ! openssl x509 -noout -checkend $(($1 * 86400)) -in "$certificate" >/dev/null; then
    echo "$(basename "$certificate") is due"
    exec kubeadm certs renew all
  fi
done
echo "nothing is due"
