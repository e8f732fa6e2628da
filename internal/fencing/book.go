package fencing

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

// Book is what one operator process has heard about one pair since it started: when it
// first saw the present epoch, who has ceased, and the proofs. It is lost with the
// process, which costs waiting and never safety. Safe for concurrent use.
type Book struct {
	mu     sync.Mutex
	epoch  pair.Epoch
	since  time.Time
	ceased map[pair.MemberName]ceasing
	proofs []Proof
}

type ceasing struct {
	epoch pair.Epoch
	at    time.Time
}

// NewBook is an empty book.
func NewBook() *Book {
	return &Book{epoch: -1, ceased: map[pair.MemberName]ceasing{}}
}

// SawEpoch notes that the authority was read at this epoch, or written to it, by this
// process at this moment. A higher epoch than before drops the proofs of the former one
// but for ended pods; seeing an epoch again changes nothing. A lower one also starts
// again: the authority was rolled back and no wait that was counted holds.
func (b *Book) SawEpoch(e pair.Epoch, at time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e == b.epoch {
		return
	}
	b.epoch = e
	b.since = at
	b.proofs = slices.DeleteFunc(b.proofs, func(p Proof) bool { return p.kind != PodTerminated || p.epoch > e })
}

// Since is when this process first saw the epoch; false when it is not the present one.
func (b *Book) Since(e pair.Epoch) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.since, e == b.epoch
}

// Ask makes a request about a subject at the present epoch. The caller sends it after
// this call and puts id into it. It is refused at any other epoch: an answer would be
// about an authority that nobody has seen committed.
func (b *Book) Ask(s Subject, e pair.Epoch, id string, at time.Time) (Request, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if e != b.epoch {
		return Request{}, fmt.Errorf("ask about %s at epoch %d: %w", s, e, notProof("the epoch last seen is %d", b.epoch))
	}
	if s.Member == "" || id == "" {
		return Request{}, fmt.Errorf("ask about %s: %w", s, notProof("member and request id are needed"))
	}
	return Request{
		subject: s,
		epoch:   e,
		id:      id,
		sentAt:  at,
	}, nil
}

// Ceased notes a member's acknowledgement of a cease, fence or ack-fence command: it has
// made the epoch durable and vouches for nothing below it. at is when the answer came.
func (b *Book) Ceased(req Request, reply agentapi.FenceReply, at time.Time) error {
	if err := matches(req, reply); err != nil {
		return fmt.Errorf("cease of %s: %w", req.subject, err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if old, ok := b.ceased[req.subject.Member]; ok && old.epoch >= req.epoch {
		return nil
	}
	b.ceased[req.subject.Member] = ceasing{epoch: req.epoch, at: at}
	return nil
}

// CeasedAt reports whether and when a member's acknowledgement of this epoch, or of a
// higher one, came.
func (b *Book) CeasedAt(m pair.MemberName, e pair.Epoch) (time.Time, bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	c, ok := b.ceased[m]
	return c.at, ok && c.epoch >= e
}

// Add keeps a proof; a newer one of the same kind takes the place of the former, so that
// At says when the subject was last shown closed. The zero value is ignored.
func (b *Book) Add(p Proof) {
	if p.kind == "" {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, old := range b.proofs {
		if old.kind != p.kind || !old.Closes(p.subject, p.epoch) {
			continue
		}
		if old.epoch == p.epoch && p.at.After(old.at) {
			b.proofs[i] = p
		}
		return
	}
	b.proofs = append(b.proofs, p)
}

// Proofs are those that close the subject at this epoch, in the order they came.
func (b *Book) Proofs(s Subject, e pair.Epoch) []Proof {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []Proof
	for _, p := range b.proofs {
		if p.Closes(s, e) {
			out = append(out, p)
		}
	}
	return out
}
