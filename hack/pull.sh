#!/usr/bin/env bash
# Makes sure that an image is there: the official one, or, where its registry does not answer within seconds, one of the same
# name that hack/offline makes.
#   hack/pull.sh IMAGE
# DBPAIR_PULL=never does not ask a registry. What hack/offline made once is kept up to date there; remove it to pull again.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
use_engine

image=${1:?usage: hack/pull.sh IMAGE}

exists() { docker image inspect "$image" >/dev/null 2>&1; }
made_here() { [ -n "$(docker image inspect -f '{{index .Config.Labels "dbpair.recipe"}}' "$image")" ]; }

pull() {
  [ "${DBPAIR_PULL:-}" != never ] || return 1
  # Reading the manifest is small and quick; only a registry that has answered it is given time for the layers.
  timeout "${DBPAIR_PULL_TIMEOUT:-10}" docker manifest inspect "$image" >/dev/null 2>&1 || return 1
  log "pulling $image"
  timeout 900 docker pull -q "$image" >&2
}

make_offline() {
  case $image in
    "$NODE_IMAGE") "$HACK/offline/nodeimage/build.sh" ;;
    "$MYSQL_IMAGE") "$HACK/offline/mysqlimage/build.sh" ;;
    haproxy:3.0) "$HACK/offline/haproxyimage/build.sh" ;;
    *) die "$image cannot be pulled, and hack/offline does not make it" ;;
  esac
}

if exists; then
  if made_here; then make_offline; fi
elif ! pull; then
  make_offline
fi
