#!/usr/bin/env bash
# From nothing to a running pair, with the time of each stage:
#   hack/demo.sh up      cluster, operator by its chart, the pair of config/samples/shop.yaml, one row written and read
#   hack/demo.sh down    removes the cluster; hack/offline/engine.sh down stops the engine, if an own one was started
# DEMO_CLUSTER names the cluster (dbpair-demo). Images and downloads stay in the cache, so a second run is quick.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

cluster=${DEMO_CLUSTER:-dbpair-demo}
image=${IMG:-ghcr.io/dbpair/dbpair:dev}
sample="$ROOT/config/samples/shop.yaml"

# The ordinary path from a machine with Docker to a running pair.
up() {
  stage "what this machine has" "$HACK/preflight.sh"
  "$HACK/cluster.sh" up "$cluster"
  eval "$("$HACK/cluster.sh" env "$cluster")"
  stage "MySQL image" "$HACK/pull.sh" "$MYSQL_IMAGE"
  stage "image of the operator" "$HACK/images.sh"
  "$HACK/cluster.sh" load "$cluster"
  stage "operator by its chart" install_chart
  stage "newest operator runs" fresh_operator
  stage "pair shop until FailoverReady" pair_available
  stage "row through Service shop" write_row
  stage "same row on the passive" read_row
  printf '%-34s%5ss\n' "all of it" "$SECONDS" >&2
  next_steps
}

install_chart() {
  local helm
  helm=$("$HACK/tools/build.sh" helm)
  "$helm" upgrade --install dbpair "$ROOT/charts/dbpair" --namespace dbpair-system --create-namespace \
    --set "image.repository=${image%:*}" --set "image.tag=${image##*:}" --wait --timeout 180s
}

# fresh_operator makes sure that the image just loaded runs, even if an older one of the same tag ran before.
fresh_operator() {
  local loaded running
  loaded=$(docker image inspect -f '{{index .Config.Labels "dbpair.contents"}}' "$image")
  running=$(kubectl get deployment --namespace dbpair-system -l app.kubernetes.io/name=dbpair -o 'jsonpath={.items[0].metadata.annotations.dbpair-demo/contents}')
  [ "$running" != "$loaded" ] || return 0
  kubectl annotate deployment --namespace dbpair-system -l app.kubernetes.io/name=dbpair --overwrite "dbpair-demo/contents=$loaded"
  [ -n "$running" ] || return 0
  kubectl rollout restart deployment --namespace dbpair-system -l app.kubernetes.io/name=dbpair
  kubectl rollout status deployment --namespace dbpair-system -l app.kubernetes.io/name=dbpair --timeout 120s
}

pair_available() {
  kubectl apply -f "$sample"
  # The primary is available before the passive has its copy.
  local condition
  for condition in Available Ready FailoverReady; do
    log "waiting for the condition $condition"
    kubectl wait dbp/shop "--for=condition=$condition" --timeout=300s
  done
}

secret() { kubectl get secret shop-app -o "jsonpath={.data.$1}" | base64 -d; }

# client HOST STATEMENT runs the mysql client in the pod of a member, as the application's user, against a Service. The
# password goes through standard input and so appears in no list of processes.
client() {
  local user
  user=$(secret username)
  secret password | kubectl exec -i shop-0 -c mysqld -- sh -c \
    'IFS= read -r MYSQL_PWD || true; export MYSQL_PWD; exec mysql --no-defaults --protocol=TCP --connect-timeout=5 -N -B -h "$1" -u "$2" "$3" -e "$4"' \
    sh "$1" "$user" "$(secret database)" "$2"
}

note="written by make demo at $(date +%T)"
write_row() {
  client shop "CREATE TABLE IF NOT EXISTS demo (id INT PRIMARY KEY AUTO_INCREMENT, note VARCHAR(100)); INSERT INTO demo (note) VALUES ('$note')"
}
row_on_passive() { client shop-passive "SELECT note FROM demo WHERE note = '$note'" | grep -q .; }
read_row() { await 30 row_on_passive || die "the row did not reach the passive within 30 seconds"; }

next_steps() {
  cat <<N

$(kubectl get dbp)

One row was written through the Service shop and read on the passive. Next:

  eval "\$(hack/cluster.sh env $cluster)"     # KUBECONFIG and kubectl of this cluster
  kubectl get dbp,pods,svc -o wide
  kubectl describe dbp shop
  make build && bin/kubectl-dbpair status shop
  make demo-down                              # remove it all

N
}

case ${1:-} in
  up) up ;;
  down) exec "$HACK/cluster.sh" down "$cluster" ;;
  *) die "usage: hack/demo.sh up|down" ;;
esac
