package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// ensureConfiguration publishes what the agents are configured with. It arrives in running
// pods within two minutes.
func (r *childrenReconciler) ensureConfiguration(ctx context.Context, v *childrenVisit) error {
	config := resources.AgentConfig(v.pair)
	if r.refuses(v) {
		// The members keep what they have, but must know the operator that they are to obey.
		var err error
		if config, err = r.publishedConfiguration(ctx, v); err != nil || config.PairName == "" {
			return err
		}
	}
	config.OperatorKeys = r.operatorKeys()
	wish, err := resources.AgentConfigMap(v.pair, config)
	if err != nil {
		return err
	}
	return r.ensure(ctx, v, wish, &corev1.ConfigMap{})
}

// publishedConfiguration is what the pair's agents have now; empty when they have none.
func (r *childrenReconciler) publishedConfiguration(ctx context.Context, v *childrenVisit) (agentapi.Config, error) {
	var live corev1.ConfigMap
	var config agentapi.Config
	if _, err := r.Applier.Find(ctx, v.pair, types.NamespacedName{Namespace: v.pair.Namespace, Name: v.names.Config()}, &live); err != nil {
		return config, err
	}
	text := live.Data[agentapi.ConfigFile]
	if text == "" {
		return config, nil
	}
	if err := json.Unmarshal([]byte(text), &config); err != nil {
		return config, fmt.Errorf("read ConfigMap %s: %w", v.names.Config(), err)
	}
	return config, nil
}

// operatorKeys name the keys of which agents take commands: this operator's, if it has one
// that lasts.
func (r *childrenReconciler) operatorKeys() []string {
	if r.Key == nil {
		return nil
	}
	return []string{r.Key.ID()}
}
