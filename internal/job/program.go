package job

import (
	"context"
	"encoding/json"
	"fmt"
	"os"

	"github.com/go-logr/logr"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// RunInPod is the process of a Job's pod; see Run.
func RunInPod(ctx context.Context, log logr.Logger) error {
	namespace := os.Getenv(agentapi.EnvPodNamespace)
	name := os.Getenv(jobapi.EnvConfigMap)
	if namespace == "" || name == "" {
		return fmt.Errorf("%w: %s and %s must be set, as the operator's Jobs have them",
			ErrPermanent, agentapi.EnvPodNamespace, jobapi.EnvConfigMap)
	}
	var request jobapi.Request
	if err := json.Unmarshal([]byte(os.Getenv(jobapi.EnvRequest)), &request); err != nil {
		return fmt.Errorf("%w: read the request in %s: %w", ErrPermanent, jobapi.EnvRequest, err)
	}
	conf, err := rest.InClusterConfig()
	if err != nil {
		return fmt.Errorf("find the API server: %w", err)
	}
	core, err := typedv1.NewForConfig(conf)
	if err != nil {
		return fmt.Errorf("make a client: %w", err)
	}
	return Run(ctx, Options{
		ConfigMaps: core.ConfigMaps(namespace),
		Name:       name,
		Request:    request,
		Log:        log,
	})
}
