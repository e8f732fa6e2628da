package pair

import (
	"fmt"
	"strings"
)

// UID is the Kubernetes UID of a DatabasePair. A pair that is deleted and made again
// under the same name has another one.
type UID string

// MemberName is the name of a member and of its pod, "<pair>-<ordinal>". It stays the
// same whatever pod, process or data stands behind it.
type MemberName string

// PodUID is the Kubernetes UID of one incarnation of a member's pod.
type PodUID string

// DataID names the data on a member's volume. It is random, made when the data
// directory is initialized and again at every seed. server_uuid does not serve: a
// restored snapshot has the same one.
type DataID string

// Incarnation names one run of a member's mysqld: random, made by the agent before each
// start. What a mysqld had received but not applied may be gone with its run.
type Incarnation string

// AgentStart names one run of an agent process: random, made at its start.
type AgentStart string

// Epoch is the version of the authority. It only grows, by one with every change of
// holder, to nobody included. Zero is the epoch before the first holder.
type Epoch int64

// LedgerVersion is the version of the ledger. It only grows, by one with every change.
type LedgerVersion int64

// Holder is the one member that may be open, bound to one pod. The zero value is
// nobody.
type Holder struct {
	Member MemberName
	PodUID PodUID
}

// Nobody reports whether no member may be open.
func (h Holder) Nobody() bool { return h == Holder{} }

// String is the form that the Lease's holderIdentity has: "<member>/<pod UID>", or the
// empty string for nobody.
func (h Holder) String() string {
	if h.Nobody() {
		return ""
	}
	return string(h.Member) + "/" + string(h.PodUID)
}

// ParseHolder is the inverse of Holder.String.
func ParseHolder(s string) (Holder, error) {
	if s == "" {
		return Holder{}, nil
	}
	member, uid, ok := strings.Cut(s, "/")
	complete := ok && member != "" && uid != ""
	if !complete || strings.Contains(uid, "/") {
		return Holder{}, fmt.Errorf("parse holder %q: want <member>/<pod UID>", s)
	}
	return Holder{Member: MemberName(member), PodUID: PodUID(uid)}, nil
}

// Ordinal is a member's place in the pair, 0 or 1.
type Ordinal int

// Member is the name of the pair's member with this ordinal.
func (o Ordinal) Member(pairName string) MemberName {
	return MemberName(fmt.Sprintf("%s-%d", pairName, int(o)))
}

// Peer is the other ordinal.
func (o Ordinal) Peer() Ordinal { return 1 - o }

// Members are the two members of a pair of this name, by ordinal.
func Members(pairName string) [2]MemberName {
	return [2]MemberName{Ordinal(0).Member(pairName), Ordinal(1).Member(pairName)}
}

// PeerOf is the other one of two members.
func PeerOf(members [2]MemberName, m MemberName) MemberName {
	if members[0] == m {
		return members[1]
	}
	return members[0]
}

// DataClaim is the volume claim of a member's data.
func DataClaim(m MemberName) string { return "data-" + string(m) }

// BinlogClaim is the volume claim of a member's binary and relay logs, where they have one of their own.
func BinlogClaim(m MemberName) string { return "binlog-" + string(m) }
