package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/app"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// The operator runs here with its real role, so a right that it lacks shows as an object
// that is not made.
func TestAnArchiveIsMadeAndRemovedAsTheSpecSays(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nbackup: {destination: {volume: {claimName: backups}}, binlog: {enabled: true}}")
	s.must(err)
	s.surrounded("shop")
	key := s.key("shop-archive")
	var deployment appsv1.Deployment
	for _, o := range []client.Object{&deployment, &corev1.Secret{}, &corev1.ConfigMap{}, &rbacv1.Role{}, &rbacv1.RoleBinding{}} {
		s.eventually(fmt.Sprintf("the %T of the archive", o), func() error { return s.Get(s.ctx, key, o) })
	}
	s.eventually("the condition says what is missing", func() error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		for _, c := range p.Status.Conditions {
			if c.Type == v1alpha1.ConditionArchiving && c.Status == metav1.ConditionFalse && c.Reason == "SecretMissing" {
				return nil
			}
		}
		return fmt.Errorf("conditions %+v", p.Status.Conditions)
	})

	// The archiver's identity writes its report and nothing else, and no other identity writes it.
	self, err := client.New(env.as("system:serviceaccount:"+s.namespace+":shop-job", "system:serviceaccounts"), client.Options{Scheme: app.Scheme()})
	s.must(err)
	report := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop-archive"}}
	written := client.RawPatch("application/merge-patch+json", []byte(`{"data": {"`+jobapi.KeyArchive+`": "{}"}}`))
	s.eventually("the archiver may report", func() error { return self.Patch(s.ctx, report, written) })
	if err := self.Get(s.ctx, s.key("shop-internal"), &corev1.Secret{}); err == nil {
		t.Error("an archiver may read a Secret")
	}

	// Nothing is written again and again.
	if deployment.Generation != 1 || *deployment.Spec.Replicas != 1 {
		t.Errorf("generation %d, replicas %d", deployment.Generation, *deployment.Spec.Replicas)
	}
	owner := &appsv1.Deployment{ObjectMeta: s.meta("shop-archive", nil)}
	owner.UID = deployment.UID
	s.archiveAttempts(owner)

	s.must(s.patched(env.admin, p, func() { p.Spec.Backup.Binlog.FlushInterval.Duration *= 2 }))
	s.eventually("the archive follows the spec", func() error {
		s.must(s.Get(s.ctx, key, &deployment))
		if deployment.Generation != 2 {
			return fmt.Errorf("generation %d", deployment.Generation)
		}
		return nil
	})
	s.must(s.patched(env.admin, p, func() { p.Spec.Backup.Binlog.Enabled = false }))
	s.eventually("the archive is removed", func() error {
		if err := s.Get(s.ctx, key, &deployment); !apierrors.IsNotFound(err) {
			return errors.Join(err, errors.New("the Deployment is there"))
		}
		if err := s.Get(s.ctx, key, &corev1.Secret{}); !apierrors.IsNotFound(err) {
			return errors.Join(err, errors.New("the Secret is there"))
		}
		return nil
	})
	if err := s.event("ChangeUndone", resources.NamesOf(p).Archive()); err == nil {
		t.Error("the operator repaired what nobody changed")
	}
}

// An archiver that mounted a member's volume would write beside its data.
func TestNoArchiveGoesToTheVolumeOfAMember(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nrouter: {enabled: true}\nbackup: {destination: {volume: {claimName: data-shop-1}}, binlog: {enabled: true}}")
	s.must(err)
	// It is made after the archive.
	s.eventually("the router", func() error { return s.Get(s.ctx, s.key("shop-router"), &appsv1.Deployment{}) })
	s.eventually("the condition says why there is none", func() error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionArchiving)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "data-shop-1 is the volume of a member") {
			return fmt.Errorf("condition %+v", c)
		}
		return nil
	})
	if err := s.Get(s.ctx, s.key("shop-archive"), &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
		t.Errorf("an archiver is there (%v)", err)
	}
}

// The archive runs as the ServiceAccount that the store knows. One that is not there is named, and only the
// one of the spec may write the report.
func TestAnArchiveRunsAsTheServiceAccountOfItsStore(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nbackup: {destination: {gcs: {bucket: abc}, serviceAccountName: backups}, binlog: {enabled: true}}")
	s.must(err)
	s.surrounded("shop")
	s.eventually("the condition names the ServiceAccount", func() error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionArchiving)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, "serviceAccountName: there is no ServiceAccount backups") {
			return fmt.Errorf("condition %+v", c)
		}
		return nil
	})
	s.must(s.Create(s.ctx, &corev1.ServiceAccount{ObjectMeta: s.meta("backups", nil)}))
	s.eventually("the archive's pods run as it", func() error {
		var deployment appsv1.Deployment
		if err := s.Get(s.ctx, s.key("shop-archive"), &deployment); err != nil {
			return err
		}
		if got := deployment.Spec.Template.Spec.ServiceAccountName; got != "backups" {
			return fmt.Errorf("they run as %q", got)
		}
		return nil
	})
	self := s.as("system:serviceaccount:"+s.namespace+":backups", "system:serviceaccounts")
	jobs := s.as("system:serviceaccount:"+s.namespace+":shop-job", "system:serviceaccounts")
	report := func(as client.Client, text string) error {
		written := client.RawPatch("application/merge-patch+json", []byte(`{"data": {"`+jobapi.KeyArchive+`": "`+text+`"}}`))
		return as.Patch(s.ctx, &corev1.ConfigMap{ObjectMeta: s.meta("shop-archive", nil)}, written)
	}
	s.eventually("its ServiceAccount may report", func() error { return report(self, "{}") })
	if err := report(jobs, "{ }"); !apierrors.IsForbidden(err) {
		t.Errorf("another ServiceAccount reports: %v", err)
	}
	s.must(s.patched(env.admin, p, func() { p.Spec.Backup.Destination.ServiceAccountName = "" }))
	s.eventually("that of Jobs may report, and the former one may not", func() error {
		if err := report(jobs, "{}"); err != nil {
			return err
		}
		if err := report(self, "{ }"); !apierrors.IsForbidden(err) {
			return fmt.Errorf("the former one reports: %w", err)
		}
		var m corev1.ConfigMap
		s.must(s.Get(s.ctx, s.key("shop-archive"), &m))
		if name := m.Annotations[resources.AnnotationReporter]; name != "" {
			return fmt.Errorf("%s may report", name)
		}
		return nil
	})
}

// archiveAttempts are what nobody but the operator and Kubernetes' controllers may do: the pod of an
// archive has a password of the members.
func (s *scene) archiveAttempts(deployment *appsv1.Deployment) {
	s.Helper()
	labels := resources.ArchiveSelector("shop")
	template := corev1.PodTemplateSpec{
		ObjectMeta: metav1.ObjectMeta{Labels: labels},
		Spec:       jobTemplate().Spec,
	}
	template.Spec.RestartPolicy = corev1.RestartPolicyAlways
	evil := &appsv1.Deployment{ObjectMeta: s.meta("evil", nil)}
	evil.Spec.Selector = &metav1.LabelSelector{MatchLabels: labels}
	evil.Spec.Template = template
	set := &appsv1.ReplicaSet{ObjectMeta: s.meta("evil", labels)}
	set.Spec.Selector = evil.Spec.Selector
	set.Spec.Template = template
	owned := set.DeepCopy()
	owned.Name = "shop-archive-1"
	owned.UID = "of-a-set"
	owned.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(deployment, appsv1.SchemeGroupVersion.WithKind("Deployment"))}
	pod := &corev1.Pod{
		ObjectMeta: s.meta("shop-archive-1-x", labels),
		Spec:       template.Spec,
	}
	ofSet := pod.DeepCopy()
	ofSet.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owned, appsv1.SchemeGroupVersion.WithKind("ReplicaSet"))}
	editor := s.editor()
	system := func(controller string) client.Client {
		return s.as("system:serviceaccount:kube-system:"+controller, "system:serviceaccounts", "system:serviceaccounts:kube-system")
	}
	for _, a := range []struct {
		name string
		as   client.Client
		made client.Object
		says string
	}{
		{"an editor makes a Deployment", editor, evil, "leave the"},
		{"an editor makes a ReplicaSet", editor, set, "leave the"},
		{"an editor makes a pod", editor, ofSet, "leave the label off"},
		{"a controller makes a ReplicaSet of the Deployment", system("deployment-controller"), owned, ""},
		{"a controller makes a ReplicaSet of nothing", system("deployment-controller"), set, "leave the"},
		{"a controller makes a pod of the ReplicaSet", system("replicaset-controller"), ofSet, ""},
		{"a controller makes a pod of nothing", system("replicaset-controller"), pod, "leave the label off"},
	} {
		err := a.as.Create(s.ctx, a.made, client.DryRunAll)
		refused := err != nil && strings.Contains(err.Error(), a.says) && strings.Contains(err.Error(), "verb override")
		if (a.says == "" && err != nil) || (a.says != "" && !refused) {
			s.Errorf("%s: %v, want %q", a.name, err, a.says)
		}
	}
	var live appsv1.Deployment
	s.must(s.Get(s.ctx, client.ObjectKeyFromObject(deployment), &live))
	err := s.patched(editor, &live, func() { live.Spec.Template.Spec.Containers[0].Image = "evil" })
	if err == nil || !strings.Contains(err.Error(), "change spec.backup") {
		s.Errorf("an editor changes the Deployment: %v", err)
	}
}
