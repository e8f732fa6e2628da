#!/usr/bin/env bash
# A kind cluster of one control plane and three workers:
#   hack/cluster.sh up NAME           Docker, node image, kind, network with egress guard, cluster; safe to repeat
#   hack/cluster.sh load NAME [IMAGE…]   copies images into all nodes (without a name: MySQL and our own, into the workers)
#   hack/cluster.sh kubeconfig NAME   prints the path of its kubeconfig
#   hack/cluster.sh env NAME          prints the exports a shell needs (KUBECONFIG, DOCKER_HOST, PATH)
#   hack/cluster.sh down NAME         removes the cluster, and the network if no one else uses it
# The user's own kubeconfig is neither read nor written.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command=${1:-} cluster=${2:-dbpair}
kubeconfig="$CACHE/$cluster.kubeconfig"
image=${IMG:-ghcr.io/dbpair/dbpair:dev}
export KIND_EXPERIMENTAL_DOCKER_NETWORK=${DBPAIR_NETWORK:-dbpair}
export KIND_EXPERIMENTAL_PROVIDER=docker
export PATH="$CACHE/bin:$CACHE/envtest:$PATH"

# The ordinary path. Where there is no Docker engine that runs privileged containers, or a registry does not answer, hack/offline
# makes what is missing under the same name.
up() {
  stage "Docker engine" "$HACK/offline/engine.sh" up
  use_engine
  stage "node image" "$HACK/pull.sh" "$NODE_IMAGE"
  stage "kind and kubectl" programs
  stage "network and guard" "$HACK/network.sh" up
  stage "cluster $cluster" create
}

# programs links the pinned kind into PATH. Any kubectl will do; without one, the tests' is compiled.
programs() {
  ln -sfn "$(basename "$("$HACK/tools/build.sh" kind)")" "$CACHE/bin/kind"
  have kubectl || "$HACK/envtest.sh"
}

# A cluster that answers and whose nodes are ready is kept; whatever else is left of that name is removed first.
create() {
  if kind get clusters 2>/dev/null | grep -qx "$cluster" && answers && nodes_ready 60s; then return; fi
  kind delete cluster --name "$cluster" --kubeconfig "$kubeconfig" || true
  rm -f "$kubeconfig"
  "$HACK/network.sh" guard || die "the egress guard is not standing"
  kind create cluster --name "$cluster" --image "$NODE_IMAGE" --config "$HACK/kind/cluster.yaml" --kubeconfig "$kubeconfig"
  nodes_ready 120s
}

nodes_ready() { KUBECONFIG="$kubeconfig" kubectl wait --for=condition=Ready nodes --all --timeout="$1"; }

answers() {
  kind export kubeconfig --name "$cluster" --kubeconfig "$kubeconfig" >/dev/null 2>&1 &&
    KUBECONFIG="$kubeconfig" timeout 20 kubectl get --raw /readyz >/dev/null 2>&1
}

load() {
  use_engine
  local images=("$@") one nodes
  nodes=$(kind get nodes --name "$cluster")
  if [ ${#images[@]} = 0 ]; then
    # Pods of MySQL and of the operator never run on the control plane, so its disk is spared.
    nodes=$(grep -v 'control-plane$' <<<"$nodes")
    for one in "$MYSQL_IMAGE" "$image"; do
      if docker image inspect "$one" >/dev/null 2>&1; then images+=("$one"); fi
    done
  fi
  [ ${#images[@]} -gt 0 ] || die "no image to load: run hack/pull.sh $MYSQL_IMAGE and hack/images.sh first"
  nodes=$(paste -sd, <<<"$nodes")
  for one in "${images[@]}"; do stage "load $one" kind load docker-image --name "$cluster" --nodes "$nodes" "$one"; done
}

down() {
  use_engine
  if have docker && docker info >/dev/null 2>&1 && have kind; then
    kind delete cluster --name "$cluster" --kubeconfig "$kubeconfig"
    "$HACK/network.sh" down
  fi
  rm -f "$kubeconfig"
}

environment() {
  "$HACK/offline/engine.sh" env
  printf 'export KUBECONFIG=%q\nexport PATH=%q:"$PATH"\n' "$kubeconfig" "$CACHE/bin:$CACHE/envtest"
}

case $command in
  up) locked "cluster-$cluster" up ;;
  load)
    shift $(($# > 1 ? 2 : 1))
    load "$@"
    ;;
  down) locked "cluster-$cluster" down ;;
  kubeconfig) printf '%s\n' "$kubeconfig" ;;
  env) environment ;;
  *) die "usage: hack/cluster.sh up|load|env|kubeconfig|down NAME" ;;
esac
