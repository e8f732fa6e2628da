package agent

import "github.com/dbpair/dbpair/internal/authority"

// receives takes the relay log's newest file as it was at this instant.
func (b *board) receives(streams bool, file string, size int64, at authority.Instant) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reception.Saw(streams, file, size, at)
}
