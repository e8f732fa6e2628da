// Package harness is what the end-to-end tests and the benchmarks stand on: a real
// cluster named by KUBECONFIG, pairs in namespaces of their own, faults, and the
// witnesses whose records package history judges.
//
// It returns errors and never touches testing.T, so that benchmarks use it too. Nothing
// in it sleeps: everything polls with the deadline of its context. Node faults need a
// kind cluster whose docker engine runs on this machine, since a node is a container
// and its clock is this machine's.
package harness
