package judge

import (
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

// Reception times what a receiver stores, by the relay log's growth: a large transaction is in
// no set of GTIDs before its last byte. The zero value is that of a receiver that was not seen.
type Reception struct {
	since authority.Instant // from when on the receiver streams without a break; 0 while it does not
	at    authority.Instant // of the last growth; 0 for none
	file  string
	size  int64
}

// Saw takes what was seen at this instant: whether the receiver streams, and the newest file of
// the relay log with its size.
func (r *Reception) Saw(streams bool, file string, size int64, now authority.Instant) {
	if !streams || file == "" {
		*r = Reception{}
		return
	}
	switch grew := file != r.file || size > r.size; {
	case r.since == 0:
		r.since = now
	case grew:
		r.at = now
	}
	r.file = file
	r.size = size
}

// Ages are for how long the receiver has streamed without a break, and how long ago it last
// stored something; both zero when it has not stored anything.
func (r *Reception) Ages(now authority.Instant) (streaming, stored time.Duration) {
	if r.at == 0 {
		return 0, 0
	}
	return now.Sub(r.since), max(now.Sub(r.at), 1)
}
