// Package signing makes and verifies the signatures of a pair's authority with the keys of
// its certificate authority: ECDSA on P-256 over SHA-256.
//
// It refuses other kinds of keys and knows nothing of what is signed. Anyone who signs has to
// keep messages of different kinds apart by themselves; certificates, which the same keys sign,
// begin with the byte 0x30.
package signing
