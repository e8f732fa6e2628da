#!/usr/bin/env bash
# All tests that need no cluster, with the race detector: unit, property, real mysqld, S3 server and envtest tests, and clients' libraries.
#   hack/test.sh [FLAG…]     flags go to go test
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
cd "$ROOT"

stage "mysqld" "$HACK/mysqld.sh"
stage "kube-apiserver and etcd" "$HACK/envtest.sh"
stage "haproxy" "$HACK/haproxy.sh"
stage "client libraries" "$HACK/clients.sh"
stage "mydumper" "$HACK/mydumper.sh"
stage "S3 server" "$HACK/tools/build.sh" versitygw
DBPAIR_MYSQL_BIN=$("$HACK/mysqld.sh")
KUBEBUILDER_ASSETS=$("$HACK/envtest.sh")
DBPAIR_CLIENTS=$("$HACK/clients.sh")
DBPAIR_S3_SERVER=$("$HACK/tools/build.sh" versitygw)
DBPAIR_MYDUMPER=$("$HACK/mydumper.sh")
DBPAIR_HAPROXY=$("$HACK/haproxy.sh")
export DBPAIR_MYSQL_BIN KUBEBUILDER_ASSETS DBPAIR_CLIENTS DBPAIR_S3_SERVER DBPAIR_MYDUMPER DBPAIR_HAPROXY
export DBPAIR_REQUIRE_MYSQLD=1 DBPAIR_REQUIRE_ENVTEST=1 DBPAIR_REQUIRE_CLIENTS=1 DBPAIR_REQUIRE_S3=1 DBPAIR_REQUIRE_MYDUMPER=1
export DBPAIR_REQUIRE_HAPROXY=1

mapfile -t packages < <(go list ./... | grep -v /test/e2e$)

# compile fills Go's build cache. Without it the first package's line would be minutes away, with nothing to be seen.
compile() {
  log "packages of the operator and the agent: ${#packages[@]}"
  go list -export -test -race -f '{{/* compiled */}}' "${packages[@]}"
  log "packages of the program for backups"
  go list -C cmd/backup -export -test -race -f '{{/* compiled */}}' ./...
}

# tests FOLDER TIMEOUT ARGUMENT… prints a line as each package ends.
tests() {
  local folder=$1 timeout=$2
  shift 2
  go test -C "$folder" -race -shuffle=on -timeout "$timeout" "$@"
}

stage "compiling the tests" compile
log "running the tests of ${#packages[@]} packages, each prints a line at its end"
tests . 60m "$@" "${packages[@]}"
log "running the tests of the program for backups"
tests cmd/backup 20m "$@" ./...
log "all tests passed after $SECONDS s"
