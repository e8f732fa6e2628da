#!/usr/bin/env bash
# Makes the image haproxy:3.0 without a registry, from Debian's packages of the same series: haproxy in PATH, a numeric user, and
# the signal at which it ends once its sessions have ended.
# hack/pull.sh calls this where the official image cannot be pulled.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"
use_engine

image=haproxy:3.0
work="$CACHE/haproxyimage"

pack() {
  local root="$work/root"
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  rm -rf "$work"
  mkdir -p "$root"
  cp -a "$("$HACK/haproxy.sh" --rootfs)/." "$root/"
  rm -f "$root/.packages"
  mkdir -p "$root"/{etc,tmp,proc,sys,dev}
  chmod 1777 "$root/tmp"
  printf 'root:x:0:0:root:/:/sbin/nologin\nhaproxy:x:99:99:haproxy:/:/sbin/nologin\n' >"$root/etc/passwd"
  printf 'root:x:0:\nhaproxy:x:99:\n' >"$root/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  "$CACHE/bin/mkimg" -o "$work/image.tar" -user 99:99 localhost/dbpair-haproxy:import="$root,/usr/sbin/haproxy"
  docker load -q -i "$work/image.tar"
  printf 'FROM localhost/dbpair-haproxy:import\nLABEL dbpair.recipe=%s\nSTOPSIGNAL SIGUSR1\n' "$1" |
    DOCKER_BUILDKIT=0 docker build -q -t "$image" -
  docker image rm localhost/dbpair-haproxy:import >/dev/null
  rm -rf "$work"
}

ensure() {
  local recipe have_recipe
  recipe=$(recipe_hash "$HACK/offline/haproxyimage" "$HACK/haproxy.sh" "$HACK/debs.sh" "$HACK/offline/nodeimage/cmd/mkimg")
  if docker image inspect "$image" >/dev/null 2>&1; then
    have_recipe=$(docker image inspect -f '{{index .Config.Labels "dbpair.recipe"}}' "$image")
    if [ "$have_recipe" = "$recipe" ]; then return; fi
  fi
  log "packing $image from Debian"
  pack "$recipe"
}

locked haproxyimage ensure
