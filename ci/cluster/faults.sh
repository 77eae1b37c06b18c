#!/usr/bin/env bash
# Faults of the machine while a real cluster is made or played: no verdict (104), the reason and what to do, and nothing is
# left behind. Needs the image of v1.36.3.
# With job control, or what runs in the background would begin with interrupts ignored.
set -meuo pipefail
certdrill=${CERTDRILL:-target/release/certdrill}
scenario=scenarios/clusters/one-year.yaml
work=$(mktemp -d)
taken=certdrill-test-taken
player=
leave() {
  # Whoever still plays holds the addresses that others want.
  [[ -z $player ]] || { kill -INT "$player" 2>/dev/null && wait "$player" || true; }
  docker network rm "$taken" >/dev/null 2>&1 || true
  rm -rf "$work"
}
trap leave EXIT

fail() { echo "$1" >&2; [[ ! -e $work/said ]] || cat "$work/said" >&2; exit 1; }
things() {
  docker ps --all --quiet
  docker network ls --format '{{.Name}}'
  docker volume ls --quiet
}
before=$(things)
# said CODE WORDS...: what ended with this code and said all of that, and left nothing.
ended() {
  local wanted=$1 code=$2 word
  shift 2
  [[ $code -eq $wanted ]] || fail "it ended with $code, and $wanted was expected"
  for word in "$@"; do
    tr -s ' \n' ' ' <"$work/said" | grep -qF -- "$word" || fail "it does not say: $word"
  done
  [[ $(things) == "$before" ]] || fail "it left something behind: $(diff <(echo "$before") <(things))"
}
play() { code=0; "$certdrill" run "$scenario" --backend kind --jobs 1 "$@" >"$work/said" 2>&1 || code=$?; }
begin() { "$certdrill" run "$scenario" --backend kind --jobs 1 >"$work/said" 2>&1 & player=$!; }
finish() { code=0; wait "$player" || code=$?; player=; }
# Until a node of the one that plays has what is wanted.
until_node_has() {
  for _ in $(seq 300); do
    ! docker exec "certdrill-$player-cp1" test -e "$1" 2>/dev/null || return 0
    kill -0 "$player" 2>/dev/null || fail 'it ended too early'
    sleep 0.3
  done
  fail "no node gets $1"
}

play --node-image certdrill.test/nothing:v1
ended 104 "$code" 'certdrill.test/nothing:v1' 'help: docker pull certdrill.test/nothing:v1, or build a stand-in'
echo 'ok: no image'

docker network create --subnet 10.0.0.0/25 "$taken" >/dev/null
before=$(things)
play
ended 104 "$code" 'help: nodes have the addresses of the simulation: 10.0.0.0/24 must be free'
docker network rm "$taken" >/dev/null
before=$(things)
echo 'ok: its addresses are taken'

# An engine that gives nodes a small disk for kubeadm's files.
cat >"$work/docker" <<'END'
#!/usr/bin/env bash
[[ $1 != create ]] || set -- create --tmpfs /etc/kubernetes:size=48k "${@:2}"
exec docker "$@"
END
chmod +x "$work/docker"
CERTDRILL_CONTAINERS=$work/docker play
ended 104 "$code" 'the cluster does not come up: kubeadm init' 'no space left on device' 'help: --keep leaves its nodes'
echo 'ok: kubeadm init fails on a full disk'

begin
until_node_has /root/.kube/config
node=certdrill-$player-cp1
docker kill "$node" >/dev/null
finish
ended 104 "$code" "$node" 'help: '
echo 'ok: a node is killed'

begin
until_node_has /usr/local/lib/certdrill/real/runc
kill -INT "$player"
finish
ended 130 "$code"
echo 'ok: interrupted'

begin
until_node_has /usr/local/lib/certdrill/real/runc
kill -KILL "$player"
finish
[[ $(things) != "$before" ]] || fail 'nothing was there to be cleaned'
"$certdrill" clean >"$work/said" 2>&1
ended 137 "$code" 'removed'
echo 'ok: killed, and cleaned up after'
