package fencing_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/fencing"
)

// FuzzFenceReply: whatever an agent answers to a request, there is a proof only where the answer
// is to that request, of that pod, and says that an epoch no lower than the one that was asked is
// durable.
func FuzzFenceReply(f *testing.F) {
	f.Add(`{"requestID":"r1","member":"shop-0","podUID":"pod-0","epoch":7,"ceased":true,"demoted":true,"binlogGTIDs":"no set"}`)
	f.Add(`{"requestID":"r1","member":"shop-0","podUID":"pod-0","epoch":6,"ceased":true,"processStopped":true}`)
	f.Add(`{"requestID":"r0","member":"shop-0","podUID":"pod-0","epoch":9223372036854775807,"ceased":true,"processStopped":true}`)
	f.Add(`{"requestID":"r1","member":"shop-1","podUID":"","epoch":-1,"receiverStopped":true,"agentStart":"x"}`)
	f.Add(`{"epoch":7,"ceased":false,"demoted":true,"processStopped":true}`)
	f.Fuzz(func(t *testing.T, body string) {
		var reply agentapi.FenceReply
		if json.Unmarshal([]byte(body), &reply) != nil {
			return
		}
		now := time.Unix(1000, 0)
		subject := fencing.Subject{Member: "shop-0", PodUID: "pod-0"}
		book := fencing.NewBook()
		book.SawEpoch(7, now.Add(-time.Second))
		req, err := book.Ask(subject, 7, "r1", now)
		if err != nil {
			t.Fatal(err)
		}
		answers := reply.RequestID == "r1" && reply.Member == subject.Member && reply.PodUID == subject.PodUID && reply.Epoch >= 7 && reply.Ceased
		if proof, err := fencing.FromReply(req, reply, now.Add(time.Second)); err == nil {
			if !answers || (!reply.ProcessStopped && !reply.Demoted) {
				t.Errorf("%q proves %s", body, proof.Kind())
			}
		}
		other := fencing.Subject{Member: "shop-1", PodUID: "pod-1"}
		if proof, err := fencing.FromAckFence(other, req, reply, now.Add(time.Second)); err == nil {
			if !answers || !reply.ReceiverStopped {
				t.Errorf("%q proves %s", body, proof.Kind())
			}
		}
		if err := book.Ceased(req, reply, now.Add(time.Second)); err == nil && !answers {
			t.Errorf("%q counts as an answer", body)
		}
	})
}
