#!/usr/bin/env bash
# Fails when a function is called by no program: by nothing at all, or by tests alone. What may be so is in hack/lint/deadcode.txt,
# a name and a reason a line; an entry that is not needed any more is refused, too.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
deadcode=$(hack/tools/build.sh deadcode)
found=$(mktemp)
allowed=$(mktemp)
trap 'rm -f "$found" "$allowed"' EXIT

"$deadcode" -tags e2e,failpoints -f '{{$p := .Path}}{{range .Funcs}}{{println (printf "%s.%s" $p .Name)}}{{end}}' ./cmd/... ./hack/... |
  sed -n 's,^github.com/dbpair/dbpair/,,p' | LC_ALL=C sort >"$found"
grep -v '^#' hack/lint/deadcode.txt | cut -d' ' -f1 | LC_ALL=C sort >"$allowed"

dead=$(LC_ALL=C comm -23 "$found" "$allowed")
gone=$(LC_ALL=C comm -13 "$found" "$allowed")
[ -z "$dead" ] || die "called by no program: delete it, or say in hack/lint/deadcode.txt why it stays:" "$dead"
[ -z "$gone" ] || die "not dead, take it out of hack/lint/deadcode.txt:" "$gone"
