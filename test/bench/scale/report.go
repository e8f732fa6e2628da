package main

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
)

// printResults prints tables in Markdown, with a column for each number of pairs.
func printResults(out io.Writer, results []result) {
	row := func(name string, value func(result) string) {
		cells := []string{name}
		for i := range results {
			cells = append(cells, value(results[i]))
		}
		_, _ = fmt.Fprintf(out, "| %s |\n", strings.Join(cells, " | "))
	}
	row("pairs", func(r result) string { return fmt.Sprint(r.pairs) })
	row("---", func(result) string { return "---" })
	row("all made and ready", func(r result) string { return seconds(r.made) })
	row("memory, idle", func(r result) string { return mebibytes(r.idle.memory) })
	row("memory, at most until then", func(r result) string { return mebibytes(r.idle.peak) })
	row("heap in use", func(r result) string { return mebibytes(r.idle.heap) })
	row("processor time per second, idle", func(r result) string { return fmt.Sprintf("%.3f s", r.idle.cores) })
	for _, method := range methods(results) {
		row(method+" requests per second, idle", func(r result) string { return fmt.Sprintf("%.1f", r.idle.requests[method]) })
	}
	row("writes per second, idle", func(r result) string { return fmt.Sprintf("%.2f", r.idle.writes()) })
	row("restart → all observed", func(r result) string { return seconds(r.restarted) })
	row("mysqld of one primary killed → the Service leads to the new one, median", func(r result) string {
		return seconds(median(r.singles))
	})
	row("worst of "+fmt.Sprint(singles), func(r result) string { return seconds(slices.Max(r.singles)) })
	row("primaries whose node dies at once", func(r result) string { return fmt.Sprint(len(r.lost)) })
	row("the first of them is followed after", func(r result) string { return seconds(r.lost[0]) })
	row("the last", func(r result) string { return seconds(r.lost[len(r.lost)-1]) })
	for i := range results {
		if results[i].unrelated > 0 {
			printCrowded(out, &results[i])
		}
	}
}

func printCrowded(out io.Writer, r *result) {
	_, _ = fmt.Fprintf(out, "\n| %d pairs | alone | beside %d objects of others | growth |\n| --- | --- | --- | --- |\n", r.pairs, r.unrelated)
	for _, c := range []struct {
		name          string
		before, after float64
		text          func(float64) string
	}{
		{"memory", float64(r.alone.memory), float64(r.crowded.memory), func(n float64) string { return mebibytes(int64(n)) }},
		{"heap in use", float64(r.alone.heap), float64(r.crowded.heap), func(n float64) string { return mebibytes(int64(n)) }},
		{"processor time per second", r.alone.cores, r.crowded.cores, func(n float64) string { return fmt.Sprintf("%.3f s", n) }},
	} {
		growth := (c.after/c.before - 1) * 100
		_, _ = fmt.Fprintf(out, "| %s | %s | %s | %+.1f %% |\n", c.name, c.text(c.before), c.text(c.after), growth)
	}
}

func methods(results []result) []string {
	all := map[string]bool{http.MethodGet: true}
	for _, r := range results {
		for method := range r.idle.requests {
			all[method] = true
		}
	}
	return slices.Sorted(maps.Keys(all))
}

func median(all []time.Duration) time.Duration { return slices.Sorted(slices.Values(all))[len(all)/2] }

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

func mebibytes(n int64) string { return fmt.Sprintf("%.0f MiB", float64(n)/(1<<20)) }
