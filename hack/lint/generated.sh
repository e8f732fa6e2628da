#!/usr/bin/env bash
# Makes every generated file again and fails if one differs from what is there. The files are left as they were.
set -euo pipefail
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"
cd "$ROOT"
kept=$(mktemp -d)
list() { ls docs/api.md docs/settings.md config/admission/settings.yaml api/v1alpha1/zz_generated.*.go config/crd/bases/*.yaml config/rbac/role.yaml charts/dbpair/templates/{crds,admission,userroles,alerts}.yaml charts/dbpair/templates/_rules.tpl charts/dbpair/dashboards/*.json; }
list >"$kept.list"
xargs cp --parents -t "$kept" <"$kept.list"
trap 'cp -r "$kept"/. .; rm -rf "$kept" "$kept.list"' EXIT

make --no-print-directory -s generate
status=0
diff <(list) "$kept.list" || status=1
while read -r file; do diff -u "$kept/$file" "$file" || status=1; done <"$kept.list"
[ $status = 0 ] || die "generated files are not up to date: run make generate and commit the result"
