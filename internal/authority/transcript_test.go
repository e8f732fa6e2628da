package authority

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"

	"github.com/dbpair/dbpair/internal/pair"
)

// TestTranscripts plays the files of testdata/transcripts: each command is an event, and its
// output what the machine does and how it stands then. Run with -rewrite to write them again.
func TestTranscripts(t *testing.T) {
	datadriven.Walk(t, "testdata/transcripts", func(t *testing.T, path string) {
		var p *player
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			if d.Cmd == "agent" {
				p = newPlayer(t, d)
				return p.tell(nil)
			}
			return p.tell(p.play(d))
		})
	})
}

// player is a machine whose volume takes every write at once.
type player struct {
	t    *testing.T
	m    *Machine
	now  Instant
	run  int
	seq  int
	disk Durable
}

// newPlayer starts an agent on a volume: agent known=<epoch> holder=<me|peer> openAt=<epoch>.
func newPlayer(t *testing.T, d *datadriven.TestData) *player {
	found := Durable{DataID: "data-0"}
	found.Known = epochArg(t, d, "known")
	found.OpenAt = epochArg(t, d, "openAt")
	if d.HasArg("holder") {
		found.Holder = holderArg(t, d)
		found.HolderRead = true
	}
	if d.HasArg("empty") {
		found.DataID = ""
	}
	cfg := testConfig()
	cfg.LeaseEvery = time.Hour // of the readings only those that something asks for
	p := &player{t: t, now: Instant(time.Hour), disk: found}
	p.m = NewMachine(cfg, found, p.now)
	p.m.Step(VolumeBeat{At: p.now, Begun: p.now})
	return p
}

func epochArg(t *testing.T, d *datadriven.TestData, name string) pair.Epoch {
	if !d.HasArg(name) {
		return 0
	}
	var e int64
	d.ScanArgs(t, name, &e)
	return pair.Epoch(e)
}

func textArg(t *testing.T, d *datadriven.TestData, name string) string {
	if !d.HasArg(name) {
		return ""
	}
	var text string
	d.ScanArgs(t, name, &text)
	return text
}

func holderArg(t *testing.T, d *datadriven.TestData) pair.Holder {
	switch textArg(t, d, "holder") {
	case "me":
		return me
	case "peer":
		return them
	case "former": // this member in another pod
		return pair.Holder{Member: me.Member, PodUID: "former-uid"}
	default:
		return pair.Holder{}
	}
}

// ledgerArg is ledger=<both|joining|solo> version=<n>; the first member is this one.
func ledgerArg(t *testing.T, d *datadriven.TestData) Ledger {
	version := pair.LedgerVersion(epochArg(t, d, "version"))
	switch textArg(t, d, "ledger") {
	case "solo":
		return soloOf(me.Member, version)
	case "joining":
		return Ledger{Version: version, State: Joining, First: me.Member}
	default:
		l := both(version)
		l.Incarnations = map[pair.MemberName]pair.Incarnation{me.Member: "run-1", them.Member: "peer-run"}
		return l
	}
}

func (p *player) play(d *datadriven.TestData) []Action {
	if d.Cmd == "after" {
		return p.pass(d)
	}
	return p.step(p.event(d))
}

// pass lets time go by: after for=<duration> [confirms=<epoch> [mysqld=<run>]]. The peer answers
// each question at once, if it confirms an epoch.
func (p *player) pass(d *datadriven.TestData) []Action {
	length, err := time.ParseDuration(textArg(p.t, d, "for"))
	if err != nil {
		p.t.Fatal(err)
	}
	confirms := epochArg(p.t, d, "confirms")
	run := pair.Incarnation("peer-run")
	if d.HasArg("mysqld") {
		run = pair.Incarnation(textArg(p.t, d, "mysqld"))
	}
	var out []Action
	for end := p.now.Add(length); ; {
		for n := len(p.m.ask.vouches); n > 0 && confirms > 0; n = len(p.m.ask.vouches) {
			out = append(out, p.step(p.confirmation(p.m.ask.vouches[n-1].nonce, confirms, run))...)
		}
		if p.now >= end {
			return out
		}
		p.now = min(max(p.m.NextWake(), p.now.Add(time.Millisecond)), end)
		out = append(out, p.step(VolumeBeat{At: p.now, Begun: p.now})...)
		out = append(out, p.step(Tick{At: p.now})...)
	}
}

func (p *player) confirmation(nonce string, known pair.Epoch, run pair.Incarnation) VouchAnswered {
	return VouchAnswered{
		At:         p.now,
		Nonce:      nonce,
		Epoch:      p.m.want.Known,
		Answered:   true,
		Given:      true,
		Data:       "data-1",
		Known:      known,
		Holder:     p.m.want.Holder,
		PeerMysqld: PeerMysqld{ReportsMysqld: true, Incarnation: run},
	}
}

func (p *player) event(d *datadriven.TestData) Event {
	switch d.Cmd {
	case "data":
		return DataReady{
			At:        p.now,
			DataID:    "data-0",
			EpochFile: true,
			Renewed:   d.HasArg("renewed"),
		}
	case "lease":
		if d.HasArg("away") {
			return LeaseRead{AskedAt: p.now, At: p.now, Outcome: ReadFailed}
		}
		rec := record(epochArg(p.t, d, "epoch"), holderArg(p.t, d), ledgerArg(p.t, d))
		return LeaseRead{
			AskedAt: p.now,
			At:      p.now,
			Outcome: ReadFound,
			Record:  rec,
		}
	case "peer-confirms":
		nonce := ""
		if n := len(p.m.ask.vouches); n > 0 {
			nonce = p.m.ask.vouches[n-1].nonce
		}
		return p.confirmation(nonce, epochArg(p.t, d, "known"), pair.Incarnation(textArg(p.t, d, "mysqld")))
	case "peer-asks":
		return VouchAsked{
			At:      p.now,
			PairUID: "pair",
			Asker:   them.Member,
			Epoch:   epochArg(p.t, d, "epoch"),
			Nonce:   "q",
		}
	case "mysqld-up":
		p.run++
		return MysqldUp{At: p.now, Incarnation: pair.Incarnation(fmt.Sprint("run-", p.run))}
	case "mysqld-ended":
		return MysqldExited{At: p.now}
	case "opened":
		return Opened{At: p.now, OK: !d.HasArg("failed")}
	case "closed":
		return Closed{At: p.now, Proven: !d.HasArg("unproven")}
	case "tail-covered":
		return TailCovered{At: p.now, Incarnation: p.m.run.incarnation}
	case "waiting-set":
		return WaitingSet{At: p.now, Version: p.m.run.asked, OK: true}
	case "order":
		p.seq++
		kind := CommandKind(textArg(p.t, d, "kind"))
		return Commanded{
			At:      p.now,
			ID:      fmt.Sprint("order-", p.seq),
			Kind:    kind,
			PairUID: "pair",
			Epoch:   epochArg(p.t, d, "epoch"),
			Ledger:  p.m.want.Ledger,
		}
	case "receiver-stopped":
		return ReceiverIsStopped{At: p.now, OK: true}
	case "sigterm":
		return Terminate{At: p.now, Until: p.now.Add(time.Minute)}
	default:
		p.t.Fatalf("%s: no such command: %s", d.Pos, d.Cmd)
		return nil
	}
}

func (p *player) step(e Event) []Action {
	out := p.m.Step(e)
	for _, a := range out {
		if w, ok := a.(Persist); ok {
			p.disk = w.Durable
			out = append(out, p.step(Persisted{At: p.now, Seq: w.Seq, OK: true})...)
		}
	}
	return out
}

// tell writes down what the machine did and how it stands.
func (p *player) tell(actions []Action) string {
	var b strings.Builder
	last := ""
	for _, a := range actions {
		line := p.describe(a)
		if line != "" && line != last {
			b.WriteString(line + "\n")
		}
		last = line
	}
	v := p.m.View()
	fmt.Fprintf(&b, "= %s, %s, epoch %d", v.Phase(), strings.ToLower(string(v.Serving)), v.Known)
	if v.OpenEpoch != 0 {
		fmt.Fprintf(&b, ", open at %d, commits wait: %v", v.OpenEpoch, v.Waiting)
	}
	if v.TailUncovered {
		b.WriteString(", the peer has not the whole binlog")
	}
	b.WriteString("\n")
	return b.String()
}

// describe is an action in words; empty for those that come with every step.
func (p *player) describe(a Action) string {
	switch act := a.(type) {
	case ReadLease:
		return "reads the Lease"
	case AskVouch:
		return fmt.Sprintf("asks the peer about epoch %d", act.Epoch)
	case AnswerVouch:
		if !act.Given {
			return "refuses to confirm: " + act.Why
		}
		return fmt.Sprintf("confirms epoch %d", act.Epoch)
	case Persist:
		d := act.Durable
		return fmt.Sprintf("writes to the volume: known %d, ceased %d, open at %d, tail committed %v, receiver stopped at %d",
			d.Known, d.Ceased, d.OpenAt, d.TailCommitted, d.ReceiverStopped)
	case StartMysqld:
		return "starts mysqld, closed"
	case Open:
		return fmt.Sprintf("opens mysqld at epoch %d, commits wait: %v", act.Epoch, act.Waiting)
	case Close:
		return "closes mysqld: " + act.Reason
	case Kill:
		return "kills mysqld: " + act.Reason
	case StopMysqld:
		return "ends mysqld cleanly"
	case SetSemiSync:
		return fmt.Sprintf("has commits wait: %v, by ledger version %d", act.Waiting, act.Version)
	case CheckTail:
		return "asks whether the peer has the whole binlog"
	case StopReceiver:
		return fmt.Sprintf("stops the receiver for epoch %d", act.Epoch)
	case Follow:
		return fmt.Sprintf("follows the peer at epoch %d", act.Epoch)
	case Answer:
		return fmt.Sprintf("answers %s: epoch %d, ceased %v, process stopped %v, demoted %v, receiver stopped %v",
			act.Kind, act.Epoch, act.Ceased, act.ProcessStopped, act.Demoted, act.ReceiverStopped)
	case Refuse:
		return "refuses the order: " + act.Why
	case Exit:
		return "ends"
	case SetDeadman:
		return ""
	default:
		return fmt.Sprintf("%T", a)
	}
}
