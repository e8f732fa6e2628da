package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// ArtifactsDir is where the evidence of failures is kept.
func ArtifactsDir() string {
	return cmp.Or(os.Getenv("E2E_ARTIFACTS"), filepath.Join(os.TempDir(), "dbpair-e2e"))
}

// Dump writes everything that explains a failure below a folder named for the case, and
// returns that folder. It goes on past errors and returns them all.
func (c *Cluster) Dump(ctx context.Context, name, namespace string) (string, error) {
	dir := filepath.Join(ArtifactsDir(), strings.Map(func(r rune) rune {
		if strings.ContainsRune("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_", r) {
			return r
		}
		return '-'
	}, name))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return dir, fmt.Errorf("dump: %w", err)
	}
	lists := map[string]client.ObjectList{
		"pairs":          &v1alpha1.DatabasePairList{},
		"operations":     &v1alpha1.DatabasePairOperationList{},
		"leases":         &coordinationv1.LeaseList{},
		"services":       &corev1.ServiceList{},
		"endpointslices": &discoveryv1.EndpointSliceList{},
		"pods":           &corev1.PodList{},
		"pvcs":           &corev1.PersistentVolumeClaimList{},
		"events":         &corev1.EventList{},
	}
	var errs []error
	for what, list := range lists {
		if err := c.List(ctx, list, client.InNamespace(namespace)); err != nil {
			errs = append(errs, err)
			continue
		}
		errs = append(errs, writeYAML(filepath.Join(dir, what+".yaml"), list))
	}
	errs = append(errs, c.dumpLogs(ctx, dir, namespace), c.dumpLogs(ctx, dir, OperatorNamespace))
	return dir, errors.Join(errs...)
}

func writeYAML(path string, object any) error {
	raw, err := yaml.Marshal(object)
	if err != nil {
		return err
	}
	return os.WriteFile(path, raw, 0o600)
}

func (c *Cluster) dumpLogs(ctx context.Context, dir, namespace string) error {
	var pods corev1.PodList
	if err := c.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		return err
	}
	var errs []error
	for _, pod := range pods.Items {
		statuses := append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...), pod.Status.ContainerStatuses...)
		for _, status := range statuses {
			for _, previous := range []bool{false, true} {
				if previous && status.RestartCount == 0 {
					continue
				}
				raw, err := c.Logs(ctx, namespace, pod.Name, corev1.PodLogOptions{
					Container: status.Name,
					Previous:  previous,
					TailLines: ptr.To[int64](5000),
				})
				if err != nil {
					continue // a container that has not started, or a node that is away
				}
				name := fmt.Sprintf("%s_%s%s.log", pod.Name, status.Name, map[bool]string{true: "_previous"}[previous])
				errs = append(errs, os.WriteFile(filepath.Join(dir, name), raw, 0o600))
			}
		}
	}
	return errors.Join(errs...)
}
