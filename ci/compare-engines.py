#!/usr/bin/env python3
"""Runs the real kubeadm and certdrill's engine on the same trees and compares what each leaves.

    ci/compare-engines.py VERSION [--kubeadm PATH] [--certdrill PATH] [--pairs N] [--seed N]

Trees come from the packed corpus: a healthy one and, for `--pairs`, two recorded damages at once,
drawn by seed. Both run now (the real one reads the machine's clock). Compared are exit status,
standard output, standard error, and of every file its kind, mode, whether it changed, and for
certificates and requests the whole text that openssl shows but for key, serial number, signature
and dates. Needs root (kubeadm changes its root directory) and openssl.
"""
import argparse
import base64
import datetime
import json
import lzma
import os
import pathlib
import random
import re
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parent.parent


def extract(corpus, name, root):
    for entry in corpus["trees"][name]:
        path = root / entry["path"]
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry["type"] == "dir":
            if path.is_symlink() or path.is_file():
                path.unlink()
            path.mkdir(exist_ok=True)
            path.chmod(entry["mode"])
            continue
        if path.is_symlink() or path.is_file():
            path.unlink()
        elif path.is_dir():
            shutil.rmtree(path)
        if entry["type"] == "symlink":
            path.symlink_to(entry["to"])
        elif entry["type"] == "hardlink":
            os.link(root / entry["to"], path)
        else:
            blob = corpus["blobs"][entry["blob"]]
            path.write_bytes(blob.encode() if isinstance(blob, str) else bytes.fromhex(blob["hex"]))
            path.chmod(entry["mode"])


def damage(corpus, case, root):
    for name in case["before"]["remove"]:
        path = root / name
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        elif path.is_symlink() or path.exists():
            path.unlink()
    if case["before"]["overlay"]:
        extract(corpus, case["before"]["overlay"], root)


def describe(content):
    """What a file says, but for what is random."""
    if b"-----BEGIN CERTIFICATE-----" in content and b"PRIVATE" not in content and b"apiVersion" not in content:
        text = subprocess.run(["openssl", "x509", "-noout", "-text"], input=content, capture_output=True).stdout.decode(errors="replace")
    elif b"-----BEGIN CERTIFICATE REQUEST-----" in content:
        text = subprocess.run(["openssl", "req", "-noout", "-text"], input=content, capture_output=True).stdout.decode(errors="replace")
    elif b"apiVersion" in content and b"clusters:" in content:
        text = re.sub(r"(client-(?:certificate|key)-data): \S+", r"\1: random", content.decode(errors="replace"))
        found = re.search(rb"client-certificate-data: (\S+)", content)
        if found:

            try:
                text += describe(base64.b64decode(found[1]))
            except ValueError:
                pass
        return text
    elif b"-----BEGIN" in content:
        return content.split(b"\n", 1)[0].decode(errors="replace")
    else:
        return content.decode(errors="replace")
    # The modulus, the serial number and the signature are random; dates are compared elsewhere.
    text = re.sub(r"Serial Number:.*?(?=Signature Algorithm)", "", text, count=1, flags=re.S)
    text = re.sub(r"(?:[0-9A-F]{2}:){19}[0-9A-F]{2}", "KEY ID", text)
    text = re.sub(r"\n +(?:[0-9a-f]{2}:)+[0-9a-f]{0,2}(?=\n)", "", text)
    text = re.sub(r"\n +(?:[0-9a-f]{2}:){5,}[0-9a-f]{2}", "", text)
    return re.sub(r"Not (Before|After ?): ?(.{9}):\d\d:\d\d", r"Not \1: \2", text)


def snapshot(root):
    out = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        stat = path.lstat()
        if path.is_symlink():
            out[name] = ("link", os.readlink(path), "")
        elif path.is_dir():
            out[name] = ("dir", oct(stat.st_mode & 0o7777), "")
        else:
            out[name] = ("file", oct(stat.st_mode & 0o7777), path.read_bytes())
    return out


def changes(before, after):
    out = {}
    for name in before.keys() | after.keys():
        old, new = before.get(name), after.get(name)
        if old == new:
            continue
        if new is None:
            out[name] = "gone"
        elif new[0] == "file":
            out[name] = ("file", new[1], describe(new[2]))
        else:
            out[name] = new
    return out


def normal(text):
    lines = []
    for line in text.splitlines():
        found = re.match(r"[WIE]\d{4} [\d:.]+ +\d+ (\S+?):\d+\] (.*)", line)
        if found:
            if found[1] in ("kubelet.go", "version.go"):
                continue
            line = found[2]
        line = re.sub(r"current time \S+", "current time T", line)
        line = re.sub(r"NotBefore: [^,]+, NotAfter: .*", "period", line)
        lines.append(line)
    return sorted(lines)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--kubeadm")
    parser.add_argument("--certdrill", default=str(ROOT / "target/debug/certdrill"))
    parser.add_argument("--corpus", help="version whose trees are used; VERSION by default")
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    engines = os.environ.get("CERTDRILL_ENGINES", f"{cache}/certdrill/engines")
    kubeadm = options.kubeadm or f"{engines}/{options.version}/kubeadm"
    packed = ROOT / f"fixtures/corpus/{options.corpus or options.version}.json.xz"
    corpus = json.loads(lzma.decompress(packed.read_bytes()))
    draw = random.Random(options.seed)
    damages = [
        case for case in corpus["cases"]
        if case["before"]["base"] and "no-config" not in case["tags"] and "random-order" not in case["tags"]
        and not case["family"].startswith(("cli", "healthy", "time", "durations"))
    ]
    differing = 0
    for number in range(options.pairs):
        one, other = draw.sample(damages, 2)
        command = draw.choice([one, other])["args"]
        with tempfile.TemporaryDirectory() as scratch:
            results = []
            for who in ("real", "ours"):
                root = pathlib.Path(scratch) / who
                root.mkdir()
                try:
                    extract(corpus, one["before"]["base"], root)
                    damage(corpus, one, root)
                    damage(corpus, other, root)
                except OSError:
                    # The second damage needs what the first took away.
                    results = None
                    break
                before = snapshot(root)
                if who == "real":
                    line = [kubeadm, "--rootfs", str(root), *command]
                else:
                    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
                    line = [options.certdrill, "kubeadm", "--as", options.version, "--at", now, "--rootfs", str(root), "--", *command]
                run = subprocess.run(line, capture_output=True, text=True, timeout=60)
                results.append({
                    "exit status": run.returncode,
                    # Residual times may tick between the two runs.
                    "standard output": re.sub(r"(residualTime\W+)\d+", r"\1N", run.stdout),
                    "standard error": normal(run.stderr),
                    "files": changes(before, snapshot(root)),
                })
            if results is None:
                continue
            bad = [what for what in results[0] if results[0][what] != results[1][what]]
            if bad:
                differing += 1
                print(f"## {one['id']} + {other['id']}: {' '.join(command)}: differs in {', '.join(bad)}")
                for what in bad:
                    for who, result in zip(("real", "ours"), results):
                        shown = result[what]
                        if what == "files":
                            shown = {k: v for k, v in shown.items() if results[0][what].get(k) != results[1][what].get(k)}
                        print(f"-- {who} {what}: {str(shown)[:1500]}")
    print(f"{options.version}: {options.pairs} pairs of damages, {differing} differ")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
