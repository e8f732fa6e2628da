package failover

import (
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// lostBinlogs is what the member's agent says of binary logs that its data has lost; empty for nothing.
func lostBinlogs(m *Member) string {
	if !m.heard() {
		return ""
	}
	for _, p := range m.State.Problems {
		if p.Code == agentapi.ProblemBinlogsLost {
			return p.Message
		}
	}
	return ""
}

// keptWithoutBinlogs says why the data of a member that has lost its binary logs is kept: it was the
// primary and ended uncleanly, nobody knows that its last transactions were not acknowledged, and
// its tables are all that is left of them. Empty when it may be given up for a copy.
func (l *look) keptWithoutBinlogs(m *Member) string {
	if l.holder == nil || m != l.passive || !l.open(l.holder) {
		return "" // nothing is copied, and nobody may give up what may be the only copy
	}
	lost := lostBinlogs(m)
	if lost == "" || l.rec.Data[m.Name] == "" || m.State.UncleanAt == 0 {
		return ""
	}
	if left := l.rec.Left; left != nil {
		ofThatEnd := left.Member == m.Name && left.DataID == l.rec.Data[m.Name] && left.Epoch == m.State.UncleanAt
		if ofThatEnd && left.Clean {
			return ""
		}
	}
	return fmt.Sprintf("%s. It ended uncleanly as the primary at epoch %d, and the authority does not say that its last transactions were "+
		"never acknowledged, so its data is kept as it is. To give it up: kubectl delete pvc %s pod/%s -n %s",
		lost, m.State.UncleanAt, pair.DataClaim(m.Name), m.Name, l.Settings.Namespace)
}
