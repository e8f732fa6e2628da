# Sourced by every script here: logging, stage times, the cache and its keys, locks.
# shellcheck shell=bash

HACK="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
ROOT="$(dirname "$HACK")"
CACHE="${DBPAIR_CACHE:-${XDG_CACHE_HOME:-${HOME:?HOME or DBPAIR_CACHE must be set}/.cache}/dbpair}"
export HACK ROOT CACHE
. "$HACK/versions.env"
# A root shell that was not a login has no folders of the administrator in PATH.
PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
mkdir -p "$CACHE/bin" "$CACHE/locks" "$CACHE/log"

# Standard output belongs to what a script answers (a directory, a variable); all talk goes to standard error.
log() { printf '%s  %s\n' "$(date +%H:%M:%S)" "$*" >&2; }
die() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# quietly LOG COMMAND… keeps the output in the log file, but for what the command logs, which is shown; if the command fails, shows
# the end of its output and ends the script. With DBPAIR_VERBOSE all of the output is shown.
# Never call it behind "if", "&&" or "||": bash would ignore "set -e" in all that the command does.
quietly() {
  local quiet_log=$1 quiet_start=$SECONDS quiet_status=0 quiet_pid
  shift
  if [ -n "${DBPAIR_VERBOSE:-}" ]; then
    "$@" >&2 &
  else
    : >"$quiet_log"
    "$@" >>"$quiet_log" 2>&1 &
  fi
  quiet_pid=$!
  # shellcheck disable=SC2064
  trap "kill $quiet_pid 2>/dev/null; exit 130" INT TERM
  [ -n "${DBPAIR_VERBOSE:-}" ] || follow "$quiet_log" "$quiet_pid"
  wait "$quiet_pid" || quiet_status=$?
  trap - INT TERM
  [ $quiet_status != 0 ] || return 0
  printf 'FAILED after %ss\n' "$((SECONDS - quiet_start))" >&2
  if [ -z "${DBPAIR_VERBOSE:-}" ]; then
    printf 'the end of %s:\n' "$quiet_log" >&2
    tail -n 30 "$quiet_log" >&2
  fi
  exit 1
}

# follow LOG PID shows the sub-steps that a running command writes to its log: what it logs itself, and what kind says of a
# cluster that it makes. It returns when the process has ended.
follow() {
  local line='' part fd running=1
  exec {fd}<"$1"
  while [ $running = 1 ]; do
    kill -0 "$2" 2>/dev/null || running=0
    while IFS= read -r part <&"$fd"; do
      line=$line$part
      case $line in
        [0-9][0-9]:[0-9][0-9]:[0-9][0-9]'  '*) substep "${line:10}" ;;
        ' • '*) substep "${line:3}" ;;
      esac
      line=
    done
    # The beginning of a line, whose rest is not written yet.
    line=$line$part
    [ $running = 0 ] || sleep 0.2
  done
  exec {fd}<&-
}

# stage NAME COMMAND… runs the command quietly and says how long it took, and for each sub-step how long after the stage's
# beginning it began.
stage() {
  local stage_name=$1 stage_start=$SECONDS stage_shown=0
  shift
  printf '%-34s' "$stage_name" >&2
  quietly "$CACHE/log/$(printf '%s' "$stage_name" | tr -c 'a-zA-Z0-9' '-').log" "$@"
  [ $stage_shown = 0 ] || printf '%-34s' "$stage_name" >&2
  printf '%5ss\n' "$((SECONDS - stage_start))" >&2
}

# substep TEXT shows a sub-step of the running stage; outside of a stage it is a line of the log.
substep() {
  if [ -z "${stage_name:-}" ]; then
    log "$1"
    return
  fi
  [ "$stage_shown" = 1 ] || printf '\n' >&2
  stage_shown=1
  printf '  after %4ss  %s\n' "$((SECONDS - stage_start))" "$1" >&2
}

# recipe_hash FILE-OR-FOLDER… prints a short hash of names and contents, and of all pinned versions: the cache key of what those
# files make. Where the files are does not matter.
recipe_hash() {
  local part path parent
  {
    grep -v '^#' "$HACK/versions.env"
    for part in "$@"; do
      parent=$(dirname "$part")
      find "$part" -type f | LC_ALL=C sort | while IFS= read -r path; do
        printf '%s ' "${path#"$parent"/}"
        sha256sum <"$path"
      done
    done
  } | sha256sum | cut -c1-16
}

# fresh MARKER HASH: is the product behind the marker file made by this recipe? mark MARKER HASH notes that it is.
fresh() { [ -f "$1" ] && [ "$(cat "$1")" = "$2" ]; }
mark() { printf '%s\n' "$2" >"$1"; }

# locked NAME COMMAND… lets one process at a time run a command of that name; others wait for it. The command does not get
# the descriptor, so a daemon that it leaves behind does not keep the lock.
locked() {
  local lock_name=$1 lock_fd
  shift
  exec {lock_fd}>"$CACHE/locks/$lock_name"
  flock -n "$lock_fd" || {
    log "waiting for another run ($lock_name)"
    flock "$lock_fd"
  }
  "$@" {lock_fd}>&-
  exec {lock_fd}>&-
}

# await SECONDS COMMAND… polls until the command succeeds.
await() {
  local deadline=$((SECONDS + $1))
  shift
  until "$@" >/dev/null 2>&1; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.3
  done
}

# again COMMAND… runs what fetches something, up to four times with longer and longer pauses: a proxy may be busy, a mirror in
# the midst of its update. Like any command behind "until", a function would run without "set -e".
again() {
  local pause
  for pause in 3 15 60; do
    if "$@"; then return; fi
    log "once more in $pause s: $1 ${2:-}"
    sleep "$pause"
  done
  "$@"
}

# use_engine points docker at the engine that hack/offline/engine.sh started, if it started one.
use_engine() { eval "$("$HACK/offline/engine.sh" env)"; }

# need_root says why when a step needs root and does not have it.
need_root() { [ "$(id -u)" = 0 ] || die "$1 needs root: run it as root, or start a Docker engine that you may use"; }
