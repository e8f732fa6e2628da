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

agent=./internal/agent
mapfile -t packages < <(go list ./... | grep -v -e /test/e2e$ -e /internal/agent$)

# compile fills Go's build cache. Without it the first package's line would be minutes away, with nothing to be seen.
compile() {
  log "packages of the operator and the agent: $((${#packages[@]} + 1))"
  go list -export -test -race -f '{{/* compiled */}}' "$agent" "${packages[@]}"
  log "packages of the program for backups"
  go list -C cmd/backup -export -test -race -f '{{/* compiled */}}' ./...
}

# tests FOLDER TIMEOUT ARGUMENT… prints a line as each package ends.
tests() {
  local folder=$1 timeout=$2
  shift 2
  go test -C "$folder" -race -shuffle=on -timeout "$timeout" "$@"
}

# half FILE NAMES FLAG… runs the agent's tests without those that are named, with | between them. Its output is in FILE until it has ended.
half() {
  local file=$1 without=$2
  shift 2
  tests . 60m -skip "^($without)\$" "$@" "$agent" >"$file" 2>&1
}

# agent_tests runs the agent's tests in two halves at once. They take longer than all others together, and wait for mysqld most of the time.
# With one package of the others beside them, three test programs run at once: more would make two processors miss the times that tests allow.
agent_tests() {
  local names odd=() even=() first=0 second=0
  names=$(go test -race -list '^(Test|Fuzz|Example)' "$agent")
  for name in $names; do
    case $name in Test* | Fuzz* | Example*) ;; *) continue ;; esac
    if [ "${#odd[@]}" -gt "${#even[@]}" ]; then even+=("$name"); else odd+=("$name"); fi
  done
  [ "${#even[@]}" -gt 0 ] || die "no tests in $agent"
  half "$work/odd" "$(
    IFS='|'
    echo "${even[*]}"
  )" "$@" &
  local other=$!
  half "$work/even" "$(
    IFS='|'
    echo "${odd[*]}"
  )" "$@" || second=$?
  wait "$other" || first=$?
  cat "$work/odd" "$work/even"
  [ "$first$second" = 00 ]
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

stage "compiling the tests" compile
log "running the tests of the agent, and of ${#packages[@]} packages beside it, each of which prints a line at its end"
agent_tests "$@" &
agent_run=$!
failed=0
tests . 60m -p 1 "$@" "${packages[@]}" || failed=1
log "running the tests of the program for backups"
tests cmd/backup 20m -p 1 "$@" ./... || failed=1
log "waiting for the tests of the agent"
wait "$agent_run" || failed=1
[ "$failed" = 0 ] || die "tests failed, see above"
log "all tests passed after $SECONDS s"
