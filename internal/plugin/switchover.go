package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

const switchoverLong = `Make the other member the primary, without loss of a write.

New clients are led away from the primary, sessions outside a transaction are closed, and transactions in flight may end
until the drain timeout. Then the primary is closed, the other member receives everything it has, and becomes the primary.
A pair that is not fit for it is waited for until the deadline. Until the primary is revoked, and where it can still go on
afterwards, a switchover that fails or is canceled leaves it the primary.`

// switchoverFlags are what the caller of switchover gave.
type switchoverFlags struct {
	to, reason            string
	oldPrimary, onTimeout string
	drainTimeout          time.Duration
	deadline              time.Duration
	dryRun, wait          bool
}

func (s *session) switchoverCommand() *cobra.Command {
	var f switchoverFlags
	cmd := &cobra.Command{
		Use:     "switchover PAIR",
		GroupID: "roles",
		Short:   "Make the other member the primary, without loss of a write",
		Long:    switchoverLong,
		Example: "  kubectl dbpair switchover shop --dry-run\n  kubectl dbpair switchover shop --to shop-1 --old-primary Demote --wait",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			if f.dryRun {
				return s.preflight(cmd.Context(), c, args[0], f)
			}
			return s.switchover(cmd.Context(), c, args[0], f)
		},
	}
	cmd.Flags().StringVar(&f.to, "to", "", "the member that becomes the primary; the passive when absent")
	cmd.Flags().StringVar(&f.reason, "reason", "", "why, for the record")
	cmd.Flags().StringVar(&f.oldPrimary, "old-primary", "", "DeletePod or Demote; spec.switchover of the pair when absent")
	cmd.Flags().StringVar(&f.onTimeout, "on-timeout", "", "Cut or GiveUp; spec.switchover of the pair when absent")
	cmd.Flags().DurationVar(&f.drainTimeout, "drain-timeout", 0,
		"how long transactions in flight may take; spec.switchover of the pair when absent")
	cmd.Flags().DurationVar(&f.deadline, "deadline", 0, "how long all of it may take; spec.switchover of the pair when absent")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say whether the pair is fit and what each session would lose, and do nothing")
	cmd.Flags().BoolVarP(&f.wait, "wait", "w", false, "show the progress and wait for the end")
	return cmd
}

// check refuses what the pair's status shows to be pointless.
func (f switchoverFlags) check(p *v1alpha1.DatabasePair) error {
	members := pair.Members(p.Name)
	switch {
	case f.to != "" && f.to != string(members[0]) && f.to != string(members[1]):
		return fmt.Errorf("%q is no member of pair %q: its members are %s and %s", f.to, p.Name, members[0], members[1])
	case f.to != "" && f.to == p.Status.Primary:
		return fmt.Errorf("%s is the primary of pair %q already", f.to, p.Name)
	case p.Spec.Paused:
		return fmt.Errorf("pair %q is paused: the operator changes nothing until spec.paused is false", p.Name)
	}
	return nil
}

func (f switchoverFlags) spec() v1alpha1.OperationSpec {
	out := v1alpha1.OperationSpec{
		Type:   v1alpha1.OperationSwitchover,
		Target: f.to,
		Reason: f.reason,
		Switchover: &v1alpha1.SwitchoverParameters{
			OldPrimary: v1alpha1.OldPrimary(f.oldPrimary),
			OnTimeout:  v1alpha1.OnDrainTimeout(f.onTimeout),
		},
	}
	if f.drainTimeout > 0 {
		out.Switchover.DrainTimeout = &metav1.Duration{Duration: f.drainTimeout}
	}
	if f.deadline > 0 {
		out.Deadline = &metav1.Duration{Duration: f.deadline}
	}
	return out
}

func (s *session) switchover(ctx context.Context, c cluster, name string, f switchoverFlags) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	if err := f.check(p); err != nil {
		return err
	}
	spec := f.spec()
	spec.Confirm = confirmation(p)
	return s.start(ctx, c, name, spec, f.wait)
}

// preflight says whether the pair is fit for a switchover and what each session would lose.
func (s *session) preflight(ctx context.Context, c cluster, name string, f switchoverFlags) error {
	r, err := c.report(ctx, name)
	if err != nil {
		return err
	}
	p, err := c.pair(ctx, name)
	if err != nil {
		return err
	}
	if err := f.check(p); err != nil {
		return err
	}
	var out strings.Builder
	why := unfit(r)
	fmt.Fprintf(&out, "Switchover of pair %s from %s\n", r.Pair, dash(r.Primary))
	if len(why) == 0 {
		fmt.Fprintf(&out, "  fit: the passive is in sync and applies what it receives\n")
	}
	for _, one := range why {
		fmt.Fprintf(&out, "  not fit: %s\n", one)
	}
	if r.Primary != "" {
		sessions, err := c.sessions(ctx, r.Primary)
		if err != nil {
			return err
		}
		renderSessions(&out, sessions, drainTimeoutOf(p, f))
	}
	if _, err := io.WriteString(s.streams.Out, out.String()); err != nil {
		return err
	}
	if len(why) > 0 {
		return errors.New("the pair is not fit for a switchover now")
	}
	return nil
}

func drainTimeoutOf(p *v1alpha1.DatabasePair, f switchoverFlags) time.Duration {
	if f.drainTimeout > 0 {
		return f.drainTimeout
	}
	return p.Spec.Switchover.DrainTimeout.Duration
}

// unfit are the reasons for which a switchover would wait, by the pair's status and its agents.
func unfit(r Report) []string {
	var out []string
	if r.Primary == "" {
		out = append(out, "no member is the primary")
	}
	for _, c := range r.Conditions {
		if (c.Type == v1alpha1.ConditionAvailable || c.Type == v1alpha1.ConditionFailoverReady) && c.Status != metav1.ConditionTrue {
			out = append(out, fmt.Sprintf("%s is %s: %s", c.Type, c.Status, c.Message))
		}
	}
	for _, m := range r.Members {
		switch {
		case m.Asked != "":
			out = append(out, fmt.Sprintf("the agent of %s did not answer: %s", m.Name, m.Asked))
		case m.Role == v1alpha1.RolePassive && m.LagSeconds != nil && *m.LagSeconds > 0:
			out = append(out, fmt.Sprintf("%s lags by %ds", m.Name, *m.LagSeconds))
		}
	}
	return out
}

// sessions asks the agent of a member for the sessions of its clients.
func (c cluster) sessions(ctx context.Context, member string) ([]agentapi.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       member,
		argv:      []string{agentapi.BinDir + "/agent", "sessions"},
	})
	if err != nil {
		return nil, fmt.Errorf("list the sessions of %s: %w", member, err)
	}
	var reply agentapi.SessionsReply
	if err := json.Unmarshal(text, &reply); err != nil {
		return nil, fmt.Errorf("list the sessions of %s: %w", member, err)
	}
	return reply.Sessions, nil
}

func renderSessions(b *strings.Builder, all []agentapi.Session, limit time.Duration) {
	idle := 0
	rows := [][]string{{"SESSION", "USER", "HOST", "AGE", "STATEMENT", "WOULD LOSE"}}
	for _, one := range all {
		if !one.InFlight {
			idle++
			continue
		}
		loses := fmt.Sprintf("its transaction, unless it ends within %s", limit)
		if one.DDL {
			loses = "nothing: a change of a definition is waited for"
		}
		rows = append(rows, []string{
			fmt.Sprint(one.ID), one.User, one.Host, one.Age.Round(time.Millisecond).String(), dash(one.Statement), loses,
		})
	}
	fmt.Fprintf(b, "  %d idle sessions would be closed and lose nothing but their connection\n", idle)
	if len(rows) > 1 {
		b.WriteString("\n")
		table(b, rows)
	}
}

func (s *session) cancelCommand() *cobra.Command {
	var reason string
	cmd := &cobra.Command{
		Use:     "cancel PAIR [OPERATION]",
		GroupID: "roles",
		Short:   "Cancel a switchover that is not done yet: the primary goes on",
		Example: "  kubectl dbpair cancel shop",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return errors.New("name the pair, and the operation if there are several, as in: kubectl dbpair cancel shop")
			}
			return nil
		},
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			return s.cancel(cmd.Context(), c, args, reason)
		},
	}
	cmd.Flags().StringVar(&reason, "reason", "by kubectl dbpair cancel", "why, for the record")
	return cmd
}

// cancel marks every unfinished switchover of the pair, or the one that is named.
func (s *session) cancel(ctx context.Context, c cluster, args []string, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return errors.New("--reason is empty: say why")
	}
	p, err := c.pair(ctx, args[0])
	if err != nil {
		return err
	}
	all, err := c.operations(ctx, p)
	if err != nil {
		return err
	}
	canceled := 0
	for i := range all {
		op := &all[i]
		asked := len(args) < 2 || op.Name == args[1]
		if op.Spec.Type != v1alpha1.OperationSwitchover || op.Status.Phase.Terminal() || !asked {
			continue
		}
		base := op.DeepCopy()
		if op.Annotations == nil {
			op.Annotations = map[string]string{}
		}
		op.Annotations[v1alpha1.AnnotationCancel] = reason
		if err := c.client.Patch(ctx, op, client.MergeFrom(base)); err != nil {
			return fmt.Errorf("cancel operation %s: %w", op.Name, err)
		}
		canceled++
		if _, err := fmt.Fprintf(s.streams.Out, "databasepairoperation.dbpair.io/%s is being canceled\n", op.Name); err != nil {
			return err
		}
	}
	if canceled == 0 {
		return fmt.Errorf("pair %q has no unfinished switchover%s", p.Name, named(args))
	}
	return nil
}

func named(args []string) string {
	if len(args) == 2 {
		return fmt.Sprintf(" named %q", args[1])
	}
	return ""
}
