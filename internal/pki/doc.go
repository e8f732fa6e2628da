// Package pki makes the certificates of one pair: a certificate authority of its own, a certificate
// for each member and a short-lived client certificate for the operator.
//
// It is pure but for the random source: the time is a parameter, nothing is stored and
// nothing is read. It refuses keys other than ECDSA P-256 and never hands out a
// certificate that outlives its certificate authority.
package pki
