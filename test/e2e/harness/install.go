package harness

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/util/retry"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Release is the name of the chart's release under test.
const Release = "dbpair"

// leaderLease is the Lease by which the operator's replicas elect their leader.
const leaderLease = "dbpair-manager"

// baseValues make a lost leader replaced within seconds.
var baseValues = []string{
	"leaderElection.leaseDuration=4s", "leaderElection.renewDeadline=3s", "leaderElection.retryPeriod=1s",
}

func helm() string { return cmp.Or(os.Getenv("HELM"), "helm") }

// chartDir is charts/dbpair, looked for upwards from the working directory.
func chartDir() (string, error) {
	if dir := os.Getenv("E2E_CHART"); dir != "" {
		return dir, nil
	}
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for ; dir != "/"; dir = filepath.Dir(dir) {
		chart := filepath.Join(dir, "charts", "dbpair")
		if _, err := os.Stat(filepath.Join(chart, "Chart.yaml")); err == nil {
			return chart, nil
		}
	}
	return "", fmt.Errorf("no charts/dbpair above the working directory; set E2E_CHART")
}

// Install installs the chart, or upgrades it, and waits until the operator is there.
// Values are as for helm --set.
func (c *Cluster) Install(ctx context.Context, values ...string) error {
	chart, err := chartDir()
	if err != nil {
		return fmt.Errorf("install: %w", err)
	}
	repository, tag := cutLast(OperatorImage(), ":")
	args := []string{
		"upgrade", "--install", Release, chart, "--namespace", OperatorNamespace, "--create-namespace",
		"--wait", "--timeout", Patience.String(),
		"--force-conflicts", // the CRDs may have been kustomize's before
		"--set", "image.repository=" + repository, "--set", "image.tag=" + tag,
	}
	for _, v := range append(append([]string{}, baseValues...), values...) {
		args = append(args, "--set", v)
	}
	if _, err := command(ctx, helm(), args...); err != nil {
		return fmt.Errorf("install: %w", err)
	}
	return nil
}

// Uninstall removes the release.
func (c *Cluster) Uninstall(ctx context.Context) error {
	_, err := command(ctx, helm(), "uninstall", Release, "--namespace", OperatorNamespace, "--wait", "--timeout", Patience.String())
	return err
}

// cutLast cuts s at the last sep; without one all of it is before.
func cutLast(s, sep string) (before, after string) {
	i := strings.LastIndex(s, sep)
	if i < 0 {
		return s, ""
	}
	return s[:i], s[i+len(sep):]
}

// OperatorPods are the operator's pods.
func (c *Cluster) OperatorPods(ctx context.Context) ([]corev1.Pod, error) {
	var list corev1.PodList
	if err := c.List(ctx, &list, client.InNamespace(OperatorNamespace), client.MatchingLabels{"app.kubernetes.io/name": "dbpair"}); err != nil {
		return nil, fmt.Errorf("list operator pods: %w", err)
	}
	return list.Items, nil
}

// Leader is the operator's pod that works at present.
func (c *Cluster) Leader(ctx context.Context) (*corev1.Pod, error) {
	var lease coordinationv1.Lease
	if err := c.Get(ctx, types.NamespacedName{Namespace: OperatorNamespace, Name: leaderLease}, &lease); err != nil {
		return nil, fmt.Errorf("get leader lease: %w", err)
	}
	if lease.Spec.HolderIdentity == nil || *lease.Spec.HolderIdentity == "" {
		return nil, NotYet("no leader")
	}
	name, _ := cutLast(*lease.Spec.HolderIdentity, "_")
	var pod corev1.Pod
	if err := c.Get(ctx, types.NamespacedName{Namespace: OperatorNamespace, Name: name}, &pod); err != nil {
		return nil, fmt.Errorf("get leader: %w", err)
	}
	return &pod, nil
}

// AwaitLeader waits until one of the operator's pods works.
func (c *Cluster) AwaitLeader(ctx context.Context) error {
	return Eventually(ctx, Patience, "a leader of the operator", func(ctx context.Context) error {
		_, err := c.Leader(ctx)
		return err
	})
}

// LeadFrom waits until the leader runs on this node. One replica at least must run there;
// a leader elsewhere is deleted until another one has the lead.
func (c *Cluster) LeadFrom(ctx context.Context, node string) error {
	return Eventually(ctx, Patience, "a leader on "+node, func(ctx context.Context) error {
		leader, err := c.Leader(ctx)
		if err != nil {
			return err
		}
		if leader.Spec.NodeName == node && leader.DeletionTimestamp == nil {
			return nil
		}
		if leader.DeletionTimestamp == nil {
			uid := leader.UID
			err = client.IgnoreNotFound(c.Delete(ctx, leader, client.Preconditions{UID: &uid}))
		}
		return errors.Join(err, NotYet("it runs on %s", leader.Spec.NodeName))
	})
}

// ChangeOperator patches the operator's Deployment and waits for the rollout and for a
// leader among its new pods.
func (c *Cluster) ChangeOperator(ctx context.Context, change func(*appsv1.Deployment)) error {
	d, err := c.operator(ctx)
	if err != nil {
		return err
	}
	before := d.DeepCopy()
	change(d)
	if err := c.Patch(ctx, d, client.MergeFrom(before)); err != nil {
		return fmt.Errorf("change operator: %w", err)
	}
	return c.awaitOperator(ctx, d)
}

// ReplaceOperator puts the spec of the operator's Deployment back and waits likewise.
func (c *Cluster) ReplaceOperator(ctx context.Context, spec appsv1.DeploymentSpec) error {
	var d *appsv1.Deployment
	err := retry.RetryOnConflict(retry.DefaultRetry, func() (err error) { // its status changes as its pods crash
		if d, err = c.operator(ctx); err != nil {
			return err
		}
		d.Spec = spec
		return c.Update(ctx, d)
	})
	if err != nil {
		return fmt.Errorf("replace operator: %w", err)
	}
	return c.awaitOperator(ctx, d)
}

func (c *Cluster) operator(ctx context.Context) (*appsv1.Deployment, error) {
	var list appsv1.DeploymentList
	if err := c.List(ctx, &list, client.InNamespace(OperatorNamespace)); err != nil {
		return nil, fmt.Errorf("find operator: %w", err)
	}
	if len(list.Items) != 1 {
		return nil, fmt.Errorf("find operator: %d deployments in %s, want one", len(list.Items), OperatorNamespace)
	}
	return &list.Items[0], nil
}

func (c *Cluster) awaitOperator(ctx context.Context, d *appsv1.Deployment) error {
	return Eventually(ctx, Patience, "rollout of the operator", func(ctx context.Context) error {
		if err := c.Get(ctx, client.ObjectKeyFromObject(d), d); err != nil {
			return err
		}
		want := *d.Spec.Replicas
		s := d.Status
		complete := s.UpdatedReplicas == want && s.Replicas == want && s.AvailableReplicas == want
		if s.ObservedGeneration < d.Generation || !complete {
			return NotYet("status %+v", s)
		}
		if want == 0 {
			return nil
		}
		_, err := c.Leader(ctx)
		return err
	})
}

// ScaleOperator sets the number of replicas and waits.
func (c *Cluster) ScaleOperator(ctx context.Context, replicas int32) error {
	return c.ChangeOperator(ctx, func(d *appsv1.Deployment) { d.Spec.Replicas = &replicas })
}

// kustomized are the folders of config/default that hold the operator; the CRDs stay,
// since taking them away takes every pair.
var kustomized = []string{"config/admission", "config/manager", "config/rbac"}

// Kustomize installs the operator from config/default, as users without Helm do.
func (c *Cluster) Kustomize(ctx context.Context) error {
	return kubectlKustomize(ctx, "config/default", "apply", "--server-side", "--force-conflicts")
}

// Unkustomize removes what Kustomize installed, but for the CRDs.
func (c *Cluster) Unkustomize(ctx context.Context) error {
	for _, folder := range kustomized {
		if err := kubectlKustomize(ctx, folder, "delete", "--ignore-not-found", "--timeout="+Patience.String()); err != nil {
			return err
		}
	}
	return nil
}

func kubectlKustomize(ctx context.Context, folder string, args ...string) error {
	chart, err := chartDir()
	if err != nil {
		return fmt.Errorf("kustomize: %w", err)
	}
	root := filepath.Dir(filepath.Dir(chart))
	_, err = command(ctx, "kubectl", append(args, "-k", filepath.Join(root, folder))...)
	return err
}
