#!/usr/bin/env bash
# Unpacks mydumper of Debian without installing it, for the tests of kubectl dbpair import --dir, and prints the program: a wrapper
# that starts it through its own loader and libraries.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

base="$CACHE/mydumper"
rootfs="$base/rootfs"
program="$base/mydumper"
# The newest stable release that has it. Its client library takes a server's own certificate, over the socket.
suite=bookworm

unpack() {
  [ "$(dpkg --print-architecture 2>/dev/null)" ] || die "mydumper for tests comes from Debian packages: apt and dpkg are missing. Set DBPAIR_MYDUMPER to the program instead"
  rm -rf "$rootfs"
  mkdir -p "$rootfs"
  "$HACK/debs.sh" extract "$suite" "$rootfs" mydumper
  local loader libraries
  loader=$(find "$rootfs/usr/lib64" "$rootfs/usr/lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)
  libraries=$(dirname "$(find "$rootfs/usr/lib" -name 'libc.so.6' | head -n 1)")
  [ -n "$loader" ] || die "no loader in $rootfs"
  cat >"$program.new" <<W
#!/bin/sh
export MARIADB_PLUGIN_DIR='$libraries/libmariadb3/plugin'
exec '$loader' --argv0 mydumper --library-path '$libraries' '$rootfs/usr/bin/mydumper' "\$@"
W
  chmod 0755 "$program.new"
  mv "$program.new" "$program"
}

ensure() {
  local content
  content=$({
    printf '%s ' "$suite" "$base"
    declare -f unpack
  } | sha256sum | cut -c1-16)
  if fresh "$base/.recipe" "$content"; then return; fi
  log "unpacking mydumper of Debian $suite into $rootfs"
  quietly "$CACHE/log/mydumper.log" unpack
  mark "$base/.recipe" "$content"
}

# A program of the user's own choice goes before.
if [ -n "${DBPAIR_MYDUMPER:-}" ]; then
  [ -x "$DBPAIR_MYDUMPER" ] || die "DBPAIR_MYDUMPER=$DBPAIR_MYDUMPER is no program"
  printf '%s\n' "$DBPAIR_MYDUMPER"
  exit
fi
mkdir -p "$base"
locked mydumper ensure
printf '%s\n' "$program"
