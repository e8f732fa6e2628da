#!/usr/bin/env bash
# Prints the path of promtool, which checks and tests Prometheus rules: PROMTOOL, else the machine's own, else that of Debian,
# unpacked into the cache without root: a wrapper that starts it through Debian's own loader.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$CACHE/promtool"
suite=trixie

unpack() {
  local deb
  rm -rf "$folder.new" && mkdir -p "$folder.new"
  # Of what it depends on it needs the C library alone.
  "$HACK/debs.sh" download "$suite" "$folder.new/debs" promtool libc6
  for deb in "$folder.new"/debs/*.deb; do dpkg-deb --extract "$deb" "$folder.new/root"; done
  rm -rf "$folder.new/debs" "$folder" && mv "$folder.new" "$folder"
}

wrapper() {
  local lib
  lib=$(dirname "$(find "$folder/root" -name 'libc.so.6' | head -n 1)")
  {
    printf '#!/bin/sh\n'
    printf 'exec "%s" --library-path "%s" "%s" "$@"\n' \
      "$(find "$lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)" "$lib" "$folder/root/usr/bin/promtool"
  } >"$folder/promtool"
  chmod 0755 "$folder/promtool"
}

ensure() {
  local content
  content=$({
    printf '%s ' "$suite"
    declare -f unpack wrapper
  } | sha256sum | cut -c1-16)
  fresh "$folder/.recipe" "$content" && return
  log "unpacking promtool of Debian $suite"
  quietly "$CACHE/log/promtool.log" unpack
  wrapper
  mark "$folder/.recipe" "$content"
}

if [ -n "${PROMTOOL:-}" ]; then
  printf '%s\n' "$PROMTOOL"
  exit
fi
if have promtool; then
  command -v promtool
  exit
fi
{ have apt-get && have dpkg-deb; } || die "promtool comes from Debian packages: apt and dpkg are missing. Set PROMTOOL to the program instead"
locked promtool ensure
printf '%s\n' "$folder/promtool"
