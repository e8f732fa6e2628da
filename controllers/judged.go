package controllers

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/resources"
)

// judged is why the settings of one generation of the spec cannot be taken by the members
// that are there; empty when they can.
type judged struct {
	generation int64
	why        string
}

// judgeSettings finds out, once for each generation, whether the members can take settings
// that differ from those they have. What the spec alone says is not repeated here: see
// Allowed.refusal. Until the answer is there the settings are not published.
func (r *childrenReconciler) judgeSettings(ctx context.Context, v *childrenVisit) error {
	s := v.memory
	if s.judged.generation == v.pair.Generation {
		return nil
	}
	published, err := r.publishedConfiguration(ctx, v)
	if err != nil {
		return err
	}
	wanted := resources.AgentConfig(v.pair)
	if published.PairName == "" || v.pair.Status.Epoch == 0 || startsAlike(published, wanted) {
		// Nothing is known to differ. A member that makes the first data tries the settings by itself.
		s.settle(v.pair.Generation, "")
		return nil
	}
	if why := bornOtherwise(v.pair, published.MySQL); why != "" || r.Allowed.refusal(v.pair) != "" {
		s.settle(v.pair.Generation, why)
		return nil
	}
	r.trySettings(ctx, v, published, wanted)
	return nil
}

// startsAlike reports whether mysqld starts with the same settings, components and plugins by
// both configurations.
func startsAlike(a, b agentapi.Config) bool {
	return maps.Equal(a.MySQL, b.MySQL) && slices.Equal(a.Components, b.Components) && slices.Equal(a.Plugins, b.Plugins)
}

// bornOtherwise names the settings that differ from those of the pair's data and count only
// when data is made.
func bornOtherwise(p *v1alpha1.DatabasePair, published map[string]string) string {
	if p.Status.Epoch == 0 {
		return "" // there is no data that anyone has written to
	}
	err := mycnf.CheckBirth(published, resources.AgentConfig(p).MySQL)
	if err == nil {
		return ""
	}
	return "spec.mysql.config: " + strings.ReplaceAll(err.Error(), "\n", "; ")
}

// refusal names every field of this generation that is not carried out, with the reason and
// the fix; empty for none.
func (r *childrenReconciler) refusal(v *childrenVisit) string {
	found := r.Allowed.refusal(v.pair)
	if v.memory.judged.generation != v.pair.Generation || v.memory.judged.why == "" {
		return found
	}
	if found == "" {
		return v.memory.judged.why
	}
	return found + "; " + v.memory.judged.why
}
