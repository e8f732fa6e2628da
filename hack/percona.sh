#!/usr/bin/env bash
# Makes pt-table-checksum of Debian's percona-toolkit for benchmarks, without root and without touching the machine's own
# packages, and prints its path: a wrapper that starts Debian's perl through its own loader and libraries.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

rootfs="$CACHE/percona-rootfs"
program="$CACHE/percona/pt-table-checksum"

unpack() {
  rm -rf "$rootfs.new"
  mkdir -p "$rootfs.new"
  "$HACK/debs.sh" extract "$MYSQL_SUITE" "$rootfs.new" percona-toolkit
  rm -rf "$rootfs" && mv "$rootfs.new" "$rootfs"
}

wrapper() {
  local lib perl version base
  lib=$(dirname "$(find "$rootfs/usr/lib" -name 'libc.so.6' | head -n 1)")
  perl=$(find "$lib/perl5" -mindepth 1 -maxdepth 1 -type d | head -n 1)
  version=$(basename "$perl")
  base="$rootfs/usr/share/perl5:$perl:$lib/perl/$version:$rootfs/usr/share/perl/$version:$lib/perl-base"
  mkdir -p "$(dirname "$program")"
  {
    printf '#!/bin/sh\n'
    printf 'export PERL5LIB="%s" MARIADB_PLUGIN_DIR="%s"\n' "$base" "$lib/libmariadb3/plugin"
    printf 'exec "%s" --library-path "%s" "%s" "%s" "$@"\n' "$lib/$(basename "$(find "$lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)")" \
      "$lib" "$rootfs/usr/bin/perl" "$rootfs/usr/bin/pt-table-checksum"
  } >"$program.new"
  chmod 0755 "$program.new"
  mv "$program.new" "$program"
}

ensure() {
  local content
  content=$({
    printf '%s ' "$MYSQL_SUITE"
    declare -f unpack wrapper
  } | sha256sum | cut -c1-16)
  fresh "$CACHE/percona/.recipe" "$content" && return
  log "unpacking percona-toolkit of Debian $MYSQL_SUITE"
  quietly "$CACHE/log/percona.log" unpack
  wrapper
  mark "$CACHE/percona/.recipe" "$content"
}

{ have apt-get && have dpkg-deb; } || die "pt-table-checksum comes from Debian packages: apt and dpkg are missing. Set PT_TABLE_CHECKSUM to the program instead"
locked percona ensure
printf '%s\n' "$program"
