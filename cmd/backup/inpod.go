package main

import (
	"encoding/json"
	"fmt"
	"os"

	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// startInPod decodes the request that the operator's Job or Deployment has in an environment variable,
// and returns the ConfigMap to report in. An environment that is not the operator's is an error
// that wraps errForGood.
func startInPod(of, variable string, request any) (board, error) {
	namespace := os.Getenv(agentapi.EnvPodNamespace)
	name := os.Getenv(jobapi.EnvConfigMap)
	if namespace == "" || name == "" {
		return board{}, fmt.Errorf("%w: %s and %s must be set, as the operator's %s has them",
			errForGood, agentapi.EnvPodNamespace, jobapi.EnvConfigMap, of)
	}
	if err := json.Unmarshal([]byte(os.Getenv(variable)), request); err != nil {
		return board{}, fmt.Errorf("%w: read the request in %s: %w", errForGood, variable, err)
	}
	config, err := rest.InClusterConfig()
	if err != nil {
		return board{}, fmt.Errorf("find the API server: %w", err)
	}
	core, err := typedv1.NewForConfig(config)
	if err != nil {
		return board{}, fmt.Errorf("make a client: %w", err)
	}
	return board{
		api:  core.ConfigMaps(namespace),
		name: name,
	}, nil
}
