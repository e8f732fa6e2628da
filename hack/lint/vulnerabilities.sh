#!/usr/bin/env bash
# Looks for known vulnerabilities in what the programs call. Without the database, as on a machine without the network, it says so
# and passes; DBPAIR_REQUIRE_VULNDB=1 makes that a failure, which a release needs.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
version=v1.9.0
database=${GOVULNDB:-https://vuln.go.dev}
reachable() { [[ $database == file://* ]] || curl --silent --fail --max-time 10 --output /dev/null "$database/index/db.json"; }

if ! reachable; then
  echo "SKIPPED: the vulnerability database $database cannot be reached; set GOVULNDB to a copy of it" >&2
  [ "${DBPAIR_REQUIRE_VULNDB:-}" != 1 ]
  exit
fi
go run "golang.org/x/vuln/cmd/govulncheck@$version" -db "$database" ./cmd/...
# A module of its own.
(cd cmd/backup && go run "golang.org/x/vuln/cmd/govulncheck@$version" -db "$database" ./...)
