#!/usr/bin/env bash
# Says in one line each what this machine lacks for the cluster, and how to get it. Exit code 1 if anything is missing.
#   hack/preflight.sh [tests]   with "tests" only what "make test" needs (no engine, no root)
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

missing=0
lacking() {
  printf 'missing: %s\n' "$*" >&2
  missing=1
}

have git || lacking "git: install it (Debian: apt-get install git)"
have make || lacking "make: install it (Debian: apt-get install make)"
have flock || lacking "flock: install it (Debian: apt-get install util-linux)"
if have go; then
  need=$(sed -n 's/^go //p' "$HACK/offline/nodeimage/go.mod")
  running=$(cd "$HACK/offline/nodeimage" && go env GOVERSION 2>/dev/null | sed 's/^go//')
  [ "$(printf '%s\n%s\n' "$need" "${running:-0}" | sort -V | head -n 1)" = "$need" ] ||
    lacking "Go $need or newer (found ${running:-none}): get it from go.dev/dl"
else
  lacking "Go: get it from go.dev/dl"
fi
[ "$(uname -s)-$(uname -m)" = Linux-x86_64 ] || [ "$(uname -s)-$(uname -m)" = Linux-aarch64 ] || lacking "Linux on amd64 or arm64: a cluster elsewhere needs Docker and the official images"
free=$(df -Pk "$CACHE" | awk 'NR == 2 {print int($4 / 1048576)}')
[ "$free" -ge 15 ] || lacking "disk space under $CACHE: 15 GiB are needed, $free are free (set DBPAIR_CACHE to another place)"

if [ "${1:-}" != tests ]; then
  engine=no
  if have docker && timeout 10 docker info >/dev/null 2>&1; then engine=yes; fi
  if [ $engine = no ] && [ "$(id -u)" != 0 ]; then
    lacking "a Docker engine or root: start Docker, add yourself to its group, or run this as root on Debian to get an own engine"
  fi
  if [ $engine = no ] && ! have apt-get; then
    lacking "a Docker engine: only on Debian can one be installed by this script"
  fi
  if [ $engine = no ] && [ ! -e /sys/fs/cgroup/cgroup.controllers ] && [ ! -d /sys/fs/cgroup/memory ]; then
    lacking "control groups: mount them under /sys/fs/cgroup (Debian: apt-get install cgroupfs-mount && cgroupfs-mount)"
  fi
fi
exit $missing
