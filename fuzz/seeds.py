#!/usr/bin/env python3
"""Writes seeds for every fuzz target, made from the recorded runs of the real kubeadm.

    fuzz/seeds.py DIRECTORY

DIRECTORY/TARGET gets one file for each distinct thing that the recordings hold: PEM files and their DER,
kubeconfigs, configuration files, command lines.
"""
import base64
import hashlib
import json
import lzma
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
# The largest of each are left out: short seeds are faster, and no shape is lost.
BYTES_MAX = 8192
EACH_MAX = 400


def main():
    out = pathlib.Path(sys.argv[1])
    seeds = {target: {} for target in ("pem_der", "kubeconfig", "kubeadm_config", "arguments")}

    def add(target, content):
        if len(content) <= BYTES_MAX and len(seeds[target]) < EACH_MAX:
            seeds[target].setdefault(hashlib.sha256(content).hexdigest()[:16], content)

    for packed in sorted((ROOT / "fixtures/corpus").glob("*.xz")):
        corpus = json.loads(lzma.decompress(packed.read_bytes()))
        minor = int(corpus["version"].split(".")[1])
        for blob in corpus["blobs"]:
            content = blob.encode() if isinstance(blob, str) else bytes.fromhex(blob["hex"])
            if b"kubeadm.k8s.io" in content:
                for choice in range(0, 12, 5):
                    add("kubeadm_config", bytes([choice]) + content)
            elif b"clusters" in content:
                add("kubeconfig", content)
            elif b"-----BEGIN" in content:
                add("pem_der", content)
                body = re.search(rb"-----BEGIN [A-Z ]+-----\n([A-Za-z0-9+/=\n]+)-----END", content)
                if body:
                    add("pem_der", base64.b64decode(body[1] + b"=="))
        for case in corpus["cases"]:
            add("arguments", bytes([minor - 15]) + "\n".join(case["args"]).encode())
    for target, contents in seeds.items():
        directory = out / target
        directory.mkdir(parents=True, exist_ok=True)
        for name, content in contents.items():
            (directory / name).write_bytes(content)
        print(f"{target}: {len(contents)} seeds")


if __name__ == "__main__":
    main()
