package checksum

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/internal/tablesql"
)

// checkRoles fails with ErrRolesChanged unless the primary writes, the passive
// does not, and both are the servers they were at first; with
// ErrNotReplicating unless the passive replicates from this primary.
func (r *run) checkRoles(ctx context.Context) error {
	r.looking.Lock()
	defer r.looking.Unlock()
	var found pairOf[tablesql.Role]
	err := atOnce(
		func() (err error) { found.primary, err = r.control.primary.Role(ctx); return err },
		func() (err error) { found.passive, err = r.control.passive.Role(ctx); return err },
	)
	if err != nil {
		return err
	}
	uuids := pairOf[string]{found.primary.UUID, found.passive.UUID}
	if r.uuids == (pairOf[string]{}) {
		r.uuids = uuids
	}
	switch {
	case uuids != r.uuids:
		return fmt.Errorf("%w: other servers answer for %s and %s than at first", ErrRolesChanged, r.Primary.Member, r.Passive.Member)
	case found.primary.UUID == found.passive.UUID:
		return fmt.Errorf("%w: %s and %s are the same server", ErrRolesChanged, r.Primary.Member, r.Passive.Member)
	case found.primary.ReadOnly:
		return fmt.Errorf("%w: %s is closed for writes", ErrRolesChanged, r.Primary.Member)
	case !found.passive.ReadOnly:
		return fmt.Errorf("%w: %s is open for writes", ErrRolesChanged, r.Passive.Member)
	case found.passive.Source != found.primary.UUID:
		return fmt.Errorf("%w: %s does not receive from %s", ErrNotReplicating, r.Passive.Member, r.Primary.Member)
	case !found.passive.Applying:
		return fmt.Errorf("%w: the applier of %s is stopped", ErrNotReplicating, r.Passive.Member)
	}
	return nil
}
