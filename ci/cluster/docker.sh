#!/usr/bin/env bash
# A Docker engine for tests with real clusters, on a machine that may lack CAP_SYS_RESOURCE.
#
#   ci/cluster/docker.sh         installs and starts one where none answers
#   ci/cluster/docker.sh stop    ends the one that this script started
set -euo pipefail
cache=${CERTDRILL_CLUSTER:-${XDG_CACHE_HOME:-$HOME/.cache}/certdrill/cluster}
home=$cache/docker
pidfile=$home/dockerd.pid

running() { [[ -f $pidfile ]] && kill -0 "$(cat "$pidfile")" 2>/dev/null; }

if [[ ${1:-} == stop ]]; then
  running && kill "$(cat "$pidfile")" && echo "dockerd is asked to stop"
  exit 0
fi
mkdir -p "$home/data"
# A runtime that asks for nothing that this machine does not have.
# It runs at each `docker exec`: the system's own Python, without looking for packages, starts in a fifth of the time that
# a version manager's takes.
python=$(PATH=/usr/bin:/bin command -v python3 || command -v python3 || echo /usr/bin/python3)
echo "#!$python -SE" > "$home/runc-within.new"
cat >> "$home/runc-within.new" <<'WRAPPER'
"""runc without CAP_SYS_RESOURCE and with no more open files than the machine allows, and without ptrace where that is wanted."""
import json
import os
import resource
import sys

CAPABILITY = 24
NAME = "CAP_SYS_RESOURCE"


def bounded():
    with open("/proc/self/status", encoding="ascii") as status:
        for line in status:
            if line.startswith("CapBnd:"):
                return not int(line.split()[1], 16) >> CAPABILITY & 1
    return False


def lower(process):
    for names in (process.get("capabilities") or {}).values():
        if NAME in names:
            names.remove(NAME)
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    for limit in process.get("rlimits") or []:
        if limit["type"] == "RLIMIT_NOFILE" and hard != resource.RLIM_INFINITY:
            limit["hard"] = min(limit["hard"], hard)
            limit["soft"] = min(limit["soft"], hard)


def forbid_ptrace(spec):
    """What `no-ptrace` asks for: this Docker gives no seccomp profile to a privileged container."""
    if "CERTDRILL_NO_PTRACE=1" in spec["process"].get("env", []):
        rule = {"names": ["ptrace"], "action": "SCMP_ACT_ERRNO", "errnoRet": 1}
        spec["linux"]["seccomp"] = {"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [rule]}


def edit(path, change):
    with open(path, encoding="utf-8") as file:
        spec = json.load(file)
    change(spec)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(spec, file)


def bundle_of(args):
    for at, arg in enumerate(args):
        if arg in ("--bundle", "-b"):
            return args[at + 1]
    return "."


def main():
    args = sys.argv[1:]
    if "create" in args or "run" in args:
        config = os.path.join(bundle_of(args), "config.json")
        edit(config, forbid_ptrace)
        if bounded():
            edit(config, lambda spec: lower(spec["process"]))
    elif "exec" in args and bounded():
        for at, arg in enumerate(args):
            if arg in ("--process", "-p"):
                edit(args[at + 1], lower)
    os.execvp("runc", ["runc", *args])


main()
WRAPPER
chmod 755 "$home/runc-within.new"
mv "$home/runc-within.new" "$home/runc-within"
if docker version >/dev/null 2>&1; then
  echo "Docker $(docker version --format '{{.Server.Version}}') answers"
  exit 0
fi
[[ $(id -u) -eq 0 ]] || { echo "no Docker engine answers: start one, or run this as root" >&2; exit 1; }
missing=()
for tool in dockerd:docker.io iptables:iptables debootstrap:debootstrap runc:runc; do
  command -v "${tool%%:*}" >/dev/null || missing+=("${tool##*:}")
done
if [[ ${#missing[@]} -gt 0 ]]; then
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi
cat > "$home/daemon.json" <<EOF2
{
  "data-root": "$home/data",
  "default-runtime": "within",
  "runtimes": { "within": { "path": "$home/runc-within" } }
}
EOF2
setsid dockerd --config-file "$home/daemon.json" --pidfile "$pidfile" > "$home/dockerd.log" 2>&1 < /dev/null &
for _ in $(seq 150); do
  if docker version >/dev/null 2>&1; then
    echo "Docker $(docker version --format '{{.Server.Version}}') was started"
    exit 0
  fi
  sleep 0.2
done
tail -20 "$home/dockerd.log" >&2
echo "dockerd does not come up" >&2
exit 1
