package pair

// MaxVersion is the highest epoch and the highest ledger version that is taken from
// anybody: from the Lease, a peer, a command, a file, a label, a Service or a status. A pair
// that changed its primary every second would need 68 years to come there, so a higher
// number is damage or an attack. What is above is refused, because the next change needs a
// number above the highest one known, and a Lease holds 32 bits.
const MaxVersion = 1<<31 - 1<<20

// MaxJump is how far above what the Lease says an epoch counts that is only claimed by a
// label, a status or an agent. An etcd backup that is restored can be older than the
// present by some role changes, never by a million. The bound leaves room above a claim
// that is as high as it can be.
const MaxJump = 1 << 20

// Valid reports whether an epoch can be one of a pair.
func (e Epoch) Valid() bool { return e >= 0 && e <= MaxVersion }

// Valid reports whether a version can be one of a pair's ledger.
func (v LedgerVersion) Valid() bool { return v >= 0 && v <= MaxVersion }
