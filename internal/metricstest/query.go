package metricstest

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/promql/parser"
)

// Query is a PromQL expression of an alert or of a dashboard.
type Query struct {
	// Where names the file and the alert or panel.
	Where string
	Expr  string
	// Legend are the labels that a panel shows of each series.
	Legend []string
}

// labelSet are names of labels.
type labelSet map[string]bool

// metrics returns the metrics that the query names, each with the labels that it uses of it.
func (q Query) metrics() (map[string]labelSet, error) {
	expr, err := parser.ParseExpr(q.Expr)
	if err != nil {
		return nil, err
	}
	found := map[string]labelSet{}
	if err := collect(expr, q.Legend, found); err != nil {
		return nil, err
	}
	if err := q.checkLegend(expr); err != nil {
		return nil, err
	}
	if len(found) == 0 {
		return nil, errors.New("the query names no metric")
	}
	return found, nil
}

// collect notes the metrics below a node. Labels by which a node above aggregates or matches count as used of each of them.
func collect(node parser.Node, above []string, found map[string]labelSet) error {
	used := above
	switch n := node.(type) {
	case *parser.VectorSelector:
		return note(n, above, found)
	case *parser.AggregateExpr:
		used = slices.Concat(above, n.Grouping)
	case *parser.BinaryExpr:
		if n.VectorMatching != nil {
			used = slices.Concat(above, n.VectorMatching.MatchingLabels, n.VectorMatching.Include)
		}
	}
	for child := range parser.ChildrenIter(node) {
		if err := collect(child, used, found); err != nil {
			return err
		}
	}
	return nil
}

func note(n *parser.VectorSelector, used []string, found map[string]labelSet) error {
	if n.Name == "" {
		return fmt.Errorf("a selector without the name of a metric: %s", n)
	}
	if found[n.Name] == nil {
		found[n.Name] = labelSet{}
	}
	for _, label := range used {
		found[n.Name][label] = true
	}
	for _, matcher := range n.LabelMatchers {
		if matcher.Name != model.MetricNameLabel {
			found[n.Name][matcher.Name] = true
		}
	}
	return nil
}

// checkLegend refuses a legend with labels that the query's aggregation removes.
func (q Query) checkLegend(expr parser.Expr) error {
	for {
		inner, wrapped := expr.(*parser.ParenExpr)
		if !wrapped {
			break
		}
		expr = inner.Expr
	}
	aggregate, ok := expr.(*parser.AggregateExpr)
	if !ok || aggregate.Without || aggregate.Op == parser.TOPK || aggregate.Op == parser.BOTTOMK {
		return nil
	}
	for _, label := range q.Legend {
		if !slices.Contains(aggregate.Grouping, label) {
			return fmt.Errorf("the legend shows %s, by which the query does not aggregate", label)
		}
	}
	return nil
}

// names returns the labels in order, for messages.
func (s labelSet) names() string { return strings.Join(slices.Sorted(maps.Keys(s)), ", ") }
