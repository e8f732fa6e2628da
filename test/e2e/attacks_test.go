//go:build e2e

package e2e

import (
	"context"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority/lease"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// attack is one attempt of a user to move, double, hide or take over the primary.
type attack struct {
	name string
	as   string
	do   func(c *harness.Cluster) error
	// refusal is a part of the API server's message. When it is empty the write may pass,
	// and after is awaited: the operator corrects or reports it.
	refusal string
	after   func() error
}

// The users of the attacks, each with one role in the namespace and nothing else.
const (
	editor   = "attack-edit"
	rollouts = "attack-statefulsets"
	statuses = "attack-status"
	writer   = "attack-pairs"
)

// attackStage is a pair under attack.
type attackStage struct {
	*scene
	pair    *harness.Pair
	primary string
	users   map[string]*harness.Cluster
}

func newAttackStage(t *testing.T) *attackStage {
	s := newScene(t, "attacks")
	a := &attackStage{scene: s, users: map[string]*harness.Cluster{}}
	a.bind(editor, "ClusterRole", "edit")
	a.role(rollouts, []rbacv1.PolicyRule{
		{APIGroups: []string{"apps"}, Resources: []string{"statefulsets", "statefulsets/scale"}, Verbs: []string{"get", "patch", "update"}},
		{APIGroups: []string{""}, Resources: []string{"pods"}, Verbs: []string{"get", "delete"}},
	})
	a.role(statuses, []rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"pods/status", "services/status"}, Verbs: []string{"patch", "update"}},
	})
	a.role(writer, []rbacv1.PolicyRule{
		{APIGroups: []string{"dbpair.io"}, Resources: []string{"databasepairs"}, Verbs: []string{"*"}},
	})
	a.pair = s.readyPair("shop")
	a.primary = s.primary(a.pair)
	return a
}

func (a *attackStage) role(user string, rules []rbacv1.PolicyRule) {
	a.must(cluster.Create(a.ctx, &rbacv1.Role{ObjectMeta: a.meta(user), Rules: rules}))
	a.bind(user, "Role", user)
}

func (a *attackStage) bind(user, kind, role string) {
	a.must(cluster.Create(a.ctx, &rbacv1.RoleBinding{
		ObjectMeta: a.meta(user),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: kind, Name: role},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
	c, err := cluster.As(user)
	a.must(err)
	a.users[user] = c
}

func (a *attackStage) meta(name string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: a.namespace, Name: name}
}

// change reads an object as the admin and returns the attempt to write a change of it.
func change[T client.Object](a *attackStage, object T, change func(T)) func(*harness.Cluster) error {
	return func(c *harness.Cluster) error {
		base, ok, err := readForChange(a, object)
		if err != nil || !ok {
			return err
		}
		change(object)
		return c.Patch(a.ctx, object, client.MergeFrom(base))
	}
}

// changeStatus is change through the status subresource.
func changeStatus[T client.Object](a *attackStage, object T, change func(T)) func(*harness.Cluster) error {
	return func(c *harness.Cluster) error {
		base, ok, err := readForChange(a, object)
		if err != nil || !ok {
			return err
		}
		change(object)
		return c.Status().Patch(a.ctx, object, client.MergeFrom(base))
	}
}

func readForChange(a *attackStage, object client.Object) (client.Object, bool, error) {
	if err := cluster.Get(a.ctx, client.ObjectKeyFromObject(object), object); err != nil {
		return nil, false, err
	}
	base, ok := object.DeepCopyObject().(client.Object)
	return base, ok, nil
}

// TestAttacks: each way in which a user with a common role could once move, double or hide
// the primary, hijack its clients, or run code in a member ends in a denial, a correction
// or a report, with the primary where it was at the epoch where it was.
func TestAttacks(t *testing.T) {
	t.Parallel()
	a := newAttackStage(t)
	before := a.authority()
	for _, one := range append(append(a.onPods(), a.onServices()...), append(append(a.onTemplates(), a.onRequests()...), a.onSecrets()...)...) {
		err := one.do(a.users[one.as])
		switch {
		case one.refusal != "" && err == nil:
			t.Errorf("%s: passed as %s", one.name, one.as)
		case one.refusal != "" && !containsAll(err.Error(), []string{one.refusal}):
			t.Errorf("%s: refused as %s, but without %q: %v", one.name, one.as, one.refusal, err)
		case one.refusal == "" && err != nil:
			t.Errorf("%s: as %s: %v", one.name, one.as, err)
		case one.after != nil:
			if err := one.after(); err != nil {
				t.Errorf("%s: %v", one.name, err)
			}
		}
		if now := a.authority(); now != before {
			t.Fatalf("%s: the authority moved from %s to %s", one.name, before, now)
		}
	}
	a.must(a.pair.AwaitReady(a.ctx))
	a.must(a.pair.Await(a.ctx, harness.Patience, harness.Want{Type: v1alpha1.ConditionInDoubt, Status: metav1.ConditionFalse}))
	if now := a.scene.primary(a.pair); now != a.primary {
		t.Errorf("the primary is %s, it was %s", now, a.primary)
	}
}

// authority is holder and epoch of the pair's Lease.
func (a *attackStage) authority() string {
	var l coordinationv1.Lease
	a.must(cluster.Get(a.ctx, types.NamespacedName{Namespace: a.namespace, Name: "shop"}, &l))
	record, err := lease.Parse(&l)
	a.must(err)
	return fmt.Sprintf("%s at epoch %d", record.Holder, record.Epoch)
}

func (a *attackStage) onPods() []attack {
	primary := &corev1.Pod{ObjectMeta: a.meta(a.primary)}
	passive := &corev1.Pod{ObjectMeta: a.meta(a.pair.Peer(a.primary))}
	label := func(key, value string) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.Labels[key] = value
			if value == "" {
				delete(p.Labels, key)
			}
		}
	}
	const refusal = "labels of a dbpair member's pod"
	return []attack{
		{
			name:    "hide the primary from the operator",
			as:      editor,
			do:      change(a, primary, label(resources.LabelManagedBy, "")),
			refusal: refusal,
		},
		{
			name:    "hide the passive from the operator",
			as:      editor,
			do:      change(a, passive, label(resources.LabelManagedBy, "")),
			refusal: refusal,
		},
		{
			name:    "lead clients to the passive",
			as:      editor,
			do:      change(a, passive, label(pair.LabelEpochPrefix+"1", "open")),
			refusal: refusal,
		},
		{
			name:    "lead clients to the passive through its status",
			as:      statuses,
			do:      changeStatus(a, passive, label(pair.LabelEpochPrefix+"1", "open")),
			refusal: refusal,
		},
		{
			name:    "run another image in the primary",
			as:      editor,
			do:      change(a, primary, func(p *corev1.Pod) { p.Spec.Containers[0].Image = "evil.test/mysql:9.7" }),
			refusal: "spec of a dbpair member's pod",
		},
		{
			name:    "remove the evidence that the primary runs",
			as:      editor,
			do:      change(a, primary, func(p *corev1.Pod) { p.Finalizers = nil }),
			refusal: "confirm-dead",
		},
	}
}

func (a *attackStage) onServices() []attack {
	service := &corev1.Service{ObjectMeta: a.meta("shop")}
	spec := func(edit func(*corev1.Service)) func(*harness.Cluster) error { return change(a, service, edit) }
	const refusal = "where this Service leads"
	return []attack{
		{
			name:    "lead the Service to a foreign server",
			as:      editor,
			refusal: refusal,
			do: spec(func(s *corev1.Service) {
				s.Spec.Type = corev1.ServiceTypeExternalName
				s.Spec.ExternalName = "evil.example.com"
			}),
		},
		{
			name:    "keep clients of other nodes off",
			as:      editor,
			refusal: refusal,
			do: spec(func(s *corev1.Service) {
				s.Spec.InternalTrafficPolicy = ptr.To(corev1.ServiceInternalTrafficPolicyLocal)
			}),
		},
		{
			name:    "take over an address",
			as:      editor,
			refusal: refusal,
			do:      spec(func(s *corev1.Service) { s.Spec.ExternalIPs = []string{"192.0.2.1"} }),
		},
		{
			name:    "say that the Service was detached",
			as:      editor,
			refusal: "annotations of dbpair.io",
			do: spec(func(s *corev1.Service) {
				metav1.SetMetaDataAnnotation(&s.ObjectMeta, resources.AnnotationDetached, "x")
			}),
		},
		{
			name:    "remove the Service's label through its status",
			as:      statuses,
			refusal: "annotations of dbpair.io",
			do:      changeStatus(a, service, func(s *corev1.Service) { delete(s.Labels, resources.LabelPair) }),
		},
	}
}

func (a *attackStage) onTemplates() []attack {
	set := &appsv1.StatefulSet{ObjectMeta: a.meta("shop")}
	template := func(edit func(*corev1.PodTemplateSpec)) func(*harness.Cluster) error {
		return change(a, set, func(s *appsv1.StatefulSet) { edit(&s.Spec.Template) })
	}
	looksLikeMembers := map[string]string{
		resources.LabelPair: "shop", resources.LabelName: resources.Product, pair.LabelReadable: "true",
	}
	pods := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: looksLikeMembers},
		// The namespace's Pod Security Standard must not be what refuses it.
		Spec: corev1.PodSpec{
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name:  "a",
				Image: "none",
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
	return []attack{
		{
			name:    "run a container beside mysqld",
			as:      rollouts,
			refusal: "spec of this StatefulSet",
			do: template(func(t *corev1.PodTemplateSpec) {
				t.Spec.Containers = append(t.Spec.Containers, corev1.Container{Name: "evil", Image: "none"})
			}),
		},
		{
			name:    "give new pods the highest epoch",
			as:      rollouts,
			refusal: "spec of this StatefulSet",
			do:      template(func(t *corev1.PodTemplateSpec) { t.Labels[pair.LabelEpochPrefix+"9223372036854775807"] = "open" }),
		},
		{
			name:    "scale the pair away",
			as:      rollouts,
			refusal: "is not scaled",
			do: func(c *harness.Cluster) error {
				return c.SubResource("scale").Patch(a.ctx, set.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"replicas":0}}`)))
			},
		},
		{
			name:    "make a StatefulSet whose pods look like members",
			as:      editor,
			refusal: "pod template",
			do: func(c *harness.Cluster) error {
				return c.Create(a.ctx, &appsv1.StatefulSet{ObjectMeta: a.meta("evil"), Spec: appsv1.StatefulSetSpec{
					Selector: &metav1.LabelSelector{MatchLabels: looksLikeMembers}, Template: pods,
				}})
			},
		},
		{
			// The Deployment is made, its pods are not.
			name: "make a Deployment whose pods look like members",
			as:   editor,
			do: func(c *harness.Cluster) error {
				return c.Create(a.ctx, &appsv1.Deployment{ObjectMeta: a.meta("evil"), Spec: appsv1.DeploymentSpec{
					Selector: &metav1.LabelSelector{MatchLabels: looksLikeMembers}, Template: pods,
				}})
			},
			after: a.deploymentHasNoPods,
		},
	}
}

// deploymentHasNoPods waits until the ReplicaSet of the Deployment was refused its pod.
func (a *attackStage) deploymentHasNoPods() error {
	return harness.Eventually(a.ctx, harness.Patience, "refusal of the Deployment's pods", func(ctx context.Context) error {
		var deployment appsv1.Deployment
		if err := cluster.Get(ctx, types.NamespacedName{Namespace: a.namespace, Name: "evil"}, &deployment); err != nil {
			return err
		}
		for _, c := range deployment.Status.Conditions {
			if c.Type == appsv1.DeploymentReplicaFailure && containsAll(c.Message, []string{"leave the label off"}) {
				return nil
			}
		}
		return harness.NotYet("conditions %+v", deployment.Status.Conditions)
	})
}

func (a *attackStage) onRequests() []attack {
	config := &corev1.ConfigMap{ObjectMeta: a.meta("shop-config")}
	labels := resources.JobLabels("shop")
	ofJob := metav1.ObjectMeta{Namespace: a.namespace, Name: "shop-job-evil", Labels: labels}
	return []attack{
		{
			name:    "stop the primary from waiting for the passive",
			as:      editor,
			refusal: "change the DatabasePair",
			do: change(a, config, func(m *corev1.ConfigMap) {
				for key := range m.Data {
					m.Data[key] = "{}"
				}
			}),
		},
		{
			name:    "forge the result of a comparison",
			as:      editor,
			refusal: "only its Job",
			do:      func(c *harness.Cluster) error { return c.Create(a.ctx, &corev1.ConfigMap{ObjectMeta: ofJob}) },
		},
		{
			name:    "make a Job that the members serve",
			as:      editor,
			refusal: "leave the label off",
			do: func(c *harness.Cluster) error {
				return c.Create(a.ctx, &batchv1.Job{ObjectMeta: ofJob, Spec: batchv1.JobSpec{Template: corev1.PodTemplateSpec{
					ObjectMeta: metav1.ObjectMeta{Labels: labels},
					Spec: corev1.PodSpec{
						RestartPolicy: corev1.RestartPolicyNever,
						Containers:    []corev1.Container{{Name: "a", Image: "none"}},
					},
				}}})
			},
		},
		{
			name:    "give the pair's accounts to every login",
			as:      writer,
			refusal: "owned by the operator",
			do: func(c *harness.Cluster) error {
				return c.Pair(a.namespace, "shop").PatchSpec(a.ctx, `mysql: {config: {mandatory_roles: "dbpair_repl@%"}}`)
			},
		},
		{
			name: "publish a setting with which no mysqld starts",
			as:   writer,
			do: func(c *harness.Cluster) error {
				return c.Pair(a.namespace, "shop").PatchSpec(a.ctx, `mysql: {config: {max_conections: "100"}}`)
			},
			after: func() error {
				a.awaitComplaint(a.pair, "spec.mysql.config", "max_conections")
				return a.pair.PatchSpec(a.ctx, `mysql: {config: {max_conections: null}}`)
			},
		},
	}
}

// TestALeaseThatWasThereFirstIsNoAuthority: a Lease of the pair's name, which any user may
// make before the pair, does not decide who accepts writes.
func TestALeaseThatWasThereFirstIsNoAuthority(t *testing.T) {
	t.Parallel()
	s := newScene(t, "forged-lease")
	forged := &coordinationv1.Lease{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop"},
		Spec: coordinationv1.LeaseSpec{
			HolderIdentity:   ptr.To("shop-1/forged"),
			LeaseTransitions: ptr.To[int32](7),
			AcquireTime:      &metav1.MicroTime{Time: time.Now()},
		},
	}
	s.must(cluster.Create(s.ctx, forged))
	p := s.pair("shop")
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{Type: v1alpha1.ConditionReady, Status: metav1.ConditionFalse, Message: "Lease"}))
	if object, err := p.Object(s.ctx); err != nil || object.Status.Primary != "" {
		t.Errorf("the primary is %q: %v", object.Status.Primary, err)
	}
	// Without it the pair begins.
	s.must(client.IgnoreNotFound(cluster.Delete(s.ctx, forged)))
	s.must(p.AwaitReady(s.ctx))
}
