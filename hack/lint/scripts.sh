#!/usr/bin/env bash
# Checks the syntax of every shell script, and what shellcheck finds in them: the machine's own, else that of Debian, which is
# unpacked into the cache. Where neither is to be had it says so and passes; DBPAIR_REQUIRE_SHELLCHECK=1 makes that a failure.
# "hack/lint/scripts.sh format" formats the scripts with shfmt (make fmt), "formatted" fails when that would change one (make check-fmt).
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"

# A suite that no other script unpacks: make check runs while CI fetches what tests need.
suite=bookworm
rootfs="$CACHE/shellcheck-rootfs"

# Both run in a condition, where bash goes on after a failure: each command has to succeed for the next one.
unpack() {
  rm -rf "$rootfs.new" && mkdir -p "$rootfs.new" && "$HACK/debs.sh" extract "$suite" "$rootfs.new" shellcheck &&
    rm -rf "$rootfs" && mv "$rootfs.new" "$rootfs"
}

ensure() {
  local recipe
  recipe=$({
    printf '%s ' "$suite"
    declare -f unpack
  } | sha256sum | cut -c1-16)
  if fresh "$CACHE/shellcheck-rootfs.recipe" "$recipe"; then return; fi
  log "unpacking shellcheck of Debian $suite"
  unpack >"$CACHE/log/shellcheck.log" 2>&1 && mark "$CACHE/shellcheck-rootfs.recipe" "$recipe"
}

# run_shellcheck starts Debian's program through its own loader and libraries.
run_shellcheck() {
  if have shellcheck; then
    shellcheck "$@"
    return
  fi
  local lib
  lib=$(dirname "$(find "$rootfs/usr/lib" -name 'libc.so.6' | head -n 1)")
  "$(find "$lib" -maxdepth 1 -name 'ld-linux*' | head -n 1)" --library-path "$lib" "$rootfs/usr/bin/shellcheck" "$@"
}

mapfile -t scripts < <(git ls-files -co --exclude-standard '*.sh' .ci/run)
for script in "${scripts[@]}"; do bash -n "$script"; done

# Two spaces, also before the patterns of a case. What a here-document holds is left as it is.
format=("$("$HACK/tools/build.sh" shfmt)" -i 2 -ci)
case ${1:-} in
  format)
    "${format[@]}" -w "${scripts[@]}"
    exit
    ;;
  formatted)
    "${format[@]}" -d "${scripts[@]}" >&2 || die "not formatted: run make fmt and commit the result"
    exit
    ;;
esac

if ! have shellcheck; then
  if ! have apt-get || ! have dpkg-deb || ! locked shellcheck ensure; then
    echo "SKIPPED: there is no shellcheck, and Debian's cannot be unpacked; install it to check the scripts" >&2
    [ "${DBPAIR_REQUIRE_SHELLCHECK:-}" != 1 ]
    exit
  fi
fi
run_shellcheck --external-sources --source-path=SCRIPTDIR --severity=info "${scripts[@]}"
