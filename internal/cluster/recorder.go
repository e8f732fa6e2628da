package cluster

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/execute"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// timelineLimit is the API's limit on the steps of an operation.
const timelineLimit = 64

// kept is how many entries are left to the decisive steps, which often come last.
const kept = 8

// Recorder keeps the operations of one pair. It implements execute.Recorder.
type Recorder struct {
	Client client.Client
	// Live reads operations uncached: the next note follows the last within milliseconds.
	Live client.Reader
	Pair *v1alpha1.DatabasePair
	Now  func() time.Time
	// Finished is called with an operation that has just ended. Optional.
	Finished func(v1alpha1.DatabasePairOperation)
}

var _ execute.Recorder = Recorder{}

// Types of the operations that verbs stand for.
var typeOf = map[failover.Verb]v1alpha1.OperationType{
	failover.VerbFailover:     v1alpha1.OperationFailover,
	failover.VerbAdopt:        v1alpha1.OperationAdopt,
	failover.VerbFence:        v1alpha1.OperationFence,
	failover.VerbConfirmDead:  v1alpha1.OperationConfirmDead,
	failover.VerbForcePromote: v1alpha1.OperationForcePromote,
	failover.VerbRelease:      v1alpha1.OperationRelease,
	failover.VerbReseed:       v1alpha1.OperationReseed,
	failover.VerbSwitchover:   v1alpha1.OperationSwitchover,
}

// VerbOf is the verb that an operation's type stands for.
func VerbOf(t v1alpha1.OperationType) failover.Verb {
	for verb, kind := range typeOf {
		if kind == t {
			return verb
		}
	}
	return failover.VerbNone
}

// LabelByOperator marks operations that the operator made.
const LabelByOperator = "dbpair.io/by-operator"

// Operation implements execute.Recorder.
func (r Recorder) Operation(ctx context.Context, n failover.OperationNote) error {
	op, err := r.get(ctx, n.Name)
	if apierrors.IsNotFound(err) && n.OnlyUpdate {
		return nil // it was deleted, which ends it
	}
	if apierrors.IsNotFound(err) {
		op, err = r.create(ctx, n)
	}
	if err != nil {
		return fmt.Errorf("operation %s: %w", n.Name, err)
	}
	if op.Status.Phase.Terminal() {
		return nil
	}
	base := op.DeepCopy()
	s := &op.Status
	s.Phase = n.Phase
	s.Message = n.Message
	if s.StartTime == nil && n.Phase != pair.OperationPending {
		now := metav1.NewMicroTime(r.Now())
		s.StartTime = &now
		s.Rule = string(n.Rule)
		s.Epoch = int64(n.Epoch)
		s.From = string(n.From)
	}
	if n.To != "" {
		s.To = string(n.To)
	}
	if n.Proof != "" {
		s.Proof = string(n.Proof)
	}
	noteGTIDs(s, n.GTIDs)
	noteDiscarded(s, n)
	noteDrain(s, n.Drained)
	noteHeld(s, n.Held)
	if n.WriteGap > 0 {
		s.WriteGap = &metav1.Duration{Duration: n.WriteGap.Round(time.Millisecond)}
	}
	if s.Phase.Terminal() {
		now := metav1.NewMicroTime(r.Now())
		s.CompletionTime = &now
	}
	if err := r.patch(ctx, op, base); err != nil {
		return fmt.Errorf("operation %s: %w", n.Name, err)
	}
	if s.Phase.Terminal() && r.Finished != nil {
		r.Finished(*op)
	}
	return nil
}

// Limits of the API on the sessions of a drain.
const (
	sessionsLimit = 20
	sessionLimit  = 512
)

// noteHeld keeps how many clients waited at the new primary's door; nothing when that is not known.
func noteHeld(s *v1alpha1.OperationStatus, h *failover.Held) {
	if h == nil {
		return
	}
	s.Held = &v1alpha1.OperationHeld{
		Clients: int32(min(h.Clients, math.MaxInt32)),
		Longest: metav1.Duration{Duration: h.Longest.Round(time.Millisecond)},
	}
}

// noteDrain keeps what became of the sessions.
func noteDrain(s *v1alpha1.OperationStatus, d *failover.Drained) {
	if d == nil {
		return
	}
	s.Drain = &v1alpha1.OperationDrain{Closed: int32(min(d.Closed, math.MaxInt32)), Cut: int32(min(d.Cut, math.MaxInt32))}
	for _, one := range d.Sessions[:min(len(d.Sessions), sessionsLimit)] {
		s.Drain.Sessions = append(s.Drain.Sessions, firstRunes(one, sessionLimit))
	}
}

// gtidLimit is the API's limit on a set of GTIDs, in bytes.
const gtidLimit = 2048

// mostFiles is the API's limit on the names of saved files.
const mostFiles = 64

// noteDiscarded keeps what a member gave up.
func noteDiscarded(s *v1alpha1.OperationStatus, n failover.OperationNote) {
	d := n.Discarded
	if d == nil {
		return
	}
	s.Discarded = &v1alpha1.DiscardedTransactions{
		GTIDs:        shortened(d.GTIDs),
		Transactions: int64(min(d.Transactions, math.MaxInt64)),
		Directory:    d.Directory,
		Files:        d.Files[:min(len(d.Files), mostFiles)],
		NotSaved:     shortened(d.NotSaved),
		Problem:      firstRunes(d.Problem, problemLimit),
	}
	for _, one := range d.List[:min(len(d.List), agentapi.MostGivenUp)] {
		s.Discarded.List = append(s.Discarded.List, discardedTransaction(one))
	}
	if len(s.Discarded.List) > 0 {
		s.Discarded.NotListed = max(0, s.Discarded.Transactions-int64(len(s.Discarded.List)))
	}
}

// Limits of the API on a transaction that was given up.
const (
	problemLimit   = 1024
	gtidTextLimit  = 128
	tableLimit     = 132
	statementLimit = 256
)

func discardedTransaction(one agentapi.QuarantineTransaction) v1alpha1.DiscardedTransaction {
	out := v1alpha1.DiscardedTransaction{
		GTID: firstRunes(one.GTID, gtidTextLimit),
		Time: metav1.NewTime(one.At),
	}
	for _, table := range one.Tables[:min(len(one.Tables), agentapi.MostGivenUpTables)] {
		out.Tables = append(out.Tables, v1alpha1.DiscardedRows{
			Table:    firstRunes(table.Schema+"."+table.Table, tableLimit),
			Inserted: table.Inserted,
			Updated:  table.Updated,
			Deleted:  table.Deleted,
		})
	}
	if len(one.Statements) > 0 {
		out.Statement = firstRunes(one.Statements[0], statementLimit)
	}
	return out
}

// firstRunes is the beginning of a text within a limit of the API, which counts runes.
func firstRunes(text string, most int) string {
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most])
	}
	return text
}

// shortened is a set of GTIDs within the API's limit.
func shortened(text string) string {
	const more = "…"
	if len(text) > gtidLimit {
		return text[:gtidLimit-len(more)] + more
	}
	return text
}

// noteGTIDs keeps what was noted first: later the members may have more.
func noteGTIDs(s *v1alpha1.OperationStatus, g failover.GTIDs) {
	if g == (failover.GTIDs{}) {
		return
	}
	if s.GTIDs == nil {
		s.GTIDs = &v1alpha1.OperationGTIDs{}
	}
	for into, text := range map[*string]string{
		&s.GTIDs.Received: g.Received,
		&s.GTIDs.Executed: g.Executed,
		&s.GTIDs.Promoted: g.Promoted,
		&s.GTIDs.Former:   g.Former,
	} {
		if *into == "" {
			*into = shortened(text)
		}
	}
}

// Timeline implements execute.Recorder.
func (r Recorder) Timeline(ctx context.Context, operation string, e execute.TimelineEntry) error {
	op, err := r.get(ctx, operation)
	if err != nil {
		return fmt.Errorf("operation %s: %w", operation, err)
	}
	limit := timelineLimit
	if !e.Decisive {
		limit -= kept
	}
	// A step that is tried again and again with the same end is one entry.
	again := slices.ContainsFunc(op.Status.Timeline, func(old v1alpha1.OperationEvent) bool {
		return old.Step == string(e.Step) && old.Message == e.Message
	})
	if op.Status.Phase.Terminal() || len(op.Status.Timeline) >= limit || again {
		return nil
	}
	base := op.DeepCopy()
	op.Status.Timeline = append(op.Status.Timeline, v1alpha1.OperationEvent{
		Step:    string(e.Step),
		Time:    metav1.NewMicroTime(e.At),
		Took:    &metav1.Duration{Duration: e.Took.Round(time.Microsecond)},
		Message: e.Message,
	})
	if err := r.patch(ctx, op, base); err != nil {
		return fmt.Errorf("timeline of operation %s: %w", operation, err)
	}
	return nil
}

func (r Recorder) get(ctx context.Context, name string) (*v1alpha1.DatabasePairOperation, error) {
	op := &v1alpha1.DatabasePairOperation{}
	return op, r.Live.Get(ctx, types.NamespacedName{Namespace: r.Pair.Namespace, Name: name}, op)
}

func (r Recorder) create(ctx context.Context, n failover.OperationNote) (*v1alpha1.DatabasePairOperation, error) {
	labels := resources.Labels(r.Pair.Name)
	labels[LabelByOperator] = "true"
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{
			Name:            n.Name,
			Namespace:       r.Pair.Namespace,
			Labels:          labels,
			OwnerReferences: []metav1.OwnerReference{resources.OwnerReference(r.Pair)},
		},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: r.Pair.Name},
			Type:    typeOf[n.Verb],
			Reason:  "by rule " + string(n.Rule),
		},
	}
	switch n.Verb {
	case failover.VerbSwitchover:
		// It has an end: nothing is left to do once this member is the primary.
		op.Spec.Target = string(n.To)
	case failover.VerbReseed:
		op.Spec.Target = string(n.Target)
	default:
	}
	return op, r.Client.Create(ctx, op, client.FieldOwner(FieldManager))
}

func (r Recorder) patch(ctx context.Context, op, base *v1alpha1.DatabasePairOperation) error {
	return r.Client.Status().Patch(ctx, op,
		client.MergeFromWithOptions(base, client.MergeFromWithOptimisticLock{}), client.FieldOwner(FieldManager))
}
