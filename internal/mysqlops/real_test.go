package mysqlops_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestBootsClosedAndAsOwned(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1})
	status, err := member.Ops.Status(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%+v", status)
	if !status.IsClosed() || status.IsOpen() {
		t.Errorf("a booted member is not closed: %+v", status)
	}
	if !status.Executed.IsEmpty() {
		t.Errorf("a new member has history: %v", status.Executed)
	}
	got, err := member.Ops.VerifyOwned(t.Context(), mycnf.Expect(member.Member, mycnf.State{}))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(0, len(got)); diff != "" {
		t.Errorf("owned settings differ: %v", got)
	}
}

// commitWaits: a commit waits and is in the binlog as it was read, which is before the
// count was.
func commitWaits(s mysqlops.Status) bool {
	return s.SemiSync.WaitSessions > 0 && !s.Binlog.Equal(s.Executed)
}
