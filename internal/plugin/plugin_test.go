package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

var update = flag.Bool("update", false, "write the golden files again")

const (
	uuid0 = "11111111-1111-1111-1111-111111111111"
	uuid1 = "22222222-2222-2222-2222-222222222222"
)

// fakeExecer answers `agent state` from a table and keeps what else was run.
type fakeExecer struct {
	states map[string]agentapi.State
	ran    *podCommand
	// server answers what a dump may hold; read is what the client was given to read.
	server *accepted
	read   string
	// volumes are where members have their volumes, for `agent quarantine`; damage changes what it
	// prints.
	volumes map[string]string
	damage  func([]byte) []byte
	// answers is what `agent quarantine` prints, where that does not come from volumes.
	answers func(pod string, args []string) string
	// reads is how much of its input the client reads before it ends well; all when zero.
	reads int64
	// tables answers which tables the server has; none when empty.
	tables []string
	// mysql runs the mysql client with these arguments, in place of all answers above.
	mysql func(args []string, streams genericiooptions.IOStreams) error
}

func (f *fakeExecer) run(_ context.Context, c podCommand, streams genericiooptions.IOStreams) error {
	if root := asRoot(); f.mysql != nil && c.argv[0] == root[0] {
		return f.mysql(c.argv[len(root):], streams)
	}
	if strings.Contains(c.argv[len(c.argv)-1], tablesQuery) {
		return json.NewEncoder(streams.Out).Encode(append([]string{}, f.tables...))
	}
	if c.interactive {
		f.ran = &c
		in := streams.In
		if f.reads > 0 {
			in = io.LimitReader(in, f.reads)
		}
		text, err := io.ReadAll(in)
		f.read = string(text)
		return err
	}
	if f.answers != nil && c.argv[1] == "quarantine" {
		_, err := io.WriteString(streams.Out, f.answers(c.pod, c.argv[2:]))
		return err
	}
	if volume := f.volumes[c.pod]; volume != "" && c.argv[1] == "quarantine" {
		return f.quarantine(volume, c.argv[2:], streams)
	}
	if f.server != nil {
		return json.NewEncoder(streams.Out).Encode(f.server)
	}
	state, ok := f.states[c.pod]
	if !ok {
		return errors.New("the container mysqld of pod " + c.pod + " is not running")
	}
	return json.NewEncoder(streams.Out).Encode(state)
}

// world is a cluster with these objects, seen through the plugin.
type world struct {
	client client.Client
	execer *fakeExecer
	logs   fakeLogs
}

func newWorld(t *testing.T, objects ...client.Object) *world {
	t.Helper()
	all, err := newScheme()
	if err != nil {
		t.Fatal(err)
	}
	return &world{
		client: fake.NewClientBuilder().WithScheme(all).WithObjects(objects...).Build(),
		execer: &fakeExecer{states: map[string]agentapi.State{}},
	}
}

// call runs the plugin with these arguments and what is typed.
func (w *world) call(t *testing.T, typed string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e bytes.Buffer
	s := &session{
		streams: genericiooptions.IOStreams{In: strings.NewReader(typed), Out: &o, ErrOut: &e},
		connect: func() (cluster, error) {
			return cluster{
				client:    w.client,
				execer:    w.execer,
				logs:      w.logs,
				namespace: "default",
			}, nil
		},
	}
	root := s.command("test")
	root.SetArgs(args)
	err = root.ExecuteContext(t.Context())
	return o.String(), e.String(), err
}

func condition(kind string, status metav1.ConditionStatus, reason, message string) metav1.Condition {
	return metav1.Condition{
		Type:               kind,
		Status:             status,
		Reason:             reason,
		Message:            message,
		LastTransitionTime: metav1.NewTime(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)),
	}
}

func healthy() *v1alpha1.DatabasePair {
	lag := int64(0)
	return &v1alpha1.DatabasePair{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "default"},
		Status: v1alpha1.DatabasePairStatus{
			Primary: "shop-0",
			Epoch:   12,
			InSync:  []string{"shop-0", "shop-1"},
			Lag:     "0s",
			Members: []v1alpha1.MemberStatus{
				{
					Name:         "shop-0",
					Role:         v1alpha1.RolePrimary,
					State:        "Open",
					Node:         "worker-1",
					MySQLVersion: "9.7.4",
				},
				{
					Name:         "shop-1",
					Role:         v1alpha1.RolePassive,
					State:        "Closed",
					Node:         "worker-2",
					MySQLVersion: "9.7.4",
					LagSeconds:   &lag,
				},
			},
			Conditions: []metav1.Condition{
				condition(v1alpha1.ConditionReady, metav1.ConditionTrue, "Steady", "the pair is as wished"),
				condition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, "Steady", "shop-0 accepts writes"),
				condition(v1alpha1.ConditionFailoverReady, metav1.ConditionTrue, "Steady", "shop-1 can take over"),
				condition(v1alpha1.ConditionInDoubt, metav1.ConditionFalse, "Steady", "nothing is in doubt"),
			},
		},
	}
}

func doubtful() *v1alpha1.DatabasePair {
	p := healthy()
	p.Spec.Paused = true
	p.Status.Primary = ""
	p.Status.InSync = []string{"shop-1"}
	p.Status.PrivilegedAccounts = []string{"admin@%"}
	p.Status.LastFailover = &v1alpha1.LastFailover{Operation: "shop-failover-1", Proof: "PodTerminated"}
	p.Status.Members[0].State, p.Status.Members[0].Problem = "Unreachable", "the node worker-1 does not answer"
	p.Status.Conditions = []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "NoTrustedCopy", "nobody accepts writes"),
		condition(v1alpha1.ConditionInDoubt, metav1.ConditionTrue, "NoTrustedCopy",
			"no reachable member is known to hold every write: kubectl dbpair force-promote shop shop-1"),
	}
	return p
}

// unready serves, and could not fail over.
func unready() *v1alpha1.DatabasePair {
	p := healthy()
	const message = "shop-1 has 3 transactions that shop-0 has not; what each side changed, and the ways out: kubectl dbpair divergence shop -n default"
	p.Status.Conditions = []metav1.Condition{
		condition(v1alpha1.ConditionReady, metav1.ConditionFalse, "Diverged", message),
		condition(v1alpha1.ConditionAvailable, metav1.ConditionTrue, "Steady", "shop-0 accepts writes"),
		condition(v1alpha1.ConditionFailoverReady, metav1.ConditionFalse, "Diverged", message),
		condition(v1alpha1.ConditionInDoubt, metav1.ConditionFalse, "Steady", "nothing is in doubt"),
	}
	return p
}

func TestStatus(t *testing.T) {
	states := func(missing bool) map[string]agentapi.State {
		executed := uuid0 + ":1-10,\n" + uuid1 + ":1-3"
		passive := executed
		known := pair.Epoch(12)
		var problems []agentapi.Problem
		if missing {
			passive = uuid0 + ":1-8"
			known = 13
			problems = []agentapi.Problem{{Code: agentapi.ProblemVolumeFull, Message: "the volume is full: enlarge it"}}
		}
		return map[string]agentapi.State{
			"shop-0": {
				Member:     "shop-0",
				KnownEpoch: 12,
				Phase:      agentapi.PhaseOpen,
				Server: &agentapi.Server{
					GTIDExecuted: executed,
					GTIDReceived: executed,
					Waiting:      true,
					WaitSessions: 2,
				},
			},
			"shop-1": {
				Member:     "shop-1",
				KnownEpoch: known,
				Phase:      agentapi.PhaseClosed,
				Problems:   problems,
				Server: &agentapi.Server{
					GTIDExecuted: passive,
					GTIDReceived: passive,
					BinlogReaders: []agentapi.BinlogReader{
						{User: "cdc", From: "10.0.3.7:40001", CaughtUp: true},
						{User: "warehouse", From: "10.0.9.1:40002", ReplicaUUID: "33333333-3333-3333-3333-333333333333"},
					},
				},
			},
		}
	}
	tests := map[string]struct {
		pair   *v1alpha1.DatabasePair
		states map[string]agentapi.State
		args   []string
	}{
		"healthy":       {healthy(), states(false), nil},
		"wide":          {healthy(), states(false), []string{"-o", "wide"}},
		"not-ready":     {unready(), states(false), nil},
		"behind":        {healthy(), states(true), []string{"-o", "wide"}},
		"doubt":         {doubtful(), nil, nil},
		"never-visited": {&v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "default"}}, nil, nil},
		"json":          {healthy(), states(false), []string{"-o", "json"}},
		"yaml":          {doubtful(), states(true), []string{"-o", "yaml"}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, tt.pair)
			w.execer.states = tt.states
			out, _, err := w.call(t, "", append([]string{"status", "shop"}, tt.args...)...)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name+".txt", out)
		})
	}
}

// golden compares with a file of testdata, or writes it with -update.
func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestVerbs(t *testing.T) {
	tests := map[string]struct {
		typed   string
		args    []string
		want    *v1alpha1.OperationSpec
		wantErr string
	}{
		"typed confirmation makes the operation": {"shop/12\n", []string{"force-promote", "shop", "shop-1", "--reason", "n1 burnt"},
			&v1alpha1.OperationSpec{
				PairRef: v1alpha1.PairReference{Name: "shop"},
				Type:    v1alpha1.OperationForcePromote,
				Target:  "shop-1",
				Reason:  "n1 burnt",
				Confirm: "shop/12",
			}, ""},
		"--confirm needs no typing": {"", []string{"fence", "shop", "--confirm", "shop/12"},
			&v1alpha1.OperationSpec{PairRef: v1alpha1.PairReference{Name: "shop"}, Type: v1alpha1.OperationFence, Confirm: "shop/12"}, ""},
		"yes is not a confirmation":            {"yes\n", []string{"adopt", "shop", "shop-0"}, nil, "not confirmed"},
		"end of input is not a confirmation":   {"", []string{"release", "shop"}, nil, "not confirmed"},
		"an old epoch is refused":              {"", []string{"confirm-dead", "shop", "shop-0", "--confirm", "shop/11"}, nil, "the pair is at shop/12 now"},
		"a member of another pair is refused":  {"shop/12\n", []string{"adopt", "shop", "till-0"}, nil, "its members are shop-0 and shop-1"},
		"a targeted verb needs its member":     {"", []string{"adopt", "shop"}, nil, "name the pair and the member"},
		"a pair that does not exist is named":  {"", []string{"fence", "till", "--confirm", "till/1"}, nil, `no DatabasePair "till" in namespace "default"`},
		"an untargeted verb takes only a pair": {"", []string{"fence", "shop", "shop-1"}, nil, "name one pair"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy())
			_, _, err := w.call(t, tt.typed, tt.args...)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			var ops v1alpha1.DatabasePairOperationList
			if err := w.client.List(t.Context(), &ops); err != nil {
				t.Fatal(err)
			}
			var got *v1alpha1.OperationSpec
			if len(ops.Items) > 0 {
				got = &ops.Items[0].Spec
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("operation (-want +got):\n%s", diff)
			}
		})
	}
}

// A promotion that may discard prints what it would lose, also when it does not ask.
func TestAForcedPromotionShowsWhatItMayDiscard(t *testing.T) {
	executed := agentapi.Server{GTIDExecuted: uuid0 + ":1-4", GTIDReceived: uuid0 + ":1-7"}
	applied := agentapi.Server{GTIDExecuted: uuid0 + ":1-7", GTIDReceived: uuid0 + ":1-7"}
	tests := map[string]struct {
		server *agentapi.Server
		args   []string
		says   string
	}{
		"what it has not applied": {&executed, nil, "3 transactions and not applied them:\n  " + uuid0 + ":5-7"},
		"also with --confirm":     {&executed, []string{"--confirm", "shop/12"}, uuid0 + ":5-7"},
		"that there is nothing":   {&applied, nil, "nothing to discard"},
		"that mysqld is silent":   {&agentapi.Server{}, nil, "is not known"},
		"that the agent is":       {nil, nil, "is not known"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy())
			if tt.server != nil {
				w.execer.states["shop-1"] = agentapi.State{Phase: agentapi.PhaseClosed, Server: tt.server}
			}
			args := append([]string{"force-promote", "shop", "shop-1", "--discard-unapplied"}, tt.args...)
			_, asked, err := w.call(t, "shop/12\n", args...)
			if err != nil || !strings.Contains(asked, tt.says) {
				t.Errorf("error %v, printed %q, want %q", err, asked, tt.says)
			}
			var ops v1alpha1.DatabasePairOperationList
			if err := w.client.List(t.Context(), &ops); err != nil || len(ops.Items) != 1 || !ops.Items[0].Spec.DiscardUnapplied {
				t.Errorf("operations %+v, %v", ops.Items, err)
			}
		})
	}
	if _, _, err := newWorld(t, healthy()).call(t, "", "fence", "shop", "--discard-unapplied"); err == nil {
		t.Error("another verb takes the flag")
	}
}

func TestVerbSaysWhatMayBeLostBeforeItAsks(t *testing.T) {
	for _, v := range verbs {
		args := []string{v.name, "shop"}
		if v.targeted {
			args = append(args, "shop-1")
		}
		_, asked, _ := newWorld(t, healthy()).call(t, "no\n", args...)
		if (!strings.Contains(asked, "lost") && !strings.Contains(asked, "held back")) || !strings.Contains(asked, "Type shop/12") || strings.Contains(asked, "%!") {
			t.Errorf("%s asks:\n%s", v.name, asked)
		}
	}
}

func TestMySQL(t *testing.T) {
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop-config", Namespace: "default"},
		Data: map[string]string{agentapi.ConfigFile: `{"appUser":"app","appSchema":"app"}`}}
	tests := map[string]struct {
		args    []string
		pod     string
		tail    []string
		wantErr string
	}{
		"the primary as the application": {[]string{"shop"}, "shop-0", []string{"/etc/dbpair/internal/app", "app", "--database=app"}, ""},
		"the passive with a statement": {[]string{"shop", "--passive", "--", "-e", "SELECT 1"}, "shop-1",
			[]string{"/etc/dbpair/internal/app", "app", "--database=app", "-e", "SELECT 1"}, ""},
		"root":                         {[]string{"shop", "--root"}, "shop-0", []string{"/etc/dbpair/internal/root", "root"}, ""},
		"a member by name":             {[]string{"shop", "--member", "shop-1", "--root"}, "shop-1", []string{"/etc/dbpair/internal/root", "root"}, ""},
		"a member of another pair":     {[]string{"shop", "--member", "till-1"}, "", nil, "name shop-0 or shop-1"},
		"statements belong after --":   {[]string{"shop", "SELECT 1"}, "", nil, "follow --"},
		"no pair":                      {[]string{}, "", nil, "name one pair"},
		"a pair that does not exist":   {[]string{"till"}, "", nil, `no DatabasePair "till"`},
		"no pair but client arguments": {[]string{"--", "-e", "SELECT 1"}, "", nil, "name one pair"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy(), config)
			_, _, err := w.call(t, "", append([]string{"mysql"}, tt.args...)...)
			if tt.wantErr != "" {
				if err == nil || !strings.Contains(err.Error(), tt.wantErr) {
					t.Fatalf("error %v, want one with %q", err, tt.wantErr)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			want := podCommand{
				namespace:   "default",
				pod:         tt.pod,
				interactive: true,
				argv:        append([]string{"sh", "-c", shell, "sh", socketPath}, tt.tail...),
			}
			if diff := cmp.Diff(&want, w.execer.ran, cmp.AllowUnexported(podCommand{})); diff != "" {
				t.Errorf("command (-want +got):\n%s", diff)
			}
		})
	}
}

func TestMySQLWithoutPrimaryLeadsToAMember(t *testing.T) {
	w := newWorld(t, doubtful())
	if _, _, err := w.call(t, "", "mysql", "shop", "--root", "--member", "shop-1"); err != nil || w.execer.ran.pod != "shop-1" {
		t.Fatalf("ran %+v, error %v", w.execer.ran, err)
	}
}

func TestMySQLWithoutPrimarySaysWhereToLook(t *testing.T) {
	_, _, err := newWorld(t, doubtful()).call(t, "", "mysql", "shop")
	if err == nil || !strings.Contains(err.Error(), "kubectl dbpair status shop") {
		t.Fatalf("error %v", err)
	}
}
