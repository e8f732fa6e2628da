package metricstest

import (
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// ofTarget are the labels that Prometheus gives every series of a scraped pod.
var ofTarget = []string{"job", "instance", "pod", "container", "endpoint"}

var (
	desc = regexp.MustCompile(`fqName: "([^"]+)".*constLabels: \{([^}]*)\}, variableLabels: \{([^}]*)\}`)
	// constant is a label with the value that a metric always has.
	constant = regexp.MustCompile(`([a-zA-Z_]\w*)="`)
)

// Registered returns the metrics that a registry or a collector describes, each with the names of its labels.
func Registered(tb testing.TB, c prometheus.Collector) map[string][]string {
	tb.Helper()
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		c.Describe(descs)
	}()
	out := map[string][]string{}
	for d := range descs {
		parts := desc.FindStringSubmatch(d.String())
		if parts == nil {
			tb.Fatalf("a description in a form that is not known: %s", d)
		}
		labels := strings.FieldsFunc(parts[3], func(r rune) bool { return r == ',' })
		for _, label := range constant.FindAllStringSubmatch(parts[2], -1) {
			labels = append(labels, label[1])
		}
		out[parts[1]] = labels
	}
	return out
}

// Check fails for each metric that alerts or dashboards name, that own accepts, and that is not registered, and for each
// label that they use of it and that neither it nor the scrape has. More are the labels of the scrape beside those of every pod.
func Check(tb testing.TB, registered map[string][]string, own func(metric string) bool, more ...string) {
	tb.Helper()
	checked := 0
	for _, query := range Queries(tb) {
		metrics, err := query.metrics()
		if err != nil {
			tb.Errorf("%s: %v\n%s", query.Where, err, query.Expr)
			continue
		}
		for name, used := range metrics {
			if !own(name) {
				continue
			}
			checked++
			have, ok := lookup(registered, name)
			if !ok {
				tb.Errorf("%s names %s, which is not registered", query.Where, name)
				continue
			}
			missing := labelSet{}
			for label := range used {
				missing[label] = true
			}
			for _, labels := range [][]string{have, ofTarget, more} {
				for _, label := range labels {
					delete(missing, label)
				}
			}
			if len(missing) > 0 {
				tb.Errorf("%s uses labels of %s that it does not have: %s", query.Where, name, missing.names())
			}
		}
	}
	if checked == 0 {
		tb.Error("no alert and no dashboard names a metric of this registry")
	}
}

// lookup finds a metric, or the histogram that a series with a suffix belongs to.
func lookup(registered map[string][]string, name string) ([]string, bool) {
	if labels, ok := registered[name]; ok {
		return labels, true
	}
	for _, suffix := range []string{"_bucket", "_sum", "_count"} {
		base, cut := strings.CutSuffix(name, suffix)
		labels, ok := registered[base]
		if !cut || !ok {
			continue
		}
		if suffix == "_bucket" {
			labels = append([]string{"le"}, labels...)
		}
		return labels, true
	}
	return nil, false
}
