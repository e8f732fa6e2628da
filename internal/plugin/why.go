package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/failover"
)

const whyLong = `Say what the operator decided last about a pair, by which rule, on which facts, and what would change it.

All of it is what the operator has published: the pair's status, its conditions and events, and its operations. Nothing is
asked of the members; kubectl dbpair status does that.`

// eventsShown is how many of the newest events are shown.
const eventsShown = 10

// Why is what why prints, and its form with -o json or yaml.
type Why struct {
	Pair      string `json:"pair"`
	Namespace string `json:"namespace"`
	Primary   string `json:"primary"`
	Epoch     int64  `json:"epoch"`
	// Decision is the last one; nil when none is published.
	Decision *Decision `json:"decision,omitempty"`
	// Conditions that are not as they should be, with what the rule that is their reason says.
	Conditions []ConditionWhy `json:"conditions,omitempty"`
	// Authority, InSync and Members are what the decision was based on, as last published.
	Authority *v1alpha1.AuthorityStatus `json:"authority,omitempty"`
	InSync    []string                  `json:"inSync,omitempty"`
	Members   []v1alpha1.MemberStatus   `json:"members,omitempty"`
	// Operations that are not finished, and the last that is.
	Operations []OperationWhy `json:"operations,omitempty"`
	// Events are the newest, oldest first; EventsError says why they could not be read.
	Events      []EventWhy `json:"events,omitempty"`
	EventsError string     `json:"eventsError,omitempty"`
}

// Decision is a decision with what the rule says.
type Decision struct {
	v1alpha1.LastDecision `json:",inline"`
	RuleWhy               `json:",inline"`
}

// RuleWhy is what the tables of rules say about a rule; empty for one that they do not have.
type RuleWhy struct {
	Says    string `json:"says,omitempty"`
	Until   string `json:"until,omitempty"`
	Runbook string `json:"runbook,omitempty"`
}

// ConditionWhy is a condition with what the rule that is its reason says.
type ConditionWhy struct {
	metav1.Condition `json:",inline"`
	RuleWhy          `json:",inline"`
}

// OperationWhy is an operation in short.
type OperationWhy struct {
	Name    string `json:"name"`
	Type    string `json:"type"`
	Phase   string `json:"phase"`
	Trigger string `json:"trigger,omitempty"`
	Says    string `json:"says,omitempty"`
	Message string `json:"message,omitempty"`
}

// EventWhy is an event in short.
type EventWhy struct {
	Time    metav1.Time `json:"time"`
	Type    string      `json:"type"`
	Reason  string      `json:"reason"`
	Message string      `json:"message"`
}

func (s *session) whyCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "why PAIR",
		GroupID: "look",
		Short:   "Say what the operator decided last, by which rule, on which facts, and what would change it",
		Long:    whyLong,
		Example: "  kubectl dbpair why shop\n  kubectl dbpair why shop -o json",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			w, err := c.why(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if format != "" {
				return encode(s.streams.Out, format, w)
			}
			return renderWhy(s.streams.Out, w, paint(isTerminal(s.streams.Out)))
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml instead of text")
	return cmd
}

// knownFormat refuses what -o does not know.
func knownFormat(format string) error {
	if format != "" && format != "json" && format != "yaml" {
		return fmt.Errorf("-o %s is unknown: use json or yaml", format)
	}
	return nil
}

func encode(out io.Writer, format string, v any) error {
	if format == "json" {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		return encoder.Encode(v)
	}
	text, err := yaml.Marshal(v)
	if err != nil {
		return err
	}
	_, err = out.Write(text)
	return err
}

// why gathers what the operator has published about a pair. Events that may not be read are
// part of the answer, not an error.
func (c cluster) why(ctx context.Context, name string) (Why, error) {
	p, err := c.pair(ctx, name)
	if err != nil {
		return Why{}, err
	}
	all, err := c.operations(ctx, p)
	if err != nil {
		return Why{}, err
	}
	s := p.Status
	in := failover.Situation{Begun: s.Epoch > 0, Held: s.Primary != ""}
	w := Why{
		Pair:       p.Name,
		Namespace:  p.Namespace,
		Primary:    s.Primary,
		Epoch:      s.Epoch,
		Authority:  s.Authority,
		InSync:     s.InSync,
		Members:    s.Members,
		Operations: operationsWhy(all, in),
	}
	if d := s.LastDecision; d != nil {
		w.Decision = &Decision{LastDecision: *d, RuleWhy: ruleWhy(d.Rule, in)}
	}
	for _, condition := range s.Conditions {
		if string(condition.Status) != goodStatus(condition.Type) {
			w.Conditions = append(w.Conditions, ConditionWhy{Condition: condition, RuleWhy: ruleWhy(condition.Reason, in)})
		}
	}
	w.Events, err = c.events(ctx, p)
	if err != nil {
		w.EventsError = err.Error()
	}
	return w, nil
}

// ruleWhy is what the tables say about a rule.
func ruleWhy(name string, in failover.Situation) RuleWhy {
	rule, known := failover.Explain(failover.RuleName(name), in)
	out := RuleWhy{Says: rule.Says, Until: rule.Until}
	if known && rule.Doubt {
		out.Runbook = "docs/runbooks/" + name + ".md"
	}
	return out
}

// operationsWhy are the operations that are not finished, and the last that is.
func operationsWhy(all []v1alpha1.DatabasePairOperation, in failover.Situation) []OperationWhy {
	var out []OperationWhy
	var last *v1alpha1.DatabasePairOperation
	for i := range all {
		op := &all[i]
		switch at := op.Status.CompletionTime; {
		case !op.Status.Phase.Terminal():
			out = append(out, operationWhy(op, in))
		case at != nil && (last == nil || last.Status.CompletionTime.Before(at)):
			last = op
		}
	}
	if last != nil {
		out = append(out, operationWhy(last, in))
	}
	return out
}

func operationWhy(op *v1alpha1.DatabasePairOperation, in failover.Situation) OperationWhy {
	phase := op.Status.Phase
	if phase == "" {
		phase = v1alpha1.OperationPending
	}
	return OperationWhy{
		Name:    op.Name,
		Type:    string(op.Spec.Type),
		Phase:   string(phase),
		Trigger: op.Status.Rule,
		Says:    ruleWhy(op.Status.Rule, in).Says,
		Message: op.Status.Message,
	}
}

// events are the newest about the pair, oldest first.
func (c cluster) events(ctx context.Context, p *v1alpha1.DatabasePair) ([]EventWhy, error) {
	var list corev1.EventList
	err := c.client.List(ctx, &list, client.InNamespace(p.Namespace))
	switch {
	case apierrors.IsForbidden(err):
		return nil, fmt.Errorf("you may not list events in namespace %s", p.Namespace)
	case err != nil:
		return nil, fmt.Errorf("list the events of pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	var out []EventWhy
	for i := range list.Items {
		e := &list.Items[i]
		about := e.InvolvedObject
		if about.Kind != "DatabasePair" || about.Name != p.Name || about.UID != p.UID {
			continue
		}
		out = append(out, EventWhy{
			Time:    lastSeen(e),
			Type:    e.Type,
			Reason:  e.Reason,
			Message: e.Message,
		})
	}
	slices.SortStableFunc(out, func(a, b EventWhy) int { return a.Time.Compare(b.Time.Time) })
	return out[max(0, len(out)-eventsShown):], nil
}

// lastSeen is when an event happened last.
func lastSeen(e *corev1.Event) metav1.Time {
	newest := e.CreationTimestamp.Time
	times := []time.Time{e.LastTimestamp.Time, e.EventTime.Time}
	if e.Series != nil {
		times = append(times, e.Series.LastObservedTime.Time)
	}
	for _, t := range times {
		if t.After(newest) {
			newest = t
		}
	}
	return metav1.NewTime(newest)
}
