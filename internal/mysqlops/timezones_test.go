package mysqlops

import (
	"slices"
	"testing"
)

func TestRepeatedTimeZonesAreLeftOut(t *testing.T) {
	script := `TRUNCATE TABLE time_zone;
START TRANSACTION;
INSERT INTO time_zone (Use_leap_seconds) VALUES ('N');
SET @time_zone_id= LAST_INSERT_ID();
INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('Europe/Berlin', @time_zone_id);
INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES
 (@time_zone_id, 1, 1)
;
INSERT INTO time_zone (Use_leap_seconds) VALUES ('Y');
SET @time_zone_id= LAST_INSERT_ID();
INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('right/Europe/Berlin', @time_zone_id);
INSERT INTO time_zone_transition_type (Time_zone_id) VALUES
 (@time_zone_id)
;
COMMIT;
`
	got := timeZoneStatements(script)
	want := []string{
		"TRUNCATE TABLE time_zone",
		"START TRANSACTION",
		"INSERT INTO time_zone (Use_leap_seconds) VALUES ('N')",
		"SET @time_zone_id= LAST_INSERT_ID()",
		"INSERT INTO time_zone_name (Name, Time_zone_id) VALUES ('Europe/Berlin', @time_zone_id)",
		"INSERT INTO time_zone_transition (Time_zone_id, Transition_time, Transition_type_id) VALUES\n (@time_zone_id, 1, 1)",
		"COMMIT",
	}
	if !slices.Equal(got, want) {
		t.Errorf("statements %q", got)
	}
}
