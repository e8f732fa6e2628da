package failover

import "github.com/dbpair/dbpair/internal/pair"

// ClearTheWay is what an appointment of this member would do beside its write.
func ClearTheWay(o Observation, to pair.MemberName) []Step {
	l := newLook(o)
	return l.clearTheWay(l.member(to))
}
