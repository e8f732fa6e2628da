package sim

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
)

// The key of the pair is modeled by a hash that only the operators and this file make.
// What agents and operators do with a signature is the real code.

func signature(message []byte) []byte {
	sum := sha256.Sum256(append([]byte("the pair's key"), message...))
	return sum[:]
}

func verify(message, given []byte) bool { return bytes.Equal(given, signature(message)) }

// digest is of what a record says, without its signature.
func digest(r authority.Record) string {
	r.Signed = pair.SignedEpoch{}
	text, err := json.Marshal(r)
	if err != nil {
		panic(err)
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:])
}

// sign is what an operator does to a record that it writes.
func sign(r *authority.Record) {
	s := r.Statement(digest(*r))
	s.Signature = base64.StdEncoding.EncodeToString(signature(s.Message(r.PairUID)))
	r.Signed = s
}

// read is the Lease as it is now, with the signature that it has: whatever was changed since
// that was made does not fit it.
func (a *apiServer) read() (authority.Record, bool) {
	if a.lease == nil {
		return authority.Record{}, false
	}
	if a.digested != a.lease {
		a.digested, a.digest = a.lease, digest(*a.lease)
	}
	r := a.lease.Clone()
	given := r.Signed.Signature
	if r.Signed = (pair.SignedEpoch{}); given != "" {
		r.Signed = r.Statement(a.digest)
		r.Signed.Signature = given
	}
	return r, true
}

// authentic reports whether an operator wrote the Lease as it is.
func (a *apiServer) authentic() bool {
	r, ok := a.read()
	return ok && authority.Verify(verify).Authentic(r) == nil
}

// observed is the Lease as an operator takes it.
func (a *apiServer) observed() failover.Authority {
	r, ok := a.read()
	if !ok {
		return failover.Authority{Reading: failover.Missing}
	}
	if err := authority.Verify(verify).Authentic(r); err != nil {
		return failover.Authority{Reading: failover.NotAuthentic, Version: a.leaseRV, Problem: err.Error()}
	}
	return failover.Authority{Reading: failover.Read, Record: r, Version: a.leaseRV}
}

// checkKnown: no agent knows an epoch that no operator wrote.
func (w *world) checkKnown(m *memberSim, d authority.Durable) {
	if d.Known > w.api.topEpoch {
		w.violate("invented", "%s knows epoch %d for good, and the highest one that an operator wrote is %d", m.name, d.Known, w.api.topEpoch)
	}
}

var hostileFaults = map[string]faultKind{
	// Someone has the certificate of a member and speaks for its agent.
	"peerHostile": func(w *world, f fault, m *memberSim) {
		w.during(f, func() { w.hostile = m }, func() { w.hostile = nil })
		w.pretend(m)
	},
	// Someone writes the Lease as an appointment with its proofs would be written.
	"leaseForged": func(w *world, _ fault, m *memberSim) { w.forgeLease(m) },
	// Someone makes the Lease before the pair exists; a person removes it later.
	"leasePrecreated": func(w *world, f fault, m *memberSim) {
		if w.api.ever {
			return
		}
		r := authority.Fresh(pairUID, w.set.lease)
		r.Epoch = 1
		r.Holder = pair.Holder{Member: m.name, PodUID: "pod-1"}
		r.Bootstrap = &authority.Bootstrap{Member: m.name, DataID: "forged"}
		w.api.lease, w.api.leaseRV = &r, w.api.bump()
		w.after(f.lasts, func() {
			if !w.api.ever {
				w.api.lease = nil
			}
		})
	},
}

// lie is what comes in the place of a member's answer: an epoch that is made up, with a
// statement that is replayed under its name, or none.
func (w *world) lie(v authority.AnswerVouch) authority.AnswerVouch {
	if w.chance(0.3) {
		return v
	}
	v.Known += pair.Epoch(1 + w.rng.IntN(4))
	v.ClaimsHolder, v.Given = w.chance(0.5), w.chance(0.5)
	v.Signed = w.made(v.Signed, v.Known)
	return v
}

func (w *world) made(s pair.SignedEpoch, e pair.Epoch) pair.SignedEpoch {
	switch w.rng.IntN(3) {
	case 0:
		return pair.SignedEpoch{}
	case 1:
		return s
	}
	s.Epoch = e
	return s
}

// pretend asks the other member at epochs that are made up, for as long as the fault lasts.
func (w *world) pretend(m *memberSim) {
	other := w.members[1-m.index]
	w.after(w.between(100*time.Millisecond, time.Second), func() {
		if w.hostile != m {
			return
		}
		w.pretend(m)
		w.deliver(m.site, other.site, func() {
			p := w.api.pods[other.index]
			if p == nil || p.agent == nil || p.agent.machine == nil {
				return
			}
			a := p.agent
			a.pass(func() {
				e := a.machine.View().Known + pair.Epoch(1+w.rng.IntN(4))
				a.step(authority.VouchAsked{
					At: a.local(), PairUID: pairUID, Asker: m.name, Epoch: e, Nonce: w.id("h"),
					Signed: w.made(a.machine.View().Durable.Signed, e),
				})
			})
		})
	})
}

// forgeLease names a member the holder, two epochs on, with a ledger of its own and an
// appointment with a proof.
func (w *world) forgeLease(m *memberSim) {
	p := w.api.pods[m.index]
	if w.api.lease == nil || w.api.lease.Holder.Nobody() || p == nil {
		return
	}
	r := w.api.lease.Clone()
	last := r.Holder
	r.LastHolder = &authority.LastHolder{Holder: last, DataID: r.Data[last.Member], Epoch: r.Epoch}
	r.Holder, r.Epoch = pair.Holder{Member: m.name, PodUID: p.uid}, r.Epoch+2
	r.Ledger = authority.Ledger{Version: r.Ledger.Version + 1, State: authority.Solo, First: m.name}
	r.Appointed = &authority.Appointed{
		Holder: r.Holder, Epoch: r.Epoch, Proofs: []authority.Used{{Subject: last.String(), Kind: "ProcessStopped", Request: "x"}},
	}
	w.api.lease, w.api.leaseRV = &r, w.api.bump()
	w.tracef("a forger makes %s the holder at epoch %d", r.Holder, r.Epoch)
}

// hostileStories: someone who may write the Lease, or has the certificate of a member.
var hostileStories = []story{
	{name: "hostilePeer", tell: hostilePeer},
	{name: "forgedLease", tell: forgedLease},
	{name: "precreatedLease", tell: precreatedLease},
}

func hostilePeer(t *teller) []fault {
	out := []fault{{kind: "peerHostile", at: t.at, member: thePassive, lasts: t.in(2*sec, 15*sec)}}
	if t.r.IntN(2) == 0 {
		out = append(out, fault{
			kind:   t.one(t.crash, "cutAPI", "operatorCrashed"),
			at:     t.at + t.in(0, 6*sec),
			member: theHolder,
			lasts:  3 * sec,
		})
	}
	return out
}

func forgedLease(t *teller) []fault {
	at := t.at + sec
	return []fault{
		{
			kind:   t.one("cutWhole", "cutPeer", "agentStopped", "nodeFrozen"),
			at:     at - t.in(0, sec),
			member: theHolder,
			lasts:  t.in(3*sec, 9*sec),
		},
		{kind: "leaseForged", at: at, member: thePassive},
	}
}

func precreatedLease(t *teller) []fault {
	return []fault{{kind: "leasePrecreated", at: 0, member: t.r.IntN(2), lasts: t.in(2*sec, 8*sec)}}
}
