package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// editor may do what the built-in role edit allows, and write the status of some objects,
// which that role does not allow. No controller aggregates the role here, so the roles it
// is made from are bound.
func (s *scene) editor() client.Client {
	s.Helper()
	s.must(client.IgnoreAlreadyExists(s.Create(s.ctx, &rbacv1.ClusterRole{
		ObjectMeta: metav1.ObjectMeta{Name: "test-subresources"},
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"pods/status", "services/status"}, Verbs: []string{"update", "patch"}},
			{APIGroups: []string{"apps"}, Resources: []string{"statefulsets/status"}, Verbs: []string{"update", "patch"}},
			{APIGroups: []string{"coordination.k8s.io"}, Resources: []string{"leases"}, Verbs: []string{"*"}},
		},
	})))
	for _, role := range []string{"system:aggregate-to-edit", "system:aggregate-to-view", "test-subresources"} {
		s.must(s.Create(s.ctx, &rbacv1.RoleBinding{
			ObjectMeta: metav1.ObjectMeta{GenerateName: "edit-", Namespace: s.namespace},
			RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: role},
			Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "mallory"}},
		}))
	}
	c, err := client.New(env.as("mallory"), client.Options{Scheme: app.Scheme()})
	s.must(err)
	s.inForce(c)
	return c
}

// inForce waits for the roles, and for the policies that were made before all tests: the
// API server learns of either from watches of its own.
func (s *scene) inForce(c client.Client) {
	s.Helper()
	s.eventually("the roles are in force", func() error {
		return errors.Join(
			c.List(s.ctx, &corev1.PodList{}, client.InNamespace(s.namespace)),
			c.Create(s.ctx, &coordinationv1.Lease{ObjectMeta: s.meta("his", nil)}, client.DryRunAll),
		)
	})
	for _, o := range []client.Object{
		&coordinationv1.Lease{ObjectMeta: s.meta("his", resources.Labels("his"))}, member(s.namespace, "his"),
		&corev1.Secret{ObjectMeta: s.meta("his", resources.Labels("his"))},
		&corev1.Service{ObjectMeta: s.meta("his", resources.Labels("his")), Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}},
	} {
		s.eventually(fmt.Sprintf("the policy about a %T is in force", o), func() error {
			err := c.Create(s.ctx, o.DeepCopyObject().(client.Object), client.DryRunAll)
			if err == nil {
				return errors.New("not refused")
			}
			if !strings.Contains(err.Error(), "dbpair") {
				return err
			}
			return nil
		})
	}
}

// attempt is one write by a user; says is a part of the refusal, empty when the write must
// pass.
type attempt struct {
	name string
	do   func(as client.Client) error
	says string
}

// shielded is a pair with its objects and both member pods, and the way to change them.
type shielded struct {
	*scene
	lease    *coordinationv1.Lease
	service  *corev1.Service
	set      *appsv1.StatefulSet
	config   *corev1.ConfigMap
	ca       *corev1.Secret
	internal *corev1.Secret
	app      *corev1.Secret
	tls      *corev1.Secret
	ofJob    *corev1.Secret
	pod      *corev1.Pod
	report   *corev1.ConfigMap
	job      *batchv1.Job
	operator client.Client
}

func newShielded(t *testing.T) *shielded {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	w := &shielded{
		scene:    s,
		lease:    &coordinationv1.Lease{ObjectMeta: s.meta("shop", nil)},
		service:  &corev1.Service{ObjectMeta: s.meta("shop", nil)},
		set:      &appsv1.StatefulSet{ObjectMeta: s.meta("shop", nil)},
		config:   &corev1.ConfigMap{ObjectMeta: s.meta("shop-config", nil)},
		ca:       &corev1.Secret{ObjectMeta: s.meta("shop-ca", nil)},
		internal: &corev1.Secret{ObjectMeta: s.meta("shop-internal", nil)},
		app:      &corev1.Secret{ObjectMeta: s.meta("shop-app", nil)},
		tls:      &corev1.Secret{ObjectMeta: s.meta("shop-tls-0", nil)},
		ofJob:    &corev1.Secret{ObjectMeta: s.meta("shop-job-1", reportLabels()), Data: map[string][]byte{"tls.key": []byte("key")}},
		pod:      member(s.namespace, "shop-0"),
		report:   &corev1.ConfigMap{ObjectMeta: s.meta("shop-job-1", reportLabels())},
		job:      &batchv1.Job{ObjectMeta: s.meta("shop-job-1", resources.JobLabels("shop")), Spec: batchv1.JobSpec{Template: jobTemplate()}},
	}
	for _, o := range []client.Object{w.lease, w.service, w.set, w.config, w.ca, w.internal, w.app, w.tls} {
		s.eventually(fmt.Sprintf("the %T", o), func() error { return s.Get(s.ctx, client.ObjectKeyFromObject(o), o) })
	}
	s.must(s.Create(s.ctx, w.pod))
	w.operator = s.as(operatorUser, "system:serviceaccounts", "system:serviceaccounts:"+operatorNamespace)
	s.must(w.operator.Create(s.ctx, w.report))
	s.must(w.operator.Create(s.ctx, w.job))
	s.must(w.operator.Create(s.ctx, w.ofJob))
	return w
}

// reportLabels are on the ConfigMap of a Job.
func reportLabels() map[string]string {
	labels := resources.JobLabels("shop")
	labels[resources.LabelPair] = "shop"
	return labels
}

func (s *scene) as(user string, groups ...string) client.Client {
	s.Helper()
	c, err := client.New(env.as(user, groups...), client.Options{Scheme: app.Scheme()})
	s.must(err)
	return c
}

// patched writes a change of an object as a user.
func (s *scene) patched(as client.Client, o client.Object, change func()) error {
	s.must(s.Get(s.ctx, client.ObjectKeyFromObject(o), o))
	base := o.DeepCopyObject().(client.Object)
	change()
	return as.Patch(s.ctx, o, client.MergeFrom(base))
}

func (s *scene) patchedStatus(as client.Client, o client.Object, change func()) error {
	s.must(s.Get(s.ctx, client.ObjectKeyFromObject(o), o))
	base := o.DeepCopyObject().(client.Object)
	change()
	return as.Status().Patch(s.ctx, o, client.MergeFrom(base))
}

// label sets a label, or removes it when the value is empty.
func label(o client.Object, key, value string) func() {
	return func() {
		labels := o.GetLabels()
		if labels == nil {
			labels = map[string]string{}
		}
		labels[key] = value
		if value == "" {
			delete(labels, key)
		}
		o.SetLabels(labels)
	}
}

func annotation(o client.Object, key, value string) func() {
	return func() {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[key] = value
		o.SetAnnotations(annotations)
	}
}

func (w *shielded) try(who string, as client.Client, attempts []attempt) {
	w.Helper()
	for _, a := range attempts {
		w.Run(who+"/"+a.name, func(t *testing.T) {
			err := a.do(as)
			switch {
			case a.says == "" && err != nil:
				t.Errorf("refused: %v", err)
			case a.says != "" && err == nil:
				t.Errorf("passed, want a refusal with %q", a.says)
			case a.says != "" && (!strings.Contains(err.Error(), a.says) || !strings.Contains(err.Error(), "verb override")):
				t.Errorf("got %v, want a refusal with %q that names the verb override", err, a.says)
			}
		})
	}
}

func TestEditorsDoNotDecideWhoMayAcceptWrites(t *testing.T) {
	w := newShielded(t)
	editor := w.editor()
	w.try("lease", editor, w.leaseAttempts())
	w.try("service", editor, w.serviceAttempts())
	w.try("pod", editor, w.podAttempts())
	w.try("statefulset", editor, w.statefulSetAttempts())
	w.try("job", editor, w.jobAttempts())
	w.try("secret", editor, w.secretAttempts())
}

// TestAdministratorsPassTheAdmissionPolicies: the way that each message names.
func TestAdministratorsPassTheAdmissionPolicies(t *testing.T) {
	w := newShielded(t)
	admin := w.editor()
	w.must(w.Create(w.ctx, &rbacv1.Role{ObjectMeta: w.meta("override", nil), Rules: []rbacv1.PolicyRule{{
		APIGroups:     []string{"dbpair.io"},
		Resources:     []string{"databasepairs/authority"},
		ResourceNames: []string{"shop", "evil"},
		Verbs:         []string{"override"},
	}}}))
	w.must(w.Create(w.ctx, &rbacv1.RoleBinding{
		ObjectMeta: w.meta("override", nil),
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "override"},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: "mallory"}},
	}))
	w.eventually("the role override is in force", func() error {
		return admin.Delete(w.ctx, w.lease.DeepCopy(), client.DryRunAll)
	})
	for _, attempts := range [][]attempt{
		w.leaseAttempts(), w.serviceAttempts(), w.podAttempts(), w.statefulSetAttempts(), w.jobAttempts(), w.secretAttempts(),
	} {
		for _, a := range attempts {
			t.Run(a.name, func(t *testing.T) {
				if err := a.do(client.NewDryRunClient(admin)); err != nil && strings.Contains(err.Error(), "ValidatingAdmissionPolicy") {
					t.Errorf("refused: %v", err)
				}
			})
		}
	}
}

// TestControllersMakeOnlyAPairsOwnMembers: Kubernetes' controllers act for users, so their
// identity alone is no reason to trust a pod.
func TestControllersMakeOnlyAPairsOwnMembers(t *testing.T) {
	w := newShielded(t)
	w.editor() // waits until the policies are in force
	controller := w.as("system:serviceaccount:kube-system:statefulset-controller", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	jobs := w.as("system:serviceaccount:kube-system:job-controller", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	collector := w.as("system:serviceaccount:kube-system:generic-garbage-collector", "system:serviceaccounts", "system:serviceaccounts:kube-system")
	owned := func(name string, owner client.Object, kind string) *corev1.Pod {
		pod := member(w.namespace, name)
		pod.Finalizers = nil
		pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, appsv1.SchemeGroupVersion.WithKind(kind))}
		return pod
	}
	create := func(pod *corev1.Pod) func(client.Client) error {
		return func(as client.Client) error { return as.Create(w.ctx, pod.DeepCopy(), client.DryRunAll) }
	}
	w.must(w.Delete(w.ctx, w.pod.DeepCopy(), client.GracePeriodSeconds(0)))
	evil := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "evil", UID: "e"}}
	jobPod := &corev1.Pod{ObjectMeta: w.meta("x", resources.JobLabels("shop")), Spec: jobTemplate().Spec}
	ofJob := jobPod.DeepCopy()
	ofJob.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(w.job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	w.try("statefulset-controller", controller, []attempt{
		{"makes a member", create(owned("shop-1", w.set, "StatefulSet")), ""},
		{"makes a member for another StatefulSet", create(owned("evil-0", evil, "StatefulSet")), "leave the label off"},
		{"makes a member's namesake for another StatefulSet", create(owned("shop-1", evil, "StatefulSet")), "leave the label off"},
		{"makes a third member", create(owned("shop-2", w.set, "StatefulSet")), "leave the label off"},
		{"makes a member without an owner", create(member(w.namespace, "shop-1")), "leave the label off"},
		{"makes a member for a ReplicaSet", create(owned("shop-1", w.set, "ReplicaSet")), "leave the label off"},
		{"writes the status of the StatefulSet", func(as client.Client) error {
			w.must(w.Get(w.ctx, client.ObjectKeyFromObject(w.set), w.set))
			w.set.Status.Replicas = 2
			return as.Status().Update(w.ctx, w.set)
		}, ""},
	})
	w.try("job-controller", jobs, []attempt{
		{"makes a pod of a Job", create(ofJob), ""},
		{"makes a pod of no Job", create(jobPod), "leave the label off"},
		{"writes the status of a Job", func(as client.Client) error {
			w.must(w.Get(w.ctx, client.ObjectKeyFromObject(w.job), w.job))
			w.job.Status.Active, w.job.Status.Ready = 1, ptr.To[int32](0)
			return as.Status().Update(w.ctx, w.job)
		}, ""},
	})
	w.try("garbage collector", collector, []attempt{
		{"deletes the Lease", func(as client.Client) error { return as.Delete(w.ctx, w.lease.DeepCopy(), client.DryRunAll) }, ""},
		{"deletes the Service", func(as client.Client) error { return as.Delete(w.ctx, w.service.DeepCopy(), client.DryRunAll) }, ""},
		{"deletes the StatefulSet", func(as client.Client) error { return as.Delete(w.ctx, w.set.DeepCopy(), client.DryRunAll) }, ""},
		{"deletes the passwords", func(as client.Client) error { return as.Delete(w.ctx, w.internal.DeepCopy(), client.DryRunAll) }, ""},
		{"deletes a result", func(as client.Client) error { return as.Delete(w.ctx, w.report.DeepCopy(), client.DryRunAll) }, ""},
	})
}

// TestTwoOperatorsDoNotRefuseEachOther: a second set of policies, of an operator that
// watches other namespaces, leaves those of the first alone; where both watch, the list of
// trusted operators says so.
func TestTwoOperatorsDoNotRefuseEachOther(t *testing.T) {
	s := newScene(t)
	const second = "system:serviceaccount:second-system:dbpair-manager"
	theirs := newScene(t)
	s.must(env.applyPolicies(s.ctx, t, "second", theirs.namespace, second))
	theirs.eventually("the policies of the second operator are in force", func() error {
		first := theirs.as(operatorUser, "system:serviceaccounts", "system:serviceaccounts:"+operatorNamespace)
		err := first.Create(s.ctx, &corev1.ConfigMap{ObjectMeta: theirs.meta("x", resources.Labels("x"))}, client.DryRunAll)
		switch {
		case err == nil:
			return errors.New("not refused by the second")
		case !strings.Contains(err.Error(), "second-config"):
			return err
		}
		return nil
	})
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")

	both := newScene(t)
	s.must(env.applyPolicies(s.ctx, t, "third", both.namespace, second, operatorUser))
	_, err = both.pair("shop", plain)
	s.must(err)
	both.surrounded("shop")
}

func statefulSet(namespace, name string, labels map[string]string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: appsv1.StatefulSetSpec{
			Selector: &metav1.LabelSelector{MatchLabels: labels},
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels},
				Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: "a", Image: "none"}}},
			},
		},
	}
}

func jobTemplate() corev1.PodTemplateSpec {
	return corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: resources.JobLabels("shop")},
		Spec: corev1.PodSpec{
			RestartPolicy: corev1.RestartPolicyNever,
			Containers:    []corev1.Container{{Name: "a", Image: "none"}},
		},
	}
}

func (s *scene) meta(name string, labels map[string]string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: s.namespace, Labels: labels}
}

func member(namespace, name string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:       name,
			Namespace:  namespace,
			Labels:     resources.Labels("shop"),
			Finalizers: []string{pair.FinalizerFence},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "mysqld", Image: "none"}}},
	}
}
