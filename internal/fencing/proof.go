package fencing

import (
	"cmp"
	"errors"
	"fmt"
	"time"

	"github.com/dbpair/dbpair/internal/pair"
)

// ErrNoProof is wrapped by every error that says why evidence is not a proof.
var ErrNoProof = errors.New("not a proof")

// Subject is one pod of one member: what a proof is about. The same member's next pod
// is another subject. Without a pod UID it is whatever pod of that member may be there
// though nobody knows of one: only an expiry or an administrator's confirmation can be about that.
type Subject struct {
	Member pair.MemberName
	PodUID pair.PodUID
}

// SubjectOf is the subject that a holder is.
func SubjectOf(h pair.Holder) Subject { return Subject(h) }

// String is "<member>/<pod UID>", or "<member>/*" for whatever pod.
func (s Subject) String() string { return string(s.Member) + "/" + cmp.Or(string(s.PodUID), "*") }

// Proof is evidence that one subject cannot accept writes by any authority of Epoch or
// below. The zero value proves nothing, and only this package makes others.
type Proof struct {
	kind    Kind
	subject Subject
	epoch   pair.Epoch
	request string
	at      time.Time
	gtids   string
}

// Kind of the evidence; empty for the zero value.
func (p Proof) Kind() Kind { return p.kind }

// Subject that is proven closed.
func (p Proof) Subject() Subject { return p.subject }

// Epoch that the evidence is about.
func (p Proof) Epoch() pair.Epoch { return p.epoch }

// RequestID of the question that was answered.
func (p Proof) RequestID() string { return p.request }

// At is when the answer came, on the operator's clock.
func (p Proof) At() time.Time { return p.at }

// GTIDs is what the subject's binlog held when it was read back, commits that waited included;
// only of a Demoted. Nothing was added since at this epoch. Empty when it was not said.
func (p Proof) GTIDs() string { return p.gtids }

// Closes reports whether p proves the subject closed at this epoch. A pod that has ended
// never runs again, so its end counts at every later epoch; an administrator's confirmation and an
// expiry count for the one epoch they are about.
func (p Proof) Closes(s Subject, e pair.Epoch) bool {
	if p.kind == "" || p.subject != s {
		return false
	}
	return p.epoch == e || (p.kind == PodTerminated && p.epoch < e)
}

// String names kind, subject and epoch, for logs and reports.
func (p Proof) String() string {
	if p.kind == "" {
		return "no proof"
	}
	return fmt.Sprintf("%s of %s at epoch %d", p.kind, p.subject, p.epoch)
}

// Request is a question that was put after the epoch it names was seen committed. Only
// Book.Ask makes one.
type Request struct {
	subject Subject
	epoch   pair.Epoch
	id      string
	sentAt  time.Time
}

// ID of the request.
func (r Request) ID() string { return r.id }

// Subject that is asked, or asked about.
func (r Request) Subject() Subject { return r.subject }

// Epoch the request names.
func (r Request) Epoch() pair.Epoch { return r.epoch }

func (r Request) proof(kind Kind, at time.Time) Proof {
	return Proof{
		kind:    kind,
		subject: r.subject,
		epoch:   r.epoch,
		request: r.id,
		at:      at,
	}
}

func notProof(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrNoProof, fmt.Sprintf(format, args...))
}
