#!/usr/bin/env bash
# Prints the folder of a root file system with Debian's Prometheus, /usr/bin/prometheus, and the C library that it needs.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

folder="$CACHE/prometheus"
suite=trixie

unpack() {
  local deb
  rm -rf "$folder.new" && mkdir -p "$folder.new/root/usr/lib" "$folder.new/root/usr/lib64" "$folder.new/root/tmp"
  ln -s usr/lib "$folder.new/root/lib"
  ln -s usr/lib64 "$folder.new/root/lib64"
  # The fonts and scripts of its pages are packages of their own and left out: tests use its API.
  "$HACK/debs.sh" download "$suite" "$folder.new/debs" prometheus libc6
  for deb in "$folder.new"/debs/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$folder.new/root" \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian'
  done
  rm -rf "$folder.new/debs" "$folder" && mv "$folder.new" "$folder"
}

ensure() {
  local content
  content=$({
    printf '%s ' "$suite"
    declare -f unpack
  } | sha256sum | cut -c1-16)
  fresh "$folder/.recipe" "$content" && return
  log "unpacking Prometheus of Debian $suite"
  quietly "$CACHE/log/prometheus.log" unpack
  mark "$folder/.recipe" "$content"
}

{ have apt-get && have dpkg-deb; } || die "Prometheus comes from Debian packages: apt and dpkg are missing"
locked prometheus ensure
printf '%s\n' "$folder/root"
