#!/usr/bin/env bash
# Makes a folder with PHP, Python, Perl, Node, Ruby and Java and the drivers of MySQL for them, which test/clients runs, and prints
# it. All but one come from Debian packages, unpacked into the cache; mysql2 comes from npm where its client is installed.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

base="$CACHE/clients"
rootfs="$base/rootfs"
packages=(php-cli php-mysql python3-pymysql python3-sqlalchemy libdbd-mariadb-perl nodejs openjdk-21-jdk-headless libmariadb-java
  ruby ruby-mysql2 libkeepalive0)
# Of the module path of Node.
modules=usr/lib/node_modules

unpack() {
  [ "$(dpkg --print-architecture 2>/dev/null)" ] || die "client programs for tests come from Debian packages: apt and dpkg are missing"
  rm -rf "$rootfs.new"
  mkdir -p "$rootfs.new"
  "$HACK/debs.sh" extract "$CLIENTS_SUITE" "$rootfs.new" "${packages[@]}"
  # What runs no program: the parts that Java's own images are linked from, headers, converters of characters.
  rm -rf "$rootfs.new"/usr/lib/jvm/*/jmods "$rootfs.new"/usr/lib/jvm/*/include "$rootfs.new"/usr/include "$rootfs.new"/usr/share/icons
  mkdir -p "$rootfs.new/dev" "$rootfs.new/proc" "$rootfs.new/tmp"
  mysql2 "$rootfs.new/$modules"
  rm -rf "$rootfs.old"
  if [ -e "$rootfs" ]; then mv "$rootfs" "$rootfs.old"; fi
  mv "$rootfs.new" "$rootfs"
  rm -rf "$rootfs.old"
}

# mysql2 FOLDER installs what the lock file of the tests names. The marker says that npm was asked: its test is not left out.
mysql2() {
  local work
  work=$(mktemp -d "$base/npm.XXXXXX")
  if ! have npm; then
    log "npm is missing: the test of Node's mysql2 is left out"
  else
    cp "$ROOT"/test/clients/programs/package*.json "$work/"
    (cd "$work" && again npm ci --ignore-scripts --no-audit --no-fund --loglevel=error >&2)
    mkdir -p "$1"
    cp -a "$work"/node_modules/. "$1/"
  fi
  rm -rf "$work"
}

# ensure unpacks again when what is unpacked changed, or when npm is there and was not.
ensure() {
  local content
  content=$({
    printf '%s ' "$CLIENTS_SUITE" "${packages[@]}"
    declare -f unpack mysql2
    have npm && echo npm
    cat "$ROOT/test/clients/programs/package-lock.json"
  } | sha256sum | cut -c1-16)
  if fresh "$base/.recipe" "$content"; then return; fi
  log "unpacking client programs of Debian $CLIENTS_SUITE into $rootfs"
  quietly "$CACHE/log/clients.log" unpack
  mark "$base/.recipe" "$content"
}

mkdir -p "$base"
locked clients ensure
printf '%s\n' "$rootfs"
