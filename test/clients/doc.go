// Package clients runs client programs of several languages against a real mysqld, with
// what the application's Secret hands out and nothing else. The programs are in programs,
// and programs/protocol.md says how they are spoken to.
//
// It refuses to download anything: hack/clients.sh does that. Where that was not run it
// skips loudly, or fails when DBPAIR_REQUIRE_CLIENTS=1.
package clients
