// Package agentapi is what operator and agents, and the two agents of a pair, say to
// each other: the JSON bodies, the paths and the configuration. It decides nothing, and it
// sends nothing: package agentclient asks and package agent answers, so that a package that needs
// the types alone reaches no network.
//
// Everything goes over mutual TLS with certificates of the pair's own CA. The client
// certificate's common name says who asks: RoleOperator, or RolePeer of one member.
// Every command names the pair, an epoch and a ledger version and is refused when the
// agent has seen a higher one. Fields are only ever added, since operator and agent may
// differ by one version.
package agentapi
