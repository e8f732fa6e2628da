#!/usr/bin/env bash
# Makes a real mysqld of this machine for tests, without a container and without root, and prints the folder of its programs
# (mysqld, mysql, mysqldump, …). They are wrappers that start Debian's newest build through its own loader and libraries, and
# exec, so that the pid is mysqld's own.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

# root's home is closed to others on most machines, and a mysqld that root starts is one of another user.
base="$CACHE"
if [ "$(id -u)" = 0 ] && have setpriv && ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$CACHE"; then
  base="${DBPAIR_MYSQL_DIR:-/var/cache/dbpair}"
fi
rootfs="$base/mysql-rootfs"
bin="$base/mysql/bin"
packages=(mysql-server-core mysql-client-core tzdata)
programs=(mysql mysqldump mysqladmin mysqlbinlog mysqlcheck mysql_tzinfo_to_sql my_print_defaults mysql_config_editor)

unpack() {
  [ "$(dpkg --print-architecture 2>/dev/null)" ] || die "mysqld for tests comes from Debian packages: apt and dpkg are missing. Set DBPAIR_MYSQL_BIN to a folder with mysqld instead"
  rm -rf "$rootfs.new"
  mkdir -p "$rootfs.new"
  "$HACK/debs.sh" extract "$MYSQL_SUITE" "$rootfs.new" "${packages[@]}"
  trim "$rootfs.new"
  # A server that runs from the old tree keeps its open files; the path is empty for an instant only.
  rm -rf "$rootfs.old"
  if [ -e "$rootfs" ]; then mv "$rootfs" "$rootfs.old"; fi
  mv "$rootfs.new" "$rootfs"
  rm -rf "$rootfs.old"
}

# trim drops what mysqld and its clients never open (perl, which some scripts want, and character converters) and the
# programs nobody needs here.
trim() {
  local name keep="$1/usr/bin.keep"
  mkdir "$keep"
  for name in "${programs[@]}"; do mv "$1/usr/bin/$name" "$keep/"; done
  rm -rf "${1:?}/usr/bin" "$1"/usr/lib/*/perl* "$1"/usr/share/perl* "$1"/usr/lib/*/libperl* "$1"/usr/lib/*/gconv "$1"/usr/share/bug \
    "$1"/usr/share/bash-completion "$1"/usr/share/doc-base "${1:?}"/etc
  mv "$keep" "$1/usr/bin"
  find "$1/usr/sbin" -type f ! -name mysqld -delete
}

# wrapper PROGRAM [OPTION…] writes one wrapper. Options of the caller come after ours, and so win, but the options that must
# come first (--defaults-file and its kin) stay first.
wrapper() {
  local program=$1 loader file
  shift
  loader=$(find "$rootfs/usr/lib64" "$rootfs/usr/lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)
  file=$(find "$rootfs/usr/sbin" "$rootfs/usr/bin" -maxdepth 1 -name "$program" | head -n 1)
  [ -n "$file" ] || return 0
  {
    printf '#!/bin/sh\n'
    printf "root='%s'\n" "$rootfs"
    cat <<'W'
first=
case ${1-} in --defaults-*|--no-defaults|--print-defaults|--login-path=*|--no-login-paths) first=$1; shift ;; esac
W
    printf 'exec "%s" --argv0 "%s" --library-path "%s" "%s" ${first:+"$first"}' \
      "${loader/#$rootfs/\$root}" "$program" "$libraries" "${file/#$rootfs/\$root}"
    printf ' "%s"' "$@"
    printf ' "$@"\n'
  } >"$bin/$program.new"
  sed -i 's/ ""//' "$bin/$program.new"
  chmod 0755 "$bin/$program.new"
  mv "$bin/$program.new" "$bin/$program"
}

wrappers() {
  local triplet program share='$root/usr/share/mysql'
  mkdir -p "$bin"
  triplet=$(basename "$(dirname "$(find "$rootfs/usr/lib" -name 'libc.so.6' | head -n 1)")")
  libraries="\$root/usr/lib/$triplet"
  wrapper mysqld "--basedir=\$root/usr" "--plugin-dir=\$root/usr/lib/mysql/plugin" "--lc-messages-dir=$share" "--character-sets-dir=$share/charsets"
  for program in "${programs[@]}"; do
    case $program in
      mysql_tzinfo_to_sql | my_print_defaults | mysql_config_editor) wrapper "$program" ;;
      *) wrapper "$program" "--character-sets-dir=$share/charsets" "--plugin-dir=\$root/usr/lib/mysql/plugin" ;;
    esac
  done
}

# ensure unpacks again only when what is unpacked changed: tests may be running servers from it.
ensure() {
  local content
  content=$({
    printf '%s ' "$MYSQL_SUITE" "${packages[@]}" "${programs[@]}"
    declare -f unpack trim
  } | sha256sum | cut -c1-16)
  if ! fresh "$base/mysql/.recipe" "$content"; then
    log "unpacking mysqld of Debian $MYSQL_SUITE into $rootfs"
    quietly "$CACHE/log/mysqld.log" unpack
    wrappers
    mark "$base/mysql/.recipe" "$content"
  elif [ "$HACK/mysqld.sh" -nt "$bin/mysqld" ]; then
    wrappers
  fi
}

# A folder of the user's own choice goes before everything.
if [ -n "${DBPAIR_MYSQL_BIN:-}" ]; then
  [ -x "$DBPAIR_MYSQL_BIN/mysqld" ] || die "DBPAIR_MYSQL_BIN=$DBPAIR_MYSQL_BIN holds no mysqld"
  printf '%s\n' "$DBPAIR_MYSQL_BIN"
  exit
fi
mkdir -p "$base"
locked mysqld ensure
[ "${1:-}" = --rootfs ] && printf '%s\n' "$rootfs" || printf '%s\n' "$bin"
