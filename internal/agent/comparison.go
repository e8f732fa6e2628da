package agent

import "github.com/dbpair/dbpair/internal/agentapi"

// lastComparison is what this agent compared last; nil for nothing.
func (b *board) lastComparison() *agentapi.Comparison {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.compared
}

// hasCompared publishes what a comparison with the holder's binlog found.
func (b *board) hasCompared(c agentapi.Comparison) {
	b.mu.Lock()
	b.compared = &c
	b.mu.Unlock()
	b.bump()
}
