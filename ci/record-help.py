#!/usr/bin/env python3
"""Records what the real kubeadms' commands say to --help: src/kubeadm/cmd/help.txt.

    ci/record-help.py [VERSION...]

The versions are those of the recordings; their binaries are built by ci/build-kubeadm.sh. A text that several
versions share stands once. Recorded are the commands for certificates, the groups that lead to them, and upgrade. Flags that every command of a version has stand once, too.
"""
import collections
import os
import pathlib
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
VERSIONS = ["v1.15.12", "v1.16.15", "v1.17.17", "v1.28.15", "v1.34.4", "v1.35.4", "v1.36.3", "v1.37.2"]
CACHE = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
ENGINES = pathlib.Path(os.environ.get("CERTDRILL_ENGINES", f"{CACHE}/certdrill/engines"))


def ask(version, path):
    line = [ENGINES / version / "kubeadm", *path, "--help"]
    environment = {"PATH": os.environ["PATH"], "HOME": "/root"}
    return subprocess.run(line, capture_output=True, text=True, check=True, env=environment).stdout


def children(path, text):
    out = []
    # A topic's line begins with its whole path.
    for heading, word in (("Available Commands", 0), ("Additional help topics", len(path) + 1)):
        _, found, after = text.partition(f"\n{heading}:\n")
        if found:
            out += [line.split()[word] for line in after.partition("\n\n")[0].splitlines()]
    return out


def wanted(path):
    if path[:2] == ("init", "phase"):
        return len(path) == 2 or path[2] in ("certs", "kubeconfig", "kubelet-finalize")
    if path[:1] == ("alpha",):
        return path[1:2] in ((), ("certs",), ("kubeconfig",))
    return path[:1] in ((), ("certs",), ("help",), ("init",), ("kubeconfig",)) or path[:1] == ("upgrade",) and len(path) < 3


def walk(version, path=()):
    text = ask(version, path)
    yield path, text
    for child in children(path, text):
        if wanted((*path, child)):
            yield from walk(version, (*path, child))


def main():
    versions = sys.argv[1:] or VERSIONS
    shared = {}
    texts = collections.defaultdict(lambda: collections.defaultdict(list))
    for version in versions:
        for path, text in walk(version):
            head, found, flags = text.partition("\nGlobal Flags:\n")
            if found:
                flags, blank, rest = flags.partition("\n\n")
                flags = flags.rstrip("\n")
                # The first command that is asked has no flags of a group of its own.
                if flags == shared.setdefault(version, flags):
                    text = head + "\nGlobal Flags:\n@GLOBAL\n" + ("\n" + rest if blank else "")
            assert "\n@@" not in text
            texts[path][text].append(version)
    out = ["What kubeadm's commands say to --help, recorded by ci/record-help.py. `@@ COMMAND` begins a command,",
           "`@@= VERSIONS` a text of it; `@GLOBAL` stands for the flags of `@@ @GLOBAL`."]
    by_flags = collections.defaultdict(list)
    for version, flags in shared.items():
        by_flags[flags].append(version)
    out.append("@@ @GLOBAL")
    for flags, who in by_flags.items():
        out += ["@@= " + " ".join(who), flags]
    for path in sorted(texts, key=lambda path: (len(path), path)):
        out.append("@@ " + " ".join(("kubeadm", *path)))
        for text, who in texts[path].items():
            out += ["@@= " + " ".join(who), text.removesuffix("\n")]
    target = ROOT / "src/kubeadm/cmd/help.txt"
    target.write_text("\n".join(out) + "\n")
    print(f"{target.relative_to(ROOT)}: {len(texts)} commands, {sum(map(len, texts.values()))} texts")


if __name__ == "__main__":
    main()
