//go:build bench

package bench

import (
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"time"
)

// line is a measure that has a goal.
type line struct {
	what   string
	values []float64
	unit   string
	goal   float64
	// atLeast: the goal is the least value, and not the largest.
	atLeast bool
}

func (l line) median() float64 {
	sorted := slices.Sorted(slices.Values(l.values))
	half := len(sorted) / 2
	if len(sorted)%2 == 0 {
		return (sorted[half-1] + sorted[half]) / 2
	}
	return sorted[half]
}

func (l line) worst() float64 {
	if l.atLeast {
		return slices.Min(l.values)
	}
	return slices.Max(l.values)
}

// report is all that has a goal.
type report struct{ lines []line }

// atMost adds what is to be the goal at most, in the median.
func (r *report) atMost(goal float64, unit, what string, values ...float64) {
	r.lines = append(r.lines, line{
		what:   what,
		values: values,
		unit:   unit,
		goal:   goal,
	})
}

// atLeast adds what is to be the goal at least.
func (r *report) atLeast(goal float64, unit, what string, values ...float64) {
	r.atMost(goal, unit, what, values...)
	r.lines[len(r.lines)-1].atLeast = true
}

func (r *report) print() {
	fmt.Print("\n| what | runs | median | worst | goal | median / goal |\n| --- | --- | --- | --- | --- | --- |\n")
	for _, l := range r.lines {
		sign := "≤"
		met := l.median() <= l.goal
		if l.atLeast {
			sign = "≥"
			met = l.median() >= l.goal
		}
		verdict := "met"
		if !met {
			verdict = "**missed**"
		}
		share := "–" // a goal of nothing
		if l.goal > 0 {
			share = fmt.Sprintf("%.2f", l.median()/l.goal)
		}
		fmt.Printf("| %s | %d | %s | %s | %s %s, %s | %s |\n", l.what, len(l.values), measure(l.median(), l.unit), measure(l.worst(), l.unit),
			sign, measure(l.goal, l.unit), verdict, share)
	}
}

// measure is a value with its unit, with as many digits as it is good for.
func measure(value float64, unit string) string {
	digits := 2
	if value >= 100 || value == float64(int64(value)) {
		digits = 0
	}
	return strings.TrimSpace(fmt.Sprintf("%.*f %s", digits, value, unit))
}

// load says how busy the machine is.
func load() string {
	text, err := os.ReadFile("/proc/loadavg")
	if err != nil {
		return "unknown"
	}
	fields := strings.Fields(string(text))
	return strings.Join(fields[:3], " ")
}

func heading(what string) {
	fmt.Printf("\n<!-- %s: %s, %d processors, load average %s -->\n", time.Now().Format("15:04:05"), what, runtime.NumCPU(), load())
}

// percentile is the value at a part of sorted durations, for example 0.99.
func percentile(sorted []time.Duration, part float64) time.Duration {
	return sorted[min(len(sorted)-1, int(part*float64(len(sorted))))]
}

func short(d time.Duration) string {
	if d < 100*time.Millisecond {
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
