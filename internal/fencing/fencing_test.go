package fencing_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/fencing"
)

var (
	t0  = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	old = fencing.Subject{Member: "shop-0", PodUID: "p0"}
	new = fencing.Subject{Member: "shop-1", PodUID: "p1"}
)

func book(t *testing.T) *fencing.Book {
	t.Helper()
	b := fencing.NewBook()
	b.SawEpoch(4, t0)
	return b
}

func ask(t *testing.T, b *fencing.Book, s fencing.Subject, id string) fencing.Request {
	t.Helper()
	req, err := b.Ask(s, 4, id, t0)
	if err != nil {
		t.Fatal(err)
	}
	return req
}

func reply() agentapi.FenceReply {
	return agentapi.FenceReply{
		RequestID:      "r1",
		Member:         "shop-0",
		PodUID:         "p0",
		Epoch:          4,
		Ceased:         true,
		ProcessStopped: true,
	}
}

func TestAnAnswerIsAProofOnlyOfWhatWasAsked(t *testing.T) {
	for name, spoil := range map[string]func(*agentapi.FenceReply){
		"another request":        func(r *agentapi.FenceReply) { r.RequestID = "r0" },
		"another member":         func(r *agentapi.FenceReply) { r.Member = "shop-1" },
		"another pod":            func(r *agentapi.FenceReply) { r.PodUID = "p9" },
		"an older epoch":         func(r *agentapi.FenceReply) { r.Epoch = 3 },
		"not durable":            func(r *agentapi.FenceReply) { r.Ceased = false },
		"neither way of closing": func(r *agentapi.FenceReply) { r.ProcessStopped = false },
	} {
		r := reply()
		spoil(&r)
		if p, err := fencing.FromReply(ask(t, book(t), old, "r1"), r, t0); !errors.Is(err, fencing.ErrNoProof) || p.Kind() != "" {
			t.Errorf("%s: %s, %v", name, p, err)
		}
	}
	p, err := fencing.FromReply(ask(t, book(t), old, "r1"), reply(), t0)
	if err != nil || p.Kind() != fencing.ProcessStopped {
		t.Fatalf("a good answer: %s, %v", p, err)
	}
	if !p.Closes(old, 4) || p.Closes(old, 5) || p.Closes(old, 3) || p.Closes(new, 4) {
		t.Errorf("%s counts for another subject or epoch", p)
	}
	if (fencing.Proof{}).Closes(fencing.Subject{}, 0) {
		t.Error("the zero value proves something")
	}
}

// Whatever pod of a member there may be cannot answer, end or run on a node.
func TestOnlyTimeAndPeopleSpeakOfAnUnknownPod(t *testing.T) {
	whatever := fencing.Subject{Member: old.Member}
	req := ask(t, book(t), whatever, "r1")
	r := reply()
	r.PodUID = ""
	_, byReply := fencing.FromReply(req, r, t0)
	_, byPod := fencing.FromPod(req, fencing.PodFacts{
		Deleting:     true,
		Terminated:   true,
		ContainerID:  "c",
		KubeletEnded: true,
	}, t0)
	_, byNode := fencing.FromNode(req, "n", fencing.NodeFacts{Name: "n", OutOfService: true}, t0)
	for name, err := range map[string]error{"an answer": byReply, "the end of a pod": byPod, "a node": byNode} {
		if !errors.Is(err, fencing.ErrNoProof) {
			t.Errorf("%s is a proof of %s: %v", name, whatever, err)
		}
	}
	p, err := fencing.FromPerson(req, fencing.Word{Operation: "op", Member: old.Member, Epoch: 4}, t0)
	if err != nil || !p.Closes(whatever, 4) || p.Closes(old, 4) {
		t.Errorf("an administrator's confirmation: %s, %v", p, err)
	}
}

func TestARequestNeedsACommittedEpoch(t *testing.T) {
	b := book(t)
	if _, err := b.Ask(old, 5, "r1", t0); !errors.Is(err, fencing.ErrNoProof) {
		t.Errorf("a question about an epoch nobody has seen: %v", err)
	}
	if _, err := fencing.FromReply(fencing.Request{}, reply(), t0); !errors.Is(err, fencing.ErrNoProof) {
		t.Errorf("an answer without a question: %v", err)
	}
}

func TestAHigherEpochDropsWhatWasProvenBefore(t *testing.T) {
	b := book(t)
	p, _ := fencing.FromReply(ask(t, b, old, "r1"), reply(), t0)
	b.Add(p)
	end, err := fencing.FromPod(ask(t, b, new, "r2"), fencing.PodFacts{
		UID:          "p1",
		Deleting:     true,
		Terminated:   true,
		ContainerID:  "c",
		KubeletEnded: true,
	}, t0)
	if err != nil {
		t.Fatal(err)
	}
	b.Add(end)
	if len(b.Proofs(old, 4)) != 1 || len(b.Proofs(new, 4)) != 1 {
		t.Fatal("proofs were not kept")
	}
	b.SawEpoch(5, t0)
	if len(b.Proofs(old, 5)) != 0 {
		t.Error("an agent's answer outlived its epoch")
	}
	if len(b.Proofs(new, 5)) != 1 {
		t.Error("the end of a pod did not outlive its epoch")
	}
}

func TestAuthorityExpires(t *testing.T) {
	x := fencing.Expiry{Subject: old, Voucher: "shop-1", Epoch: 4, Lease: 6 * time.Second, Margin: time.Second}
	b := book(t)
	if p, left := b.Expired(x, t0.Add(time.Hour)); p.Kind() != "" || left != -1 {
		t.Errorf("without the voucher's cease: %s, %s", p, left)
	}
	cease := reply()
	cease.Member = "shop-1"
	cease.PodUID = "p1"
	if err := b.Ceased(ask(t, b, new, "r1"), cease, t0.Add(2*time.Second)); err != nil {
		t.Fatal(err)
	}
	for after, want := range map[time.Duration]bool{9 * time.Second: false, 9*time.Second + 1: true, 7*time.Second + 1: false} {
		if p, _ := b.Expired(x, t0.Add(after)); (p.Kind() == fencing.AuthorityExpired) != want {
			t.Errorf("%s after the epoch was seen, the cease 2s after: %s", after, p)
		}
	}
	x.Epoch = 5
	if p, _ := b.Expired(x, t0.Add(time.Hour)); p.Kind() != "" {
		t.Errorf("at an epoch that was not seen: %s", p)
	}
}

func TestTheEndOfAPod(t *testing.T) {
	good := fencing.PodFacts{
		UID: "p0", Deleting: true, DeletionAsked: t0, ContainerID: "c1", Terminated: true, Reason: "Completed", FinishedAt: t0.Add(time.Second), LastRunning: "c1",
	}
	if _, err := fencing.FromPod(ask(t, book(t), old, "r1"), good, t0); err != nil {
		t.Fatal(err)
	}
	for name, spoil := range map[string]func(*fencing.PodFacts){
		"another pod of the name":                 func(f *fencing.PodFacts) { f.UID = "p9" },
		"not being deleted: it starts again":      func(f *fencing.PodFacts) { f.Deleting = false },
		"still running":                           func(f *fencing.PodFacts) { f.Terminated = false },
		"the kubelet lost it":                     func(f *fencing.PodFacts) { f.Reason = "ContainerStatusUnknown" },
		"no container":                            func(f *fencing.PodFacts) { f.ContainerID = "" },
		"a newer container was seen running":      func(f *fencing.PodFacts) { f.LastRunning = "c2" },
		"ended before: another may run since":     func(f *fencing.PodFacts) { f.FinishedAt = t0.Add(-time.Second) },
		"ended in the second of the deletion":     func(f *fencing.PodFacts) { f.FinishedAt = t0 },
		"seen ended before, by a fast clock":      func(f *fencing.PodFacts) { f.EndedEarly = "c1" },
		"nothing known, as after a forced delete": func(f *fencing.PodFacts) { *f = fencing.PodFacts{} },
	} {
		facts := good
		spoil(&facts)
		if p, err := fencing.FromPod(ask(t, book(t), old, "r1"), facts, t0); !errors.Is(err, fencing.ErrNoProof) {
			t.Errorf("%s: %s, %v", name, p, err)
		}
	}
}

func TestWordAndNodeAndBeginning(t *testing.T) {
	req := ask(t, book(t), old, "r1")
	for name, c := range map[string]struct {
		word fencing.Word
		want bool
	}{
		"the present epoch":      {fencing.Word{Operation: "op", Member: "shop-0", Epoch: 4}, true},
		"the epoch it held at":   {fencing.Word{Operation: "op", Member: "shop-0", Epoch: 3, HeldAt: 3}, true},
		"an older confirmation":  {fencing.Word{Operation: "op", Member: "shop-0", Epoch: 2, HeldAt: 3}, false},
		"about the other member": {fencing.Word{Operation: "op", Member: "shop-1", Epoch: 4}, false},
		"without an operation":   {fencing.Word{Member: "shop-0", Epoch: 4}, false},
	} {
		p, err := fencing.FromPerson(req, c.word, t0)
		if (err == nil) != c.want || (p.Kind() == fencing.HumanAck) != c.want {
			t.Errorf("%s: %s, %v", name, p, err)
		}
	}
	if _, err := fencing.FromNode(req, "n1", fencing.NodeFacts{Name: "n1"}, t0); err == nil {
		t.Error("a node without the taint is a proof")
	}
	if _, err := fencing.FromNode(req, "n1", fencing.NodeFacts{Name: "n2", OutOfService: true}, t0); err == nil {
		t.Error("another node's taint is a proof")
	}
	if p, err := fencing.FromNode(req, "n1", fencing.NodeFacts{Name: "n1", OutOfService: true}, t0); err != nil || p.Kind() != fencing.NodeOutOfService {
		t.Errorf("the taint: %s, %v", p, err)
	}
	if _, err := fencing.FromBeginning(new, 1, ""); err == nil {
		t.Error("there is a beginning at epoch 1")
	}
	if _, err := fencing.FromBeginning(new, 0, "data"); err == nil {
		t.Error("there is a beginning with data")
	}
	if _, err := fencing.FromRecord(old, 4, fencing.Demoted, "r"); err == nil {
		t.Error("an agent's answer was taken from the record")
	}
}

func TestTheAckFenceIsAboutTheOther(t *testing.T) {
	b := book(t)
	r := agentapi.FenceReply{
		RequestID:       "r1",
		Member:          "shop-1",
		PodUID:          "p1",
		Epoch:           4,
		Ceased:          true,
		ReceiverStopped: true,
	}
	p, err := fencing.FromAckFence(old, ask(t, b, new, "r1"), r, t0)
	if err != nil || !p.Closes(old, 4) || p.Closes(new, 4) {
		t.Errorf("%s, %v", p, err)
	}
	r.ReceiverStopped = false
	if _, err := fencing.FromAckFence(old, ask(t, b, new, "r1"), r, t0); err == nil {
		t.Error("a receiver that runs is a proof")
	}
}

func TestANewerAnswerTakesThePlaceOfTheFormer(t *testing.T) {
	b := book(t)
	for _, at := range []time.Time{t0.Add(time.Second), t0.Add(3 * time.Second), t0.Add(2 * time.Second)} {
		p, err := fencing.FromReply(ask(t, b, old, "r1"), reply(), at)
		if err != nil {
			t.Fatal(err)
		}
		b.Add(p)
	}
	if got := b.Proofs(old, 4); len(got) != 1 || !got[0].At().Equal(t0.Add(3*time.Second)) {
		t.Errorf("proofs %v, want one of 3s after", got)
	}
}
