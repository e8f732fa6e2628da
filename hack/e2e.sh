#!/usr/bin/env bash
# The end-to-end tests on a kind cluster of their own:
#   hack/e2e.sh up NAME              cluster and images; safe to repeat
#   hack/e2e.sh run NAME [FLAG…]     the tests; flags go to go test (-run 'TestFailover/node killed')
#   hack/e2e.sh bench NAME WHAT      the measurements of test/bench
#   hack/e2e.sh router NAME          the image of the router, which its test needs; "up" brings it with E2E_LONG=1
#   hack/e2e.sh programs NAME        the image with client programs, which the measurement of clients needs
#   hack/e2e.sh prometheus NAME      the image with Prometheus, which the test of the alerts needs; "up" brings it with E2E_LONG=1
#   hack/e2e.sh down NAME            removes the cluster
# The tests install the chart themselves.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

command=${1:-} cluster=${2:-dbpair-e2e}
client_image=${E2E_CLIENT_IMAGE:-ghcr.io/dbpair/e2e-client:dev}
failpoint_image=${E2E_FAILPOINT_IMAGE:-ghcr.io/dbpair/dbpair:failpoints}
old_image=${E2E_OLD_MYSQL_IMAGE:-ghcr.io/dbpair/e2e-old-mysql:dev}
router_image=haproxy:3.0
programs_image=${E2E_PROGRAMS_IMAGE:-ghcr.io/dbpair/e2e-programs:dev}
s3_image=${E2E_S3_IMAGE:-ghcr.io/dbpair/e2e-s3:dev}
prometheus_image=${E2E_PROMETHEUS_IMAGE:-ghcr.io/dbpair/e2e-prometheus:dev}
export IMG=${E2E_OPERATOR_IMAGE:-ghcr.io/dbpair/dbpair:dev}

use_cluster() {
  eval "$("$HACK/cluster.sh" env "$cluster")"
  HELM=$("$HACK/tools/build.sh" helm)
  export HELM E2E_CLIENT_IMAGE="$client_image" E2E_OPERATOR_IMAGE="$IMG" E2E_FAILPOINT_IMAGE="$failpoint_image" E2E_OLD_MYSQL_IMAGE="$old_image"
  export E2E_PROGRAMS_IMAGE="$programs_image" E2E_S3_IMAGE="$s3_image" E2E_PROMETHEUS_IMAGE="$prometheus_image"
  export KIND_EXPERIMENTAL_DOCKER_NETWORK="${DBPAIR_NETWORK:-dbpair}"
}

# The client that runs inside the cluster: one static program on an empty file system. Called mysqld it tells an old version,
# for the image that the operator has to refuse.
client() {
  use_engine
  local root="$CACHE/e2e-client"
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  mkdir -p "$root" "$root-old/usr/sbin"
  (cd "$ROOT" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$root/client" ./test/e2e/client)
  cp "$root/client" "$root-old/usr/sbin/mysqld"
  "$CACHE/bin/mkimg" -o "$CACHE/e2e-client.tar" -user 65532:65532 "$client_image=$root,/client" "$old_image=$root-old,/usr/sbin/mysqld"
  docker load -q -i "$CACHE/e2e-client.tar"
}

# The operator that a test can crash between any two of its effects; what users get has no failpoints.
failpoints() { IMG="$failpoint_image" GOFLAGS="$(go env GOFLAGS) -tags=failpoints" "$HACK/images.sh"; }

# Client programs in several languages with what Debian has for them, and what runs them in the cluster.
programs() {
  use_engine
  local rootfs root="$CACHE/e2e-programs"
  rootfs=$("$HACK/clients.sh")
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  rm -rf "$root"
  cp -al "$rootfs" "$root"
  mkdir -p "$root/etc/dbpair/programs" "$root/etc/dbpair/app"
  # Not in place: the files are those of the cache. Python asks for the name of its user.
  rm -f "$root/etc/passwd"
  printf '%s\n' 'client:x:65532:65532:client:/:/usr/sbin/nologin' >"$root/etc/passwd"
  cp "$ROOT"/test/clients/programs/* "$root/etc/dbpair/programs/"
  (cd "$ROOT" && CGO_ENABLED=0 go build -trimpath -ldflags '-s -w' -o "$root/driver" ./test/e2e/programs)
  "$CACHE/bin/mkimg" -o "$CACHE/e2e-programs.tar" -user 65532:65532 "$programs_image=$root,/driver"
  docker load -q -i "$CACHE/e2e-programs.tar"
  rm -rf "$root" "$CACHE/e2e-programs.tar"
  "$HACK/cluster.sh" load "$cluster" "$programs_image"
}

# The S3 server that long tests have backups go to.
s3_server() {
  use_engine
  local root="$CACHE/e2e-s3"
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  mkdir -p "$root"
  cp "$("$HACK/tools/build.sh" versitygw)" "$root/versitygw"
  "$CACHE/bin/mkimg" -o "$CACHE/e2e-s3.tar" -user 65532:65532 "$s3_image=$root,/versitygw"
  docker load -q -i "$CACHE/e2e-s3.tar"
}

# Prometheus of Debian, which loads the chart's alerts.
prometheus() {
  use_engine
  local root
  root=$("$HACK/prometheus.sh")
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  "$CACHE/bin/mkimg" -o "$CACHE/e2e-prometheus.tar" -user 65532:65532 "$prometheus_image=$root,/usr/bin/prometheus"
  docker load -q -i "$CACHE/e2e-prometheus.tar"
  rm -f "$CACHE/e2e-prometheus.tar"
  "$HACK/cluster.sh" load "$cluster" "$prometheus_image"
}

# What spec.router runs.
router() {
  use_engine
  "$HACK/pull.sh" "$router_image"
  "$HACK/cluster.sh" load "$cluster" "$router_image"
}

up() {
  "$HACK/cluster.sh" up "$cluster"
  stage "helm" "$HACK/tools/build.sh" helm
  stage "MySQL image" "$HACK/pull.sh" "$MYSQL_IMAGE"
  stage "our image" "$HACK/images.sh"
  stage "image with failpoints" failpoints
  stage "client image" client
  "$HACK/cluster.sh" load "$cluster"
  "$HACK/cluster.sh" load "$cluster" "$failpoint_image" "$client_image" "$old_image"
  if [ -n "${E2E_LONG:-}" ]; then
    stage "S3 server image" s3_server
    "$HACK/cluster.sh" load "$cluster" "$s3_image"
    stage "image of the router" router
    stage "image with Prometheus" prometheus
  fi
  renew
}

# An operator that an earlier run left behind is of the image that the tag named then.
renew() {
  eval "$("$HACK/cluster.sh" env "$cluster")"
  kubectl rollout restart deployment --namespace dbpair-system --selector app.kubernetes.io/name=dbpair 2>/dev/null || true
}

case $command in
  up) up ;;
  run)
    shift $(($# > 1 ? 2 : 1))
    use_cluster
    cd "$ROOT"
    exec go test -tags e2e -count=1 -v -timeout 60m ./test/e2e "$@"
    ;;
  router) stage "image of the router" router ;;
  programs) stage "image with client programs" programs ;;
  prometheus) stage "image with Prometheus" prometheus ;;
  bench)
    shift 2
    use_cluster
    cd "$ROOT"
    exec go run ./test/bench "$@"
    ;;
  down) exec "$HACK/cluster.sh" down "$cluster" ;;
  *) die "usage: hack/e2e.sh up|run|router|programs|prometheus|bench|down NAME" ;;
esac
