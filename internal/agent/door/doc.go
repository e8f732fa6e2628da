// Package door is the listener to which clients are led while no member accepts writes. It
// holds them for a bounded time and relays them to the mysqld beside it when that is open
// and the operator says that clients may be let through, or it refuses them at once.
//
// It does not speak the protocol beyond the one packet that says no: in MySQL's protocol the
// server speaks first, so a client that is held has sent nothing, and what is relayed is
// passed on byte for byte, TLS included. It decides nothing about who may be open.
package door
