package mysqlops_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestARunningMysqldTakesOverASetting: a number, a fraction, a switch and a text are set and read back, on a member that is
// closed for writes too; what mysqld reads when it starts only is refused, and so is what it does not know.
func TestARunningMysqldTakesOverASetting(t *testing.T) {
	members := mysqldtest.StartPair(t)
	members.A.Open(true)
	for _, member := range []*mysqldtest.Instance{members.A, members.B} {
		for _, c := range []struct {
			variable, value, want string
			refused               bool
		}{
			{"max_connections", "333", "333", false},
			{"long_query_time", "0.5", "0.5", false},
			{"local_infile", "ON", "1", false},
			{"sql_mode", "STRICT_TRANS_TABLES", "STRICT_TRANS_TABLES", false},
			{"innodb_ft_cache_size", "9000000", "", true},
			{"sql_mode", "NO_SUCH_MODE", "", true},
			{"no_such_variable", "1", "", true},
		} {
			now, refused, err := member.Ops.TakeOver(t.Context(), c.variable, c.value)
			if err != nil || now != c.want || (refused != "") != c.refused {
				t.Errorf("%s = %s is %q, refused %q (%v)", c.variable, c.value, now, refused, err)
			}
		}
	}
	if _, _, err := members.A.Ops.TakeOver(t.Context(), "sql_mode = ''; --", "x"); err == nil {
		t.Error("a name that is none was taken")
	}
}
