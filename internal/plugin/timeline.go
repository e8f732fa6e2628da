package plugin

import (
	"context"
	_ "embed"
	"fmt"
	"html/template"
	"io"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
)

//go:embed timeline.html
var timelineText string

var timelineTemplate = template.Must(template.New("timeline").Parse(timelineText))

// timeline is what the page of an operation shows. It depends on the operation alone.
type timeline struct {
	Name      string
	Namespace string
	Pair      string
	Type      string
	Phase     string
	// Mood colors the phase: good, bad or open.
	Mood    string
	Message string
	// Rule is the trigger, and Says what the tables of rules say about it.
	Rule    string
	Says    string
	Figures []figure
	Ticks   []tick
	Steps   []drawnStep
	Kinds   []stepKind
	// Unfinished: the axis ends at the last step.
	Unfinished bool
	GTIDs      []figure
	Cut        []string
	Facts      []figure
}

// figure is one value with its name, and what a reader should know about it.
type figure struct{ Name, Value, Note string }

// tick is a mark of the axis, at a share of its width in percent.
type tick struct {
	At   float64
	Text string
}

// drawnStep is a step as a bar; Left and Width are in percent of the axis.
type drawnStep struct {
	Step    string
	Kind    string
	Message string
	Offset  string
	Took    string
	Left    float64
	Width   float64
}

// stepKind is a group of steps with one color.
type stepKind struct{ Class, Text string }

var stepKinds = []stepKind{
	{"authority", "authority (Lease)"},
	{"proof", "close the former primary, and prove it"},
	{"clients", "sessions and Services of clients"},
	{"data", "data of a member"},
	{"other", "pods and records"},
}

// kindOfStep groups the steps that an operation records; all others are "other".
var kindOfStep = map[string]string{
	string(authority.ChangeBootstrap):           "authority",
	string(authority.ChangeRestartBootstrap):    "authority",
	string(authority.ChangeNameData):            "authority",
	string(authority.ChangeForgetData):          "authority",
	string(authority.ChangeRevoke):              "authority",
	string(authority.ChangeAppoint):             "authority",
	string(authority.ChangeEnterSolo):           "authority",
	string(authority.ChangeBeginJoining):        "authority",
	string(authority.ChangeConcludeBoth):        "authority",
	string(authority.ChangeAdopt):               "authority",
	string(failover.CreateAuthority{}.Name()):   "authority",
	string(failover.ConcludeJoining{}.Name()):   "authority",
	string(authority.ChangeRecordEnd):           "proof",
	string(failover.Fence{}.Name()):             "proof",
	string(failover.Cease{}.Name()):             "proof",
	string(failover.AckFence{}.Name()):          "proof",
	string(failover.ProvePod{}.Name()):          "proof",
	string(failover.ProveNode{}.Name()):         "proof",
	string(failover.AdminConfirmation{}.Name()): "proof",
	string(failover.Drain{}.Name()):             "clients",
	string(failover.Hold{}.Name()):              "clients",
	string(failover.ReleaseHeld{}.Name()):       "clients",
	string(failover.PointService{}.Name()):      "clients",
	string(failover.DetachService{}.Name()):     "clients",
	string(failover.Initialize{}.Name()):        "data",
	string(failover.Seed{}.Name()):              "data",
	string(failover.Rewind{}.Name()):            "data",
	string(failover.Discard{}.Name()):           "data",
	string(failover.GiveUpData{}.Name()):        "data",
}

// reportOperation writes the page of an operation.
func (s *session) reportOperation(ctx context.Context, c cluster, name string, o reportOptions) error {
	op := &v1alpha1.DatabasePairOperation{}
	err := c.client.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, op)
	switch {
	case apierrors.IsNotFound(err):
		return fmt.Errorf("no DatabasePairOperation %q in namespace %q: `kubectl dbpair history PAIR` lists those of a pair", name, c.namespace)
	case err != nil:
		return fmt.Errorf("read DatabasePairOperation %s/%s: %w", c.namespace, name, err)
	}
	var page strings.Builder
	if err := renderTimeline(&page, op); err != nil {
		return err
	}
	file := o.output
	if file == "" {
		file = name + ".html"
	}
	return s.deliver(file, []byte(page.String()))
}

// renderTimeline writes the page of an operation. All text of the operation is escaped.
func renderTimeline(out io.Writer, op *v1alpha1.DatabasePairOperation) error {
	if err := timelineTemplate.Execute(out, timelineOf(op)); err != nil {
		return fmt.Errorf("draw operation %s: %w", op.Name, err)
	}
	return nil
}

func timelineOf(op *v1alpha1.DatabasePairOperation) timeline {
	st := &op.Status
	t := timeline{
		Name:       op.Name,
		Namespace:  op.Namespace,
		Pair:       op.Spec.PairRef.Name,
		Type:       string(op.Spec.Type),
		Phase:      string(st.Phase),
		Mood:       "open",
		Message:    st.Message,
		Rule:       st.Rule,
		Says:       ruleWhy(st.Rule, failover.Situation{Begun: st.Epoch > 0, Held: st.From != ""}).Says,
		Unfinished: !st.Phase.Terminal(),
		GTIDs:      gtidsOf(st),
		Facts:      factsOf(op),
	}
	switch st.Phase {
	case v1alpha1.OperationSucceeded:
		t.Mood = "good"
	case v1alpha1.OperationFailed, v1alpha1.OperationAbandoned:
		t.Mood = "bad"
	case "":
		t.Phase = string(v1alpha1.OperationPending)
	default:
	}
	if st.Drain != nil {
		t.Cut = st.Drain.Sessions
	}
	begin, end := span(st)
	t.Figures = figuresOf(st)
	t.Ticks = ticksOf(end.Sub(begin))
	t.Steps = barsOf(st, begin, end)
	for _, kind := range stepKinds {
		if slices.ContainsFunc(t.Steps, func(d drawnStep) bool { return d.Kind == kind.Class }) {
			t.Kinds = append(t.Kinds, kind)
		}
	}
	return t
}

// span is from the begin of the first thing that is known of an operation to the end of the last.
func span(st *v1alpha1.OperationStatus) (begin, end time.Time) {
	widen := func(from, to time.Time) {
		if begin.IsZero() || from.Before(begin) {
			begin = from
		}
		if to.After(end) {
			end = to
		}
	}
	if st.StartTime != nil {
		widen(st.StartTime.Time, st.StartTime.Time)
	}
	if st.CompletionTime != nil {
		widen(st.CompletionTime.Time, st.CompletionTime.Time)
	}
	for _, e := range st.Timeline {
		widen(e.Time.Time, e.Time.Add(tookOf(e)))
	}
	return begin, end
}

// tookOf is how long a step took; 0 when that is not recorded.
func tookOf(e v1alpha1.OperationEvent) time.Duration {
	if e.Took == nil {
		return 0
	}
	return max(0, e.Took.Duration)
}

func barsOf(st *v1alpha1.OperationStatus, begin, end time.Time) []drawnStep {
	var out []drawnStep
	whole := end.Sub(begin)
	for _, e := range st.Timeline {
		kind := kindOfStep[e.Step]
		if kind == "" {
			kind = "other"
		}
		took := "-"
		if e.Took != nil {
			took = aligned(e.Took.Duration)
		}
		offset := e.Time.Sub(begin)
		out = append(out, drawnStep{
			Step:    e.Step,
			Kind:    kind,
			Message: e.Message,
			Offset:  "+" + aligned(offset),
			Took:    took,
			Left:    percent(offset, whole),
			Width:   percent(tookOf(e), whole),
		})
	}
	return out
}
