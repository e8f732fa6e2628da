// Package failover decides what the operator does next for one pair.
//
// Decide is a pure, total function from an Observation to a Plan: an ordered list of
// named rules, of which the first that applies speaks. A rule's name is also the reason
// of the conditions, of events and metrics, and a heading in docs/failover.md.
//
// The package reads no clock, does no I/O and knows no Kubernetes types. It refuses to
// take unknown for no: a fact that was not read is Unknown, and no rule that revokes,
// appoints or deletes fires on it.
package failover
