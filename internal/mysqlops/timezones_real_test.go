package mysqlops_test

import (
	"errors"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestTimeZonesAreLoadedWithoutATrace(t *testing.T) {
	member := mysqldtest.Start(t, mysqldtest.Options{})
	tool := filepath.Join(mysqldtest.Require(t).Dir, "mysql_tzinfo_to_sql")
	script, err := exec.Command(tool, "/usr/share/zoneinfo").Output()
	if err != nil {
		t.Skipf("SKIPPED: %s /usr/share/zoneinfo: %v", tool, err)
	}
	if err := member.Ops.CheckTimeZone(t.Context(), "Europe/Berlin"); !errors.Is(err, mysqlops.ErrTimeZone) {
		t.Errorf("before: %v, want ErrTimeZone", err)
	}
	for range 2 {
		if err := member.Ops.LoadTimeZones(t.Context(), string(script)); err != nil {
			t.Fatal(err)
		}
	}
	for _, zone := range []string{"Europe/Berlin", "UTC", "SYSTEM", "+01:00"} {
		if err := member.Ops.CheckTimeZone(t.Context(), zone); err != nil {
			t.Errorf("%s: %v", zone, err)
		}
	}
	if err := member.Ops.CheckTimeZone(t.Context(), "Europe/Berlim"); !errors.Is(err, mysqlops.ErrTimeZone) {
		t.Errorf("a misspelled zone: %v, want ErrTimeZone", err)
	}
	var executed, closed, repeated string
	row := member.Root().QueryRow("SELECT @@gtid_executed, @@super_read_only, (SELECT COUNT(*) FROM mysql.time_zone_name WHERE Name LIKE 'right/%')")
	if err := row.Scan(&executed, &closed, &repeated); err != nil || executed != "" || closed != "1" || repeated != "0" {
		t.Errorf("executed %q, super_read_only %s, %s zones with leap seconds, %v", executed, closed, repeated, err)
	}
}
