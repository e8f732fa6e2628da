#!/usr/bin/env bash
# Unpacks Debian packages of any suite with all they depend on, without root and without touching the machine's own apt:
#   hack/debs.sh extract SUITE FOLDER PACKAGE…    with dependencies, merged /usr
#   hack/debs.sh download SUITE FOLDER PACKAGE…   only the named .deb files
#   hack/debs.sh source SUITE                     the line for a sources.list
# The mirror is the one this machine uses; its name is asked from apt each time and written nowhere but into the cache.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# Before the first "apt-get update" apt knows the mirrors of its configuration, but not what is on them.
mirror() {
  local uri
  uri=$(apt-get indextargets --format "\$(REPO_URI)" 'Created-By: Packages' 'Label: Debian' 'Component: main' | head -n 1)
  [ -n "$uri" ] || uri=$(apt-get indextargets --no-release-info --format "\$(REPO_URI)" 'Created-By: Packages' 'Component: main' |
    grep -v security | head -n 1)
  printf '%s' "$uri"
}

source_line() {
  local keyring uri
  keyring=$(dpkg -L debian-archive-keyring | grep '/debian-archive-keyring\.\(gpg\|pgp\)$' | head -n 1)
  uri=$(mirror)
  [ -n "$uri" ] || die "apt has no Debian mirror configured (see /etc/apt/sources.list.d)"
  printf 'deb [signed-by=%s] %s %s main\n' "$keyring" "$uri" "$1"
}

# private_apt SUITE fills the array APT with options for an apt that lives in the cache and believes that nothing is installed.
private_apt() {
  local dir="$CACHE/apt/$1"
  mkdir -p "$dir/lists/partial" "$dir/cache/archives/partial"
  : >"$dir/status"
  source_line "$1" >"$dir/sources.list"
  APT=(-o "Dir::Etc::sourcelist=$dir/sources.list" -o Dir::Etc::sourceparts=- -o Dir::Etc::preferencesparts=/dev/null
    -o "Dir::State=$dir" -o "Dir::State::Lists=$dir/lists" -o "Dir::State::status=$dir/status" -o "Dir::Cache=$dir/cache"
    -o Acquire::Check-Valid-Until=false -o Acquire::Languages=none -o APT::Install-Recommends=false -o APT::Sandbox::User=
    -o Debug::NoLocking=true -o APT::Keep-Downloaded-Packages=true -o Acquire::Retries=3 -o APT::Update::Error-Mode=any)
  if [ -z "$(find "$dir/updated" -mmin -720 2>/dev/null)" ]; then again update "$dir"; fi
}

update() { apt-get -q "${APT[@]}" update >&2 && touch "$1/updated"; }

# fetch SUITE ARGUMENT… is apt-get with the private options. Lists of the morning may name packages that a mirror has replaced
# since, so it is tried again with new ones.
fetch() {
  local dir="$CACHE/apt/$1"
  shift
  apt-get -q "${APT[@]}" "$@" >&2 || { update "$dir" && apt-get -q "${APT[@]}" "$@" >&2; }
}

extract() {
  local suite=$1 dest=$2 work deb
  shift 2
  private_apt "$suite"
  work=$(mktemp -d "$CACHE/apt/extract.XXXXXX")
  # apt takes its own archive folder; a fresh one tells exactly which packages belong to this set.
  mkdir -p "$work/archives/partial" "$dest/usr/bin" "$dest/usr/sbin" "$dest/usr/lib" "$dest/usr/lib64"
  again fetch "$suite" -y -o "Dir::Cache::archives=$work/archives" install --download-only --no-install-recommends "$@"
  local link
  for link in bin sbin lib lib64; do [ -e "$dest/$link" ] || ln -s "usr/$link" "$dest/$link"; done
  for deb in "$work"/archives/*.deb; do
    dpkg-deb --fsys-tarfile "$deb" | tar -x --keep-directory-symlink --no-same-owner -C "$dest" \
      --exclude='./usr/share/doc' --exclude='./usr/share/man' --exclude='./usr/share/locale' --exclude='./usr/share/lintian'
    basename "$deb"
  done >"$dest/.packages"
  rm -rf "$work"
}

download() {
  local suite=$1 dest=$2
  shift 2
  private_apt "$suite"
  mkdir -p "$dest"
  (cd "$dest" && again fetch "$suite" download "$@")
}

command=${1:-}
shift || true
case $command in
  extract) locked "apt-$1" extract "$@" ;;
  download) locked "apt-$1" download "$@" ;;
  source) source_line "$1" ;;
  *) die "usage: hack/debs.sh extract|download SUITE FOLDER PACKAGE… | source SUITE" ;;
esac
