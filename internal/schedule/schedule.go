package schedule

import (
	"fmt"
	"strings"
	"time"

	"github.com/netresearch/go-cron"
)

// parser takes what a Kubernetes CronJob takes: five fields, or a descriptor; a day counts
// when day of month or day of week fits, if both are given.
var parser = cron.MustNewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor | cron.DowOrDom)

// Schedule is a parsed schedule. The zero value is never due.
type Schedule struct {
	spec cron.Schedule
	zone *time.Location
}

// Parse reads a cron expression that is meant in a time zone, such as Europe/Berlin. The
// error names what is wrong.
func Parse(expression, zone string) (Schedule, error) {
	location, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" {
		return Schedule{}, fmt.Errorf("time zone %q is unknown: use a name such as Etc/UTC or Europe/Berlin", zone)
	}
	if strings.Contains(expression, "=") || strings.HasPrefix(expression, "@every") {
		return Schedule{}, fmt.Errorf("schedule %q: want five fields (minute hour day month weekday), @hourly, @daily, @weekly, "+
			"@monthly or @yearly", expression)
	}
	spec, err := parser.Parse(expression)
	if err != nil {
		return Schedule{}, fmt.Errorf("schedule %q: %w", expression, err)
	}
	s := Schedule{spec: spec, zone: location}
	if s.Next(time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)).IsZero() {
		return Schedule{}, fmt.Errorf("schedule %q is never due", expression)
	}
	return s, nil
}

// Next is the first time after t; the zero time if there is none.
func (s Schedule) Next(t time.Time) time.Time {
	if s.spec == nil {
		return time.Time{}
	}
	next := s.spec.Next(t.In(s.zone))
	if next.IsZero() {
		return time.Time{}
	}
	return next.UTC()
}

// Due is the newest time that is after last and not after now, if it is not longer ago
// than deadline. What was missed before it is left out: one run makes up for many.
func (s Schedule) Due(last, now time.Time, deadline time.Duration) (time.Time, bool) {
	from := now.Add(-deadline).Add(-time.Nanosecond)
	if last.After(from) {
		from = last
	}
	var due time.Time
	for t := s.Next(from); !t.IsZero() && !t.After(now); t = s.Next(t) {
		due = t
	}
	return due, !due.IsZero()
}

// Period is the longest time between two neighbors among the next few times: a weekly
// schedule's is a week, and that of working days includes a weekend.
func (s Schedule) Period(now time.Time) time.Duration {
	const looked = 8
	var longest time.Duration
	t := s.Next(now)
	for range looked {
		next := s.Next(t)
		if next.IsZero() {
			break
		}
		longest = max(longest, next.Sub(t))
		t = next
	}
	return longest
}
