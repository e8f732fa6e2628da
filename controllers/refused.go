package controllers

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/internal/status"
)

// ReasonSpecRefused is the reason of Ready=False while the operator does not carry a spec
// out. What runs stays as it is.
const ReasonSpecRefused = status.ReasonSpecRefused

// Allowed limits what the writers of pairs may choose. In a pattern * stands for any
// characters; an empty list allows everything.
type Allowed struct {
	Images          []string
	PriorityClasses []string
}

// refusal names every field of the spec that is not carried out, with the reason and the
// fix; empty for none. A setting that the agent would refuse is refused here: published,
// it would be found at the next start of mysqld, which is when it is needed.
func (a Allowed) refusal(p *v1alpha1.DatabasePair) string {
	var found []string
	settings := resources.AgentConfig(p).MySQL
	for _, option := range slices.Sorted(maps.Keys(p.Spec.MySQL.Config)) {
		if why := p.Spec.MySQL.Config[option].Invalid(); why != "" {
			found = append(found, fmt.Sprintf("spec.mysql.config: %q: %s", option, why))
			delete(settings, option)
		}
	}
	if err := mycnf.ValidateSettings(settings); err != nil {
		found = append(found, "spec.mysql.config: "+strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	wanted := resources.AgentConfig(p)
	if err := mycnf.CheckLibraries(wanted.Components, wanted.Plugins); err != nil {
		found = append(found, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	limit := p.Spec.PodTemplate.Spec.Resources.Limits.Memory().Value()
	if err := mycnf.CheckMemory(settings, limit); err != nil {
		found = append(found, "spec.podTemplate.spec.resources.limits.memory: "+err.Error())
	}
	if image := p.Spec.MySQL.Image; !matches(a.Images, image) {
		found = append(found, fmt.Sprintf("spec.mysql.image: %q is not among the images that this operator allows (--allowed-images): %s",
			image, strings.Join(a.Images, ", ")))
	}
	if image := p.Spec.Router.Image; p.Spec.Router.Enabled && !matches(a.Images, image) {
		found = append(found, fmt.Sprintf("spec.router.image: %q is not among the images that this operator allows (--allowed-images): %s",
			image, strings.Join(a.Images, ", ")))
	}
	if class := p.Spec.PodTemplate.Spec.PriorityClassName; class != "" && !matches(a.PriorityClasses, class) {
		found = append(found, fmt.Sprintf(
			"spec.podTemplate.spec.priorityClassName: %q is not among the classes that this operator allows (--allowed-priority-classes): %s",
			class, strings.Join(a.PriorityClasses, ", ")))
	}
	return strings.Join(found, "; ")
}

func matches(patterns []string, text string) bool {
	if len(patterns) == 0 {
		return true
	}
	for _, pattern := range patterns {
		expression := "^" + strings.ReplaceAll(regexp.QuoteMeta(pattern), `\*`, ".*") + "$"
		if ok, err := regexp.MatchString(expression, text); err == nil && ok {
			return true
		}
	}
	return false
}

// refuses reports whether a spec is not carried out, or not yet, and raises an event about
// one that is refused.
func (r *childrenReconciler) refuses(v *childrenVisit) bool {
	why := r.refusal(v)
	if why == "" {
		return v.memory.trying(v.pair.Generation)
	}
	r.warnOnce(v, v.pair, ReasonSpecRefused, why)
	return true
}
