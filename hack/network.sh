#!/usr/bin/env bash
# The network of the kind nodes, and the guard that keeps test traffic on this machine:
#   hack/network.sh up      the docker network with a named bridge and an explicit subnet, and the guard rule
#   hack/network.sh down    removes both, unless a container still uses the network
#   hack/network.sh guard   is the guard standing?
# Override with DBPAIR_NETWORK, DBPAIR_BRIDGE and DBPAIR_SUBNET.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_engine

network=${DBPAIR_NETWORK:-dbpair}
bridge=${DBPAIR_BRIDGE:-br-dbpair}
subnet=${DBPAIR_SUBNET:-172.30.0.0/16}

# The rules belong on the machine of the engine. Without root here, a privileged container of the node image sets them there.
tables() {
  if [ "$(id -u)" = 0 ] && have iptables; then
    iptables -w "$@"
    return
  fi
  docker run --rm --privileged --network host --entrypoint iptables "$NODE_IMAGE" -w "$@"
}

# Docker keeps DOCKER-USER in front of all its own rules; without docker's rules, ours go to FORWARD.
chain() { if tables -n -L DOCKER-USER >/dev/null 2>&1; then echo DOCKER-USER; else echo FORWARD; fi; }

# New connections from the nodes' bridge to anywhere else are refused at once. Bridged traffic among nodes is let through
# even where another daemon has closed FORWARD.
guard_rule=(-i "$bridge" ! -o "$bridge" -m conntrack --ctstate NEW -j REJECT --reject-with icmp-net-unreachable)
inside_rule=(-i "$bridge" -o "$bridge" -j ACCEPT)

guard_stands() { tables -C "$(chain)" "${guard_rule[@]}" >/dev/null 2>&1; }

ensure_rule() {
  local chain=$1
  shift
  tables -C "$chain" "$@" >/dev/null 2>&1 || tables -I "$chain" "$@"
}

up() {
  if ! docker network inspect "$network" >/dev/null 2>&1; then
    docker network create --driver bridge --subnet "$subnet" -o "com.docker.network.bridge.name=$bridge" \
      -o com.docker.network.bridge.enable_ip_masquerade=true --label dbpair=hack "$network" >/dev/null
  fi
  local chain
  chain=$(chain)
  [ "$chain" = DOCKER-USER ] || ensure_rule "$chain" "${inside_rule[@]}"
  ensure_rule "$chain" "${guard_rule[@]}"
  guard_stands || die "the egress guard could not be set: no pod may run"
}

down() {
  docker network inspect "$network" >/dev/null 2>&1 || return 0
  if [ -n "$(docker ps -aq --filter "network=$network")" ]; then
    log "network $network is still in use"
    return 0
  fi
  docker network rm "$network" >/dev/null
  local chain
  chain=$(chain)
  while tables -D "$chain" "${guard_rule[@]}" 2>/dev/null; do :; done
  while tables -D "$chain" "${inside_rule[@]}" 2>/dev/null; do :; done
}

case ${1:-} in
  up) locked network up ;;
  down) locked network down ;;
  guard) guard_stands ;;
  *) die "usage: hack/network.sh up|down|guard" ;;
esac
