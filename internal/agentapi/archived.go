package agentapi

import "github.com/dbpair/dbpair/internal/pair"

// ArchivedCommand says what the archive of binary logs has. It decides only about which binary logs
// may be removed, and is bound to no epoch. The last one counts.
type ArchivedCommand struct {
	PairUID pair.UID `json:"pairUID"`
	// RequestID is random per request and comes back in the answer.
	RequestID string `json:"requestID"`
	// GTIDs is everything that is archived, was there before the archive began, or is in a gap.
	GTIDs string `json:"gtids"`
}
