package plugin

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
)

const divergenceLong = `Show what each member has that the other lacks: both sets of transactions side by side, how many rows of which
tables each side changed, read from the members' binary logs, and the ways out with what each of them loses.

Both members have transactions of their own after a forced promotion, or when someone wrote to the passive as root. It only reads, and works
whether mysqld runs or not, as long as the members' containers do. -o json or yaml has the same for programs.`

// Divergence is what divergence prints, and its form with -o json or yaml.
type Divergence struct {
	Pair      string `json:"pair"`
	Namespace string `json:"namespace"`
	// Sides are the members, the primary first where there is one.
	Sides []Side `json:"sides"`
	// Ways out; none while nothing has diverged.
	Ways []Way `json:"ways,omitempty"`
}

// Side is what one member has that the other lacks.
type Side struct {
	Member string `json:"member"`
	Role   string `json:"role"`
	State  string `json:"state"`
	// GTIDs that the other member lacks. Those of the primary count only once the other one has
	// diverged: it would receive them otherwise.
	GTIDs string `json:"gtids,omitempty"`
	// Changes are what they changed; absent for none.
	Changes *agentapi.BinlogChanges `json:"changes,omitempty"`

	own, has gtid.Set
}

// Way is one way out of a divergence.
type Way struct {
	// Keep is the member whose data becomes the pair's.
	Keep string `json:"keep"`
	// Commands in their order; none while this way is not open.
	Commands []string `json:"commands,omitempty"`
	// NotOpen says why; empty when it is.
	NotOpen string `json:"notOpen,omitempty"`
	Loses   string `json:"loses"`
}

func (s *session) divergenceCommand() *cobra.Command {
	var format string
	cmd := &cobra.Command{
		Use:     "divergence PAIR",
		GroupID: "look",
		Short:   "Show what each member has that the other lacks, by table, and the ways out",
		Long:    divergenceLong,
		Example: "  kubectl dbpair divergence shop",
		Args:    onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := knownFormat(format); err != nil {
				return err
			}
			c, err := s.connect()
			if err != nil {
				return err
			}
			d, err := c.divergence(cmd.Context(), args[0])
			if err != nil {
				return err
			}
			if format != "" {
				return encode(s.streams.Out, format, d)
			}
			return renderDivergence(s.streams.Out, d)
		},
	}
	cmd.Flags().StringVarP(&format, "output", "o", "", "json or yaml instead of text")
	return cmd
}

// divergence compares the members. The one that could be behind is read first, so that what it has
// is not called its own because the primary had not been asked yet.
func (c cluster) divergence(ctx context.Context, name string) (Divergence, error) {
	p, err := c.pair(ctx, name)
	if err != nil {
		return Divergence{}, err
	}
	d := Divergence{
		Pair:      p.Name,
		Namespace: p.Namespace,
		Sides:     sidesOf(p),
	}
	for i := range slices.Backward(d.Sides) {
		if err := c.readSide(ctx, &d.Sides[i]); err != nil {
			return d, err
		}
	}
	first := &d.Sides[0]
	second := &d.Sides[1]
	second.own = second.has.Subtract(first.has)
	if second.own.IsEmpty() && first.Role == string(v1alpha1.RolePrimary) {
		return d, nil
	}
	first.own = first.has.Subtract(second.has)
	if first.own.IsEmpty() && second.own.IsEmpty() {
		return d, nil
	}
	for i := range d.Sides {
		if err := c.readChanges(ctx, &d.Sides[i]); err != nil {
			return d, err
		}
	}
	d.Ways = []Way{d.way(first, second), d.way(second, first)}
	return d, nil
}

// sidesOf are the members, the primary first.
func sidesOf(p *v1alpha1.DatabasePair) []Side {
	var sides []Side
	for _, m := range membersOf(p) {
		side := Side{
			Member: m.Name,
			Role:   string(m.Role),
		}
		if m.Name == p.Status.Primary {
			sides = slices.Insert(sides, 0, side)
		} else {
			sides = append(sides, side)
		}
	}
	return sides
}

// readSide asks a member what it has: its mysqld, or its binary logs while that is down.
func (c cluster) readSide(ctx context.Context, side *Side) error {
	ctx, cancel := context.WithTimeout(ctx, agentTimeout)
	defer cancel()
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       side.Member,
		argv:      []string{agentapi.BinDir + "/agent", "state"},
	})
	if err != nil {
		return fmt.Errorf("the agent of %s does not answer, so that the members cannot be compared: %w", side.Member, err)
	}
	var state agentapi.State
	if err := json.Unmarshal(text, &state); err != nil {
		return fmt.Errorf("the answer of the agent of %s is no state: %w", side.Member, err)
	}
	side.State = string(state.Phase)
	if s := state.Server; s != nil && state.Mysqld.Running && s.BinlogGTIDs != "" {
		has, err := gtid.Parse(s.BinlogGTIDs)
		if err != nil {
			return fmt.Errorf("the transactions of %s: %w", side.Member, err)
		}
		side.has = has
		return nil
	}
	var contents agentapi.BinlogContents
	if err := c.askQuarantine(ctx, side.Member, &contents, "executed"); err != nil {
		return err
	}
	if side.has, err = gtid.Parse(contents.GTIDs); err != nil {
		return fmt.Errorf("the transactions of %s: %w", side.Member, err)
	}
	return nil
}

func (c cluster) readChanges(ctx context.Context, side *Side) error {
	if side.own.IsEmpty() {
		return nil
	}
	side.GTIDs = side.own.String()
	side.Changes = &agentapi.BinlogChanges{}
	err := c.askQuarantine(ctx, side.Member, side.Changes, "changes", "--gtids="+side.GTIDs)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil {
		side.Changes.NotFound = side.GTIDs
		side.Changes.Problem = err.Error()
	}
	return nil
}

// way keeps one member's data. What the other one alone has is given up.
func (d Divergence) way(keep, lose *Side) Way {
	reseed := fmt.Sprintf("kubectl dbpair reseed %s %s -n %s", d.Pair, lose.Member, d.Namespace)
	way := Way{
		Keep:     keep.Member,
		Commands: []string{reseed},
		Loses:    d.loss(lose),
	}
	if keep.Role == string(v1alpha1.RolePrimary) {
		return way
	}
	if keep.State != string(agentapi.PhaseClosed) {
		way.Commands = nil
		way.NotOpen = fmt.Sprintf("%s is %s: only a member whose mysqld runs can be promoted", keep.Member, keep.State)
		return way
	}
	way.Commands = []string{fmt.Sprintf("kubectl dbpair force-promote %s %s -n %s", d.Pair, keep.Member, d.Namespace), reseed}
	if lose.Role == string(v1alpha1.RolePrimary) {
		way.Loses += "; the sessions of clients end"
	}
	return way
}

func (d Divergence) loss(side *Side) string {
	if side.own.IsEmpty() {
		return "no transaction"
	}
	loss := fmt.Sprintf("the %d transactions that only %s has", side.own.Count(), side.Member)
	if side.Role == string(v1alpha1.RolePrimary) {
		loss += ", also those that clients were told are safe"
	}
	kept := fmt.Sprintf("; they stay in the quarantine on its volume, to be read and replayed by hand: kubectl dbpair quarantine %s %s -n %s",
		d.Pair, side.Member, d.Namespace)
	if side.Changes != nil && side.Changes.NotFound != "" {
		kept = fmt.Sprintf("; %s of them are in no binary log that can be read and would not be in the quarantine either: "+
			"dump the tables of %s first", side.Changes.NotFound, side.Member)
	}
	return loss + kept
}
