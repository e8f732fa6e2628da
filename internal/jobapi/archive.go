package jobapi

import (
	"slices"
	"time"
)

const (
	// EnvArchive holds an ArchiveRequest in the environment of a pair's archiver: the pod that
	// appends the passive's binary log to the archive.
	EnvArchive = "DBPAIR_ARCHIVE"
	// KeyArchive is an ArchiveReport in the archiver's ConfigMap.
	KeyArchive = "archive.1.json"
	// ArchiveReportEvery is the longest time between two reports of an archiver.
	ArchiveReportEvery = 10 * time.Second
)

// ArchiveRequest is what an archiver is to do. Durations are nanoseconds.
type ArchiveRequest struct {
	// Store is the URL of the pair's folder.
	Store string `json:"store"`
	// PairUID is that of the pair; an archive of another one is refused.
	PairUID string `json:"pairUID"`
	// Hosts are the addresses of both members, without a port.
	Hosts []string `json:"hosts"`
	// Recipients are age recipients; without any the archive is not encrypted.
	Recipients []string `json:"recipients,omitempty"`
	// Flush is how long a transaction waits for others of its segment.
	Flush time.Duration `json:"flush"`
	// Alone has the primary read while it is alone. A pair that may give up what such a primary has
	// committed leaves it out.
	Alone bool `json:"alone,omitempty"`
}

// ArchiveReason is why an archiver does not go on. Each is a reason of the condition Archiving.
type ArchiveReason string

// The reasons. A store refuses with those of a vault: StoreDenied, BucketNotFound, StoreSkewed,
// StoreUntrusted and StoreUnreachable.
const (
	// NoMemberToRead: no member is a passive or a primary that is alone, or none can be reached.
	NoMemberToRead ArchiveReason = "NoMemberToRead"
	// ArchiveForked: the archive has transactions that no member has.
	ArchiveForked ArchiveReason = "ArchiveForked"
	// ArchiveForeign: another process writes to the same archive.
	ArchiveForeign ArchiveReason = "ArchiveForeign"
	// StoreFull: the store has no room.
	StoreFull ArchiveReason = "StoreFull"
	// ArchiveFailed: anything else, which the message has.
	ArchiveFailed ArchiveReason = "ArchiveFailed"
)

// ArchiveReasons are all of them.
func ArchiveReasons() []ArchiveReason {
	return []ArchiveReason{
		NoMemberToRead,
		ArchiveForked,
		ArchiveForeign,
		ArchiveReason(StoreDenied),
		ArchiveReason(BucketNotFound),
		ArchiveReason(StoreSkewed),
		ArchiveReason(StoreUntrusted),
		ArchiveReason(StoreUnreachable),
		StoreFull,
		ArchiveFailed,
	}
}

// Known is the reason, or ArchiveFailed for one that this version does not know.
func (r ArchiveReason) Known() ArchiveReason {
	if slices.Contains(ArchiveReasons(), r) {
		return r
	}
	return ArchiveFailed
}

// ArchiveReport is how far an archive is. Times of the archive are by the clock of the member that
// was read.
type ArchiveReport struct {
	// Written is when this was written, by the clock of the archiver's node.
	Written time.Time `json:"written"`
	// GTIDs is everything that is archived, was there before the archive began, or is in a gap.
	GTIDs string `json:"gtids,omitempty"`
	// Until is the newest moment up to which nothing is missing, as an object in the store says
	// it: the last one that a restore can lead to. It is absent before the first.
	Until time.Time `json:"until,omitzero"`
	// Current is the newest moment at which everything that the member had was in the store. It
	// is absent as long as this process has not seen one.
	Current time.Time `json:"current,omitzero"`
	// Segments is the number of objects in the store.
	Segments int64 `json:"segments,omitempty"`
	// Member is the address that is read; empty while none is.
	Member string `json:"member,omitempty"`
	// Reason and Message are why the archive does not go on; empty while it does.
	Reason  ArchiveReason `json:"reason,omitempty"`
	Message string        `json:"message,omitempty"`
	// Gap is the last one of the archive; nil if there is none.
	Gap *ArchiveGap `json:"gap,omitempty"`
}

// ArchiveGap are transactions that the archive does not have.
type ArchiveGap struct {
	// GTIDs are the missing ones.
	GTIDs string `json:"gtids"`
	// Time is when it was found. A backup that began later leads on behind the gap.
	Time time.Time `json:"time"`
}
