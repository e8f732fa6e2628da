package schedule_test

import (
	"strings"
	"testing"
	"time"
	_ "time/tzdata"

	"github.com/dbpair/dbpair/internal/schedule"
)

func at(t *testing.T, text string) time.Time {
	t.Helper()
	if text == "" {
		return time.Time{}
	}
	parsed, err := time.Parse("2006-01-02 15:04:05", text)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func TestDue(t *testing.T) {
	for name, c := range map[string]struct {
		expression, zone, last, now string
		deadline                    time.Duration
		want                        string // empty: not due
	}{
		"on the minute":                          {"0 2 * * *", "Etc/UTC", "2026-01-01 02:00:00", "2026-01-02 02:00:00", time.Hour, "2026-01-02 02:00:00"},
		"just before":                            {"0 2 * * *", "Etc/UTC", "2026-01-01 02:00:00", "2026-01-02 01:59:59", time.Hour, ""},
		"late and within the deadline":           {"0 2 * * *", "Etc/UTC", "2026-01-01 02:00:00", "2026-01-02 03:00:00", time.Hour, "2026-01-02 02:00:00"},
		"later than the deadline":                {"0 2 * * *", "Etc/UTC", "2026-01-01 02:00:00", "2026-01-02 03:00:01", time.Hour, ""},
		"done already":                           {"0 2 * * *", "Etc/UTC", "2026-01-02 02:00:00", "2026-01-02 02:30:00", time.Hour, ""},
		"one for all that were missed":           {"0 * * * *", "Etc/UTC", "2026-01-01 02:00:00", "2026-01-02 02:30:00", 168 * time.Hour, "2026-01-02 02:00:00"},
		"a pair made after the time":             {"0 2 * * *", "Etc/UTC", "2026-01-02 02:10:00", "2026-01-02 02:30:00", time.Hour, ""},
		"in summer of another zone":              {"0 2 * * *", "Europe/Berlin", "2026-07-01 01:00:00", "2026-07-02 00:10:00", time.Hour, "2026-07-02 00:00:00"},
		"in winter of another zone":              {"0 2 * * *", "Europe/Berlin", "2026-01-01 02:00:00", "2026-01-02 01:10:00", time.Hour, "2026-01-02 01:00:00"},
		"an hour that does not exist comes late": {"30 2 * * *", "Europe/Berlin", "2026-03-28 02:00:00", "2026-03-29 01:30:00", time.Hour, "2026-03-29 01:30:00"},
		"an hour that exists twice comes twice":  {"30 2 * * *", "Europe/Berlin", "2026-10-25 00:30:00", "2026-10-25 02:00:00", 2 * time.Hour, "2026-10-25 01:30:00"},
		"day of month or of week":                {"0 0 13 * 5", "Etc/UTC", "2026-01-12 00:00:00", "2026-01-13 00:01:00", time.Hour, "2026-01-13 00:00:00"},
		"@weekly":                                {"@weekly", "Etc/UTC", "2026-01-01 00:00:00", "2026-01-04 00:10:00", time.Hour, "2026-01-04 00:00:00"},
	} {
		t.Run(name, func(t *testing.T) {
			s, err := schedule.Parse(c.expression, c.zone)
			if err != nil {
				t.Fatal(err)
			}
			got, due := s.Due(at(t, c.last), at(t, c.now), c.deadline)
			if due != (c.want != "") || !got.Equal(at(t, c.want)) {
				t.Errorf("due %v, %t; want %q", got, due, c.want)
			}
		})
	}
}

func TestWhatIsNoSchedule(t *testing.T) {
	for name, c := range map[string]struct{ expression, zone, says string }{
		"four fields":           {"0 2 * *", "Etc/UTC", "schedule \"0 2 * *\""},
		"a minute of 60":        {"60 2 * * *", "Etc/UTC", "60"},
		"a zone of its own":     {"CRON_TZ=Asia/Tokyo 0 2 * * *", "Etc/UTC", "five fields"},
		"an interval":           {"@every 1h", "Etc/UTC", "five fields"},
		"an unknown zone":       {"0 2 * * *", "Mars/Olympus", "time zone \"Mars/Olympus\" is unknown"},
		"the operator's zone":   {"0 2 * * *", "Local", "time zone \"Local\""},
		"a day that never is":   {"0 0 31 2 *", "Etc/UTC", "never"},
		"nothing":               {"", "Etc/UTC", "schedule \"\""},
		"a descriptor unknown":  {"@sometimes", "Etc/UTC", "@sometimes"},
		"a sixth field, a year": {"0 2 * * * 2026", "Etc/UTC", "2026"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := schedule.Parse(c.expression, c.zone)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
}

func TestPeriod(t *testing.T) {
	for expression, want := range map[string]time.Duration{
		"0 2 * * *": 24 * time.Hour, "@hourly": time.Hour, "@weekly": 168 * time.Hour, "0 2 * * 1-5": 72 * time.Hour,
	} {
		s, err := schedule.Parse(expression, "Etc/UTC")
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Period(at(t, "2026-01-01 00:00:00")); got != want {
			t.Errorf("%s: %s, want %s", expression, got, want)
		}
	}
	if !(schedule.Schedule{}).Next(time.Now()).IsZero() {
		t.Error("the zero value is due")
	}
}
