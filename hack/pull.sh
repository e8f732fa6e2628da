#!/usr/bin/env bash
# Pulls an image if its registry answers; gives up after a few seconds if it does not.
#   hack/pull.sh IMAGE        exit code 0 only if the image is there afterwards
# DBPAIR_PULL=never skips the attempt.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
eval "$("$HACK/engine.sh" env)"

[ "${DBPAIR_PULL:-}" != never ] || exit 1
# Reading the manifest is small and quick; only a registry that has answered it is given time for the layers.
timeout "${DBPAIR_PULL_TIMEOUT:-10}" docker manifest inspect "$1" >/dev/null 2>&1 || exit 1
log "pulling $1"
timeout 900 docker pull -q "$1" >&2
