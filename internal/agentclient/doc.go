// Package agentclient asks one agent what package agentapi describes, over mutual TLS. It is
// used by the operator, by the peer's agent and by the Jobs. It decides nothing and repeats
// nothing: what to do about an error is the caller's, and an answer that was too long, cut off
// or to another request is an error, never a value.
package agentclient
