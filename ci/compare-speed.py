#!/usr/bin/env python3
"""Wall time and peak memory of the real kubeadm and certdrill's engine, side by side.

    ci/compare-speed.py VERSION [--kubeadm PATH] [--certdrill PATH] [--runs N]

Prints the medians and their ratio for `certs renew all` with fresh RSA-2048 keys and for
`certs check-expiration` on a healthy tree. The two take turns, so that a busy machine slows both.
Needs root (kubeadm changes its root directory) and GNU time.

Peak memory is what GNU time says, not what this script could read of its own children: Linux counts
what a process occupied before it became another program, so every child of this script would seem to
need at least as much as Python with a recording in memory. GNU time itself is below 2 MiB.
"""
import argparse
import datetime
import importlib.util
import json
import lzma
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

TIME = shutil.which("time") or "/usr/bin/time"
ROOT = pathlib.Path(__file__).resolve().parent.parent
spec = importlib.util.spec_from_file_location("engines", ROOT / "ci/compare-engines.py")
engines = importlib.util.module_from_spec(spec)
spec.loader.exec_module(engines)


def measure(command):
    with tempfile.NamedTemporaryFile("r") as peak:
        start = time.monotonic()
        subprocess.run([TIME, "-f", "%M", "-o", peak.name, *command], stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL, check=True)
        return time.monotonic() - start, int(peak.read()) / 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("version")
    parser.add_argument("--kubeadm")
    parser.add_argument("--certdrill", default=str(ROOT / "target/release/certdrill"))
    parser.add_argument("--runs", type=int, default=9)
    options = parser.parse_args()
    cache = os.environ.get("XDG_CACHE_HOME", os.path.expanduser("~/.cache"))
    home = os.environ.get("CERTDRILL_ENGINES", f"{cache}/certdrill/engines")
    kubeadm = options.kubeadm or f"{home}/{options.version}/kubeadm"
    packed = ROOT / f"fixtures/corpus/{options.version}.json.xz"
    corpus = json.loads(lzma.decompress(packed.read_bytes()))
    base = next(case["before"]["base"] for case in corpus["cases"] if case["family"] == "healthy")
    now = datetime.datetime.now(datetime.timezone.utc).isoformat()
    group = ["alpha", "certs"] if options.version < "v1.20" else ["certs"]
    print(f"{os.cpu_count()} cores, median of {options.runs} runs")
    with tempfile.TemporaryDirectory() as scratch:
        root = pathlib.Path(scratch)
        engines.extract(corpus, base, root)
        for command in (["renew", "all"], ["check-expiration"]):
            arguments = [*group, *command, "--config", "/kubeadm.yaml"]
            lines = {
                "kubeadm": [kubeadm, "--rootfs", str(root), *arguments],
                "certdrill": [options.certdrill, "kubeadm", "--as", options.version, "--at", now, "--rootfs", str(root), "--", *arguments],
            }
            seen = {who: [] for who in lines}
            for _ in range(options.runs):
                for who, line in lines.items():
                    seen[who].append(measure(line))
            times = {who: statistics.median(time for time, _ in runs) for who, runs in seen.items()}
            memory = {who: statistics.median(kib for _, kib in runs) for who, runs in seen.items()}
            print(
                f"{' '.join(command)}: kubeadm {times['kubeadm']:.3f} s, certdrill {times['certdrill']:.3f} s, "
                f"ratio {times['certdrill'] / times['kubeadm']:.2f}; memory {memory['kubeadm']:.1f} MiB, "
                f"{memory['certdrill']:.1f} MiB, ratio {memory['certdrill'] / memory['kubeadm']:.2f}"
            )


if __name__ == "__main__":
    main()
