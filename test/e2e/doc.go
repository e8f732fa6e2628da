// Package e2e tests the chart on a real kind cluster. Cases that disturb the operator or a node
// run one after the other; the rest run beside each other, each in a namespace of its own. All
// files but this one have the build tag e2e.
//
// It refuses to judge by what the operator says of itself: what clients were acknowledged and what
// members did is recorded outside of it (package harness) and judged afterwards (package history).
package e2e
