package plugin

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/gtid"
)

// showUnapplied prints what a forced promotion that may discard would lose, as the member's
// agent says now.
func (s *session) showUnapplied(ctx context.Context, c cluster, member string) error {
	m := MemberReport{MemberStatus: v1alpha1.MemberStatus{Name: member}}
	c.ask(ctx, &m)
	_, err := fmt.Fprint(s.streams.ErrOut, unappliedText(m))
	return err
}

func unappliedText(m MemberReport) string {
	received, err := gtid.Parse(m.Received)
	executed, errExecuted := gtid.Parse(m.Executed)
	switch {
	case m.Asked != "":
		return fmt.Sprintf("What %s has received and not applied is not known: its agent does not answer (%s).\n\n", m.Name, m.Asked)
	case err != nil || errExecuted != nil || (m.Executed == "" && m.Received == ""):
		return fmt.Sprintf("What %s has received and not applied is not known: its mysqld does not answer.\n\n", m.Name)
	}
	left := received.Subtract(executed)
	if left.IsEmpty() {
		return fmt.Sprintf("%s has applied everything that it has received: there is nothing to discard.\n\n", m.Name)
	}
	return fmt.Sprintf("%s has received %d transactions and not applied them:\n  %s\n"+
		"What it still cannot apply when it is promoted is discarded and lost to the pair. "+
		"Its relay log is saved on its volume before.\n\n", m.Name, left.Count(), left)
}
