#!/usr/bin/env bash
# Makes HAProxy of Debian for tests, without root and without touching the machine's own packages, and prints its path: a
# wrapper that starts it through Debian's own loader.
#   hack/haproxy.sh            the wrapper
#   hack/haproxy.sh --rootfs   the folder that it was unpacked into
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$CACHE/haproxy"
# The release that has the series of HAPROXY_IMAGE, see hack/offline/haproxyimage.
suite=trixie

unpack() {
  rm -rf "$folder.new" && mkdir -p "$folder.new/root"
  "$HACK/debs.sh" extract "$suite" "$folder.new/root" haproxy
  trim "$folder.new/root"
  rm -rf "$folder" && mv "$folder.new" "$folder"
}

# trim keeps the program and its libraries: what installs packages and makes users never runs.
trim() {
  find "$1/usr/sbin" -type f ! -name haproxy -delete
  rm -rf "${1:?}/usr/bin" "${1:?}/usr/share" "${1:?}/etc" "${1:?}/var" "$1"/usr/lib/*/{gconv,security,perl*,engines-3,systemd} "$1"/usr/lib/{init,systemd,tmpfiles.d}
  mkdir "$1/usr/bin"
}

wrapper() {
  local lib
  lib=$(dirname "$(find "$folder/root" -name 'libc.so.6' | head -n 1)")
  {
    printf '#!/bin/sh\n'
    printf 'exec "%s" --library-path "%s" "%s" "$@"\n' \
      "$(find "$lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)" "$lib" "$folder/root/usr/sbin/haproxy"
  } >"$folder/haproxy"
  chmod 0755 "$folder/haproxy"
}

ensure() {
  local content
  content=$({
    printf '%s ' "$suite"
    declare -f unpack trim wrapper
  } | sha256sum | cut -c1-16)
  fresh "$folder/.recipe" "$content" && return
  log "unpacking haproxy of Debian $suite"
  quietly "$CACHE/log/haproxy.log" unpack
  wrapper
  mark "$folder/.recipe" "$content"
}

if [ -n "${DBPAIR_HAPROXY:-}" ] && [ "${1:-}" != --rootfs ]; then
  printf '%s\n' "$DBPAIR_HAPROXY"
  exit
fi
{ have apt-get && have dpkg-deb; } || die "haproxy for tests comes from Debian packages: apt and dpkg are missing. Set DBPAIR_HAPROXY to the program instead"
locked haproxy ensure
if [ "${1:-}" = --rootfs ]; then printf '%s\n' "$folder/root"; else printf '%s\n' "$folder/haproxy"; fi
