#!/usr/bin/env python3
"""Packs recorded runs of kubeadm into the form that tests read.

    ci/compact-corpus.py CORPUS fixtures/corpus

CORPUS holds `<version>/<family>.json` and `trees/*.tar.gz`. One file per version comes out: xz over
JSON with the cases, the trees they start from, and every distinct file content once.
"""
import json
import lzma
import pathlib
import sys
import tarfile


def read_tree(path, blobs):
    entries = []
    with tarfile.open(path) as tar:
        for member in tar.getmembers():
            name = member.name.removeprefix("./").rstrip("/")
            if not name:
                continue
            entry = {"path": name, "mode": member.mode & 0o7777}
            if member.isdir():
                entry["type"] = "dir"
            elif member.issym():
                entry |= {"type": "symlink", "to": member.linkname}
            elif member.islnk():
                entry |= {"type": "hardlink", "to": member.linkname.removeprefix("./")}
            else:
                content = tar.extractfile(member).read()
                entry |= {"type": "file", "blob": blobs.setdefault(content, len(blobs))}
            entries.append(entry)
    return entries


def encode(content):
    try:
        return content.decode()
    except UnicodeDecodeError:
        return {"hex": content.hex()}


def main():
    corpus, out = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
    out.mkdir(parents=True, exist_ok=True)
    for directory in sorted(corpus.glob("v*")):
        blobs, trees, cases = {}, {}, []
        for family in sorted(directory.glob("*.json")):
            for case in json.loads(family.read_text()):
                for part in ("base", "overlay"):
                    tree = case["before"][part]
                    if tree and tree not in trees:
                        trees[tree] = read_tree(corpus / tree, blobs)
                case.pop("mutations", None)
                case["family"] = family.stem
                cases.append(case)
        packed = {
            "version": directory.name,
            "cases": cases,
            "trees": trees,
            "blobs": [encode(content) for content in blobs],
        }
        text = json.dumps(packed, ensure_ascii=False, separators=(",", ":")).encode()
        target = out / f"{directory.name}.json.xz"
        target.write_bytes(lzma.compress(text, preset=9 | lzma.PRESET_EXTREME))
        print(f"{target}: {len(cases)} cases, {len(trees)} trees, {target.stat().st_size} bytes")


main()
