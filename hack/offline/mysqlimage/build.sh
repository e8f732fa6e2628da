#!/usr/bin/env bash
# Makes the image mysql:9.7 without a registry. It is packed from Debian's packages and has what the official one has: mysqld,
# mysql and the dump tools in PATH, a numeric user, plugins and time zones in their places.
# hack/pull.sh calls this where the official image cannot be pulled.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../../lib.sh"
use_engine

work="$CACHE/mysqlimage"

pack() {
  local source root="$work/root" name
  source=$("$HACK/mysqld.sh" --rootfs)
  "$HACK/offline/nodeimage/binaries.sh" mkimg
  rm -rf "$root"
  mkdir -p "$root"
  cp -a "$source/." "$root/"
  rm -rf "$root/.packages" "$root"/usr/share/mysql/{romanian,serbian,slovak,spanish,swedish,german,greek,japanese,ukrainian,russian} \
    "$root"/usr/lib/mysql/plugin/{telemetry_client,authentication_oci_client,authentication_kerberos_client,authentication_webauthn_client,group_replication}.so
  # A shell and the small tools that people expect from "kubectl exec".
  "$HACK/debs.sh" extract "$MYSQL_SUITE" "$work/busybox" busybox-static
  cp "$work/busybox/usr/bin/busybox" "$root/usr/bin/"
  for name in sh ls cat cp mv rm mkdir chmod chown ln df du ps kill id env grep sed awk head tail wc sort tr date sleep touch test dd stat find \
    hostname timeout nslookup nc wget gzip tar vi true false echo printf; do
    [ -e "$root/usr/bin/$name" ] || ln -s busybox "$root/usr/bin/$name"
  done
  settle "$root"
  "$CACHE/bin/mkimg" -o "$work/image.tar" -user "$MYSQL_UID:$MYSQL_UID" -label "dbpair.recipe=$1" -env "MYSQL_MAJOR=$MYSQL_SERIES" \
    "$MYSQL_IMAGE=$root,/usr/sbin/mysqld"
  docker load -i "$work/image.tar"
  docker image prune -f --filter label=dbpair.recipe >/dev/null
  rm -rf "$root" "$work/busybox" "$work/image.tar"
}

# settle writes the few files of /etc that a server asks for.
settle() {
  local root=$1
  mkdir -p "$root"/{etc/mysql/conf.d,tmp,run/mysqld,var/lib/mysql,var/lib/mysql-files,var/tmp,root,proc,sys,dev}
  ln -sfn /run "$root/var/run"
  printf 'root:x:0:0:root:/root:/bin/sh\nmysql:x:%s:%s:MySQL server:/var/lib/mysql:/bin/false\n' "$MYSQL_UID" "$MYSQL_UID" >"$root/etc/passwd"
  printf 'root:x:0:\nmysql:x:%s:\n' "$MYSQL_UID" >"$root/etc/group"
  printf 'passwd: files\ngroup: files\nhosts: files dns\n' >"$root/etc/nsswitch.conf"
  # Like the official image: whatever user the pod runs as may write here.
  chmod 1777 "$root"/{tmp,var/tmp,run/mysqld,var/lib/mysql}
  chmod 0777 "$root/var/lib/mysql-files"
  rm -f "$root/etc/ld.so.cache"
}

ensure() {
  local recipe have_recipe
  recipe=$(recipe_hash "$HACK/offline/mysqlimage" "$HACK/mysqld.sh" "$HACK/debs.sh" "$HACK/offline/nodeimage/cmd/mkimg")
  if docker image inspect "$MYSQL_IMAGE" >/dev/null 2>&1; then
    have_recipe=$(docker image inspect -f '{{index .Config.Labels "dbpair.recipe"}}' "$MYSQL_IMAGE")
    if [ "$have_recipe" = "$recipe" ]; then return; fi
  fi
  mkdir -p "$work"
  log "packing $MYSQL_IMAGE from Debian $MYSQL_SUITE"
  pack "$recipe"
}

locked mysqlimage ensure
