// Package sim runs the real Decide, the real executor, the real agent machine and what an
// agent judges by rule against models of the API server, the network, the kubelet, clocks
// and MySQL, deterministically from a seed, and checks what docs/failover.md promises. It is
// test code only.
//
// Time is virtual and everything runs on one thread: a heap of events, and coroutines for
// the operators, which call their effects as if they blocked. It refuses the clock, the network
// and the random source of the machine: the same seed is the same history.
package sim
