package judge_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agent/judge"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	ofPrimary = "00000000-0000-0000-0000-00000000000a"
	ofDump    = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
)

// purged is an answer of the primary.
func purged(data pair.DataID, gtids string) *agentapi.State {
	return &agentapi.State{DataID: data, Server: &agentapi.Server{PurgedGTIDs: gtids}}
}

func TestWhatThePeerCannotSendIsLacking(t *testing.T) {
	type look struct {
		peer     *agentapi.State
		received string
		want     string
	}
	const own = ofPrimary + ":1-10"
	many := make([]string, 100)
	for i := range many {
		many[i] = fmt.Sprintf("3e11fa47-71ca-11e1-9e33-c80aa94295%02x:1-%d", i, i+1)
	}
	hundred := strings.Join(many, ",")
	for name, looks := range map[string][]look{
		"nothing is purged": {
			{purged("data-0", ""), own, ""},
		},
		"what a dump left": {
			{purged("data-0", ofDump+":1-500"), own, ofDump + ":1-500"},
		},
		"tagged transactions": {
			{purged("data-0", ofDump+":1-5:nightly:1-7"), own + "," + ofDump + ":1-5", ofDump + ":nightly:1-7"},
		},
		"a hundred servers": {
			{purged("data-0", hundred), own, hundred},
			{purged("data-0", hundred), own + "," + hundred, ""},
		},
		"purged binary logs that were received by half": {
			{purged("data-0", ofPrimary+":1-8"), ofPrimary + ":1-6", ofPrimary + ":7-8"},
		},
		"purged binary logs that were received, with more on its way": {
			{purged("data-0", ofPrimary+":1-8"), ofPrimary + ":1-9", ""},
		},
		"a finding outlives the peer": {
			{purged("data-0", ofDump+":1-5"), own, ofDump + ":1-5"},
			{&agentapi.State{DataID: "data-0", Phase: agentapi.PhaseHeld}, own, ofDump + ":1-5"},
			{nil, own, ofDump + ":1-5"},
		},
		"other data of the peer is judged again": {
			{purged("data-0", ofDump+":1-5"), own, ofDump + ":1-5"},
			{purged("data-9", ""), own, ""},
		},
		"a copy of the peer has it all": {
			{purged("data-0", ofDump+":1-5"), own, ofDump + ":1-5"},
			{purged("data-0", ofDump+":1-5"), own + "," + ofDump + ":1-5", ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var p judge.Purged
			for i, l := range looks {
				got, of, err := p.Lacks(l.peer, mysqlops.Status{Received: gtid.MustParse(l.received)})
				if err != nil || !got.Equal(gtid.MustParse(l.want)) {
					t.Errorf("look %d: lacks %q (%v), want %q", i, got, err, l.want)
				}
				if l.peer != nil && of != l.peer.DataID {
					t.Errorf("look %d: about data %q", i, of)
				}
			}
		})
	}
}

func TestAPurgedSetThatMakesNoSenseIsNamed(t *testing.T) {
	var p judge.Purged
	if _, _, err := p.Lacks(purged("data-0", "many"), mysqlops.Status{}); err == nil {
		t.Error("no error")
	}
	if got, of, err := p.Lacks(nil, mysqlops.Status{}); err != nil || of != "" || !got.IsEmpty() {
		t.Errorf("before the first answer: %q of %q (%v)", got, of, err)
	}
}

// TestWhatWasItsOwnAndIsLostIsLacking: the member's volume went back, and the peer has what it had
// written before. A receiver leaves out the events of its own server (replicate_same_server_id), so
// replication never brings them back.
func TestWhatWasItsOwnAndIsLostIsLacking(t *testing.T) {
	const ofPeer = "00000000-0000-0000-0000-00000000000b"
	peer := func(executed string) *agentapi.State {
		return &agentapi.State{DataID: "data-1", Server: &agentapi.Server{GTIDExecuted: executed}}
	}
	for name, c := range map[string]struct {
		executed, received, want string
	}{
		"all is there":                        {ofPrimary + ":1-10," + ofPeer + ":1-5", ofPrimary + ":1-10", ""},
		"more of its own than the peer's":     {ofPrimary + ":1-10", ofPrimary + ":1-12", ""},
		"the last of its own are gone":        {ofPrimary + ":1-10," + ofPeer + ":1-5", ofPrimary + ":1-7", ofPrimary + ":8-10"},
		"what is merely on its way is not":    {ofPeer + ":1-5", ofPeer + ":1-3", ""},
		"tagged transactions are its own too": {ofPrimary + ":1-4:nightly:1-3", ofPrimary + ":1-4", ofPrimary + ":nightly:1-3"},
	} {
		t.Run(name, func(t *testing.T) {
			self, err := gtid.ParseServerUUID(ofPrimary)
			if err != nil {
				t.Fatal(err)
			}
			var p judge.Purged
			mine := mysqlops.Status{
				ServerUUID: self,
				Received:   gtid.MustParse(c.received),
			}
			if got, _, err := p.Lacks(peer(c.executed), mine); err != nil || !got.Equal(gtid.MustParse(c.want)) {
				t.Errorf("lacks %q (%v), want %q", got, err, c.want)
			}
		})
	}
}
