package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/status"
)

// agentTimeout bounds how long an agent is waited for: a hung node must not hang status.
const agentTimeout = 5 * time.Second

// Report is what status prints, and its form with -o json or yaml.
type Report struct {
	Pair      string `json:"pair"`
	Namespace string `json:"namespace"`
	Primary   string `json:"primary"`
	Epoch     int64  `json:"epoch"`
	Paused    bool   `json:"paused,omitempty"`
	// Confirm is what the verbs ask for now.
	Confirm            string             `json:"confirm"`
	InSync             []string           `json:"inSync"`
	Lag                string             `json:"lag,omitempty"`
	Members            []MemberReport     `json:"members"`
	PrivilegedAccounts []string           `json:"privilegedAccounts,omitempty"`
	Conditions         []metav1.Condition `json:"conditions"`
	LastFailover       string             `json:"lastFailover,omitempty"`
}

// MemberReport is one member: what the operator says of it, and what its agent says.
type MemberReport struct {
	v1alpha1.MemberStatus `json:",inline"`
	// Asked says why the agent did not answer; empty when it did.
	Asked string `json:"agentError,omitempty"`
	// KnownEpoch is the highest epoch the agent knows.
	KnownEpoch int64 `json:"knownEpoch,omitempty"`
	// Executed and Received are GTID sets; Missing is what the other member has
	// executed and this one has not received.
	Executed string `json:"executed,omitempty"`
	Received string `json:"received,omitempty"`
	Missing  string `json:"missing,omitempty"`
	// Errant is what the member has and the primary lacks, as its agent found.
	Errant string `json:"errant,omitempty"`
	// VolumeLow is the share of its volume, in percent, of which less is free; absent while more is.
	VolumeLow int `json:"volumeLow,omitempty"`
	// BinlogVolumeLow is the same of the volume of its binary logs, where they have one of their own.
	BinlogVolumeLow int `json:"binlogVolumeLow,omitempty"`
	// Waiting commits, and whether commits wait at all.
	WaitingCommits int  `json:"waitingCommits,omitempty"`
	Waits          bool `json:"waits,omitempty"`
	// BinlogReaders read this member's binary logs, and are not its peer.
	BinlogReaders []agentapi.BinlogReader `json:"binlogReaders,omitempty"`

	Problems []string `json:"problems,omitempty"`
}

// report gathers a pair's status and asks both agents. An agent that does not answer is
// part of the report, not an error.
func (c cluster) report(ctx context.Context, name string) (Report, error) {
	p, err := c.pair(ctx, name)
	if err != nil {
		return Report{}, err
	}
	s := p.Status
	r := Report{
		Pair:               p.Name,
		Namespace:          p.Namespace,
		Primary:            s.Primary,
		Epoch:              s.Epoch,
		Paused:             p.Spec.Paused,
		Confirm:            confirmation(p),
		InSync:             s.InSync,
		Lag:                s.Lag,
		PrivilegedAccounts: s.PrivilegedAccounts,
		Conditions:         s.Conditions,
		Members:            membersOf(p),
	}
	if s.LastFailover != nil {
		r.LastFailover = s.LastFailover.Operation
	}
	var asked sync.WaitGroup
	for i := range r.Members {
		asked.Go(func() { c.ask(ctx, &r.Members[i]) })
	}
	asked.Wait()
	compare(r.Members)
	return r, nil
}

// membersOf lists both members, also before the operator has seen them.
func membersOf(p *v1alpha1.DatabasePair) []MemberReport {
	var out []MemberReport
	for _, name := range pair.Members(p.Name) {
		m := MemberReport{MemberStatus: v1alpha1.MemberStatus{
			Name:  string(name),
			Role:  v1alpha1.RoleUnknown,
			State: "Unknown",
		}}
		for _, known := range p.Status.Members {
			if known.Name == m.Name {
				m.MemberStatus = known
			}
		}
		out = append(out, m)
	}
	return out
}

// ask fills in what the member's agent says, by running it in its own pod.
func (c cluster) ask(ctx context.Context, m *MemberReport) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       m.Name,
		argv:      []string{agentapi.BinDir + "/agent", "state"},
	})
	if err != nil {
		m.Asked = firstLine(err.Error())
		return
	}
	var state agentapi.State
	if err := json.Unmarshal(text, &state); err != nil {
		m.Asked = fmt.Sprintf("the agent's answer is no state: %v", err)
		return
	}
	m.State = string(state.Phase)
	m.KnownEpoch = int64(state.KnownEpoch)
	for _, problem := range state.Problems {
		m.Problems = append(m.Problems, string(problem.Code)+": "+problem.Message)
	}
	m.Errant = errantIn(state)
	m.VolumeLow = state.VolumeLow
	m.BinlogVolumeLow = state.BinlogVolumeLow
	m.Copy = status.CopyOf(&state)
	if s := state.Server; s != nil {
		m.Executed = oneLine(s.GTIDExecuted)
		m.Received = oneLine(s.GTIDReceived)
		m.Waits = s.Waiting
		m.WaitingCommits = s.WaitSessions
		m.BinlogReaders = s.BinlogReaders
	}
}

// errantIn is what the agent found that the primary lacks, in the present run of mysqld or before
// its start; empty for nothing.
func errantIn(state agentapi.State) string {
	if state.Phase == agentapi.PhaseHeld {
		return oneLine(state.TailKept)
	}
	found := state.Compared
	if found == nil || found.DataID != state.DataID || found.Incarnation != state.Mysqld.Incarnation {
		return ""
	}
	return oneLine(found.Errant)
}

// compare says what each member lacks of the other's transactions.
func compare(members []MemberReport) {
	for i := range members {
		other := members[1-i]
		has, err := gtid.Parse(members[i].Received)
		if err != nil || members[i].Executed == "" || other.Executed == "" {
			continue
		}
		done, errDone := gtid.Parse(members[i].Executed)
		theirs, errTheirs := gtid.Parse(other.Executed)
		if errDone != nil || errTheirs != nil {
			continue
		}
		members[i].Missing = theirs.Subtract(has.Union(done)).String()
	}
}

func confirmation(p *v1alpha1.DatabasePair) string {
	return fmt.Sprintf("%s/%d", p.Name, p.Status.Epoch)
}

func oneLine(text string) string { return strings.Join(strings.Fields(text), "") }

func firstLine(text string) string {
	line, _, _ := strings.Cut(text, "\n")
	return line
}
