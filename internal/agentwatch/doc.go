// Package agentwatch keeps an eye on the agents of all pairs: one goroutine per member
// pod asks the agent for its state by long poll and keeps the last answer, how the last
// attempt ended, and since when there has been silence.
//
// It judges nothing: silence is a fact with a beginning, never "down". It asks whatever
// answers for its identity and takes no answer of another member, pod or pair.
package agentwatch
