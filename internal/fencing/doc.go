// Package fencing is the evidence that a member cannot accept writes.
//
// A Proof is a value that only this package can make, from an answer to a request that
// was made after the authority was revoked and that names the revoked epoch. What was
// seen before the revocation is a reason to look, never a proof. Whatever needs a
// member to be closed takes a Proof as an argument, so that it cannot be called without
// one.
//
// The package is pure: it judges plain facts and touches neither network nor cluster.
package fencing
