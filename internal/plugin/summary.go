package plugin

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// renderSummary answers what a person asks first: can clients write, would a failover work, what is wrong, what to type.
func renderSummary(b *strings.Builder, r Report, p paint) {
	fmt.Fprintf(b, "  writes    %s\n", writes(r, p))
	fmt.Fprintf(b, "  failover  %s\n", wouldFailOver(r, p))
	wrong := wrongs(r)
	if len(wrong) == 0 {
		b.WriteString("  wrong     nothing\n")
		return
	}
	for i, what := range wrong {
		fmt.Fprintf(b, "  %-8s  %s\n", only(i == 0, "wrong"), p.in(yellow, what))
	}
	for i, command := range remedies(r) {
		fmt.Fprintf(b, "  %-8s  %s\n", only(i == 0, "type"), p.in(bold, command))
	}
	if is(r, v1alpha1.ConditionInDoubt, metav1.ConditionTrue) {
		fmt.Fprintf(b, "            and confirm with %s; docs/runbooks says what each command costs\n", r.Confirm)
	}
}

func only(first bool, name string) string {
	if first {
		return name
	}
	return ""
}

func writes(r Report, p paint) string {
	c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionAvailable)
	switch {
	case c != nil && c.Status == metav1.ConditionTrue:
		return p.in(green, "accepted by "+dash(r.Primary))
	case c != nil:
		return p.in(red, "NOT accepted: "+c.Message)
	case len(r.Conditions) == 0:
		return p.in(yellow, "not known")
	case r.Primary == "":
		return p.in(red, "NOT accepted: nobody is the primary")
	}
	return p.in(yellow, "not known")
}

func wouldFailOver(r Report, p paint) string {
	c := meta.FindStatusCondition(r.Conditions, v1alpha1.ConditionFailoverReady)
	switch {
	case c == nil:
		return p.in(yellow, "not known")
	case c.Status == metav1.ConditionTrue:
		return p.in(green, "would work: ") + c.Message
	}
	return p.in(red, "would NOT work: ") + c.Message
}

func is(r Report, condition string, status metav1.ConditionStatus) bool {
	return meta.IsStatusConditionPresentAndEqual(r.Conditions, condition, status)
}

// complaints are conditions that are not as they should be, those first that say most.
func complaints(r Report) []metav1.Condition {
	var out []metav1.Condition
	order := []string{v1alpha1.ConditionInDoubt, v1alpha1.ConditionStalled, v1alpha1.ConditionReady}
	for _, name := range append(order, v1alpha1.ConditionTypes...) {
		c := meta.FindStatusCondition(r.Conditions, name)
		listed := slices.ContainsFunc(out, func(o metav1.Condition) bool { return o.Type == name })
		if c != nil && !listed && string(c.Status) != goodStatus(name) {
			out = append(out, *c)
		}
	}
	return out
}

// wrongs say what is not as it should be, each once.
func wrongs(r Report) []string {
	if len(r.Conditions) == 0 {
		return []string{"no operator has looked at this pair yet: is one running?"}
	}
	var out []string
	said := []string{}
	for _, c := range complaints(r) {
		if c.Type == v1alpha1.ConditionAvailable || c.Type == v1alpha1.ConditionFailoverReady || slices.Contains(said, c.Message) {
			continue // the lines above say it
		}
		said = append(said, c.Message)
		out = append(out, c.Reason+": "+c.Message)
	}
	for _, m := range r.Members {
		if m.Problem != "" {
			out = append(out, m.Name+": "+m.Problem)
		}
		for _, problem := range m.Problems {
			out = append(out, m.Name+": "+problem)
		}
	}
	if len(out) == 0 && len(complaints(r)) > 0 {
		out = append(out, complaints(r)[0].Reason)
	}
	return out
}

// remedies are the commands that the messages name, or the one that tells more.
func remedies(r Report) []string {
	if len(r.Conditions) == 0 {
		return []string{"kubectl get pods -A -l app.kubernetes.io/name=dbpair,app.kubernetes.io/component=manager"}
	}
	argument := `-n [^ ;,.()]+|--[a-z-]+(?:=[^ ;,.()]+)?|` + regexp.QuoteMeta(r.Pair) + `(?:-[01])?`
	command := regexp.MustCompile(`kubectl dbpair [a-z-]+(?: (?:` + argument + `))*`)
	var out []string
	for _, c := range complaints(r) {
		for _, found := range command.FindAllString(c.Message, -1) {
			if !slices.Contains(out, found) {
				out = append(out, found)
			}
		}
	}
	if len(out) == 0 {
		out = append(out, fmt.Sprintf("kubectl dbpair why %s -n %s", r.Pair, r.Namespace))
	}
	return out
}
