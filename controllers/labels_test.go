package controllers_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/resources"
)

// member makes a pod as the StatefulSet's controller would, which does not run here.
func (s *scene) member(name, pair string) *corev1.Pod {
	s.Helper()
	labels := resources.Labels(pair)
	labels[appsv1.StatefulSetPodNameLabel] = name
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: s.namespace, Labels: labels},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: resources.ContainerMysqld, Image: "none"}}},
	}
	s.must(s.Create(s.ctx, pod))
	return pod
}

// unlabel takes a label off an object, as anyone who may write labels can.
func (s *scene) unlabel(o client.Object, label string) {
	s.Helper()
	s.must(s.Patch(s.ctx, o, client.RawPatch("application/merge-patch+json", fmt.Appendf(nil, `{"metadata":{"labels":{%q:null}}}`, label))))
}

func (s *scene) labelReturns(o client.Object, label, value string) {
	s.Helper()
	s.eventually(fmt.Sprintf("label %s of %T %s is back", label, o, o.GetName()), func() error {
		if err := s.Get(s.ctx, client.ObjectKeyFromObject(o), o); err != nil {
			return err
		}
		if got := o.GetLabels()[label]; got != value {
			return fmt.Errorf("it is %q", got)
		}
		return nil
	})
}

// Everything selects by labels: a running pod without them has no clients, no disruption
// budget, and must not be taken for a pod that is gone.
func TestRemovedLabelsArePutBackAndNamed(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	pod := s.member("shop-0", "shop")
	for _, label := range []string{resources.LabelManagedBy, resources.LabelName, resources.LabelPair} {
		value := pod.Labels[label]
		s.unlabel(pod, label)
		s.labelReturns(pod, label, value)
		s.eventually("an event names it", func() error { return s.event("LabelRestored", label+"="+value) })
	}
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data-shop-0", Namespace: s.namespace, Labels: resources.Labels("shop")},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes: []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			Resources:   corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: size(t, "1Gi")}},
		},
	}
	s.must(s.Create(s.ctx, claim))
	s.unlabel(claim, resources.LabelPair)
	s.labelReturns(claim, resources.LabelPair, "shop")
	for _, o := range []client.Object{
		&corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Name: "shop"}},
		&corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "shop-internal"}},
	} {
		s.must(s.Get(s.ctx, s.key(o.GetName()), o))
		s.unlabel(o, resources.LabelPair)
		s.labelReturns(o, resources.LabelPair, "shop")
	}
}

// Anyone who may create pods could put one in the place of a member.
func TestAPodThatNeverHadTheLabelsGetsNone(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-1", Namespace: s.namespace},
		Spec:       corev1.PodSpec{Containers: []corev1.Container{{Name: resources.ContainerMysqld, Image: "none"}}},
	}
	s.must(s.Create(s.ctx, pod))
	s.eventually("an event says what to do", func() error { return s.event("LabelMissing", "kubectl label pod shop-1") })
	s.must(s.Get(s.ctx, s.key("shop-1"), pod))
	if len(pod.Labels) > 0 {
		t.Errorf("the pod got labels: %v", pod.Labels)
	}
}

// What someone prepared before there was a pair is not the pair's, whatever its labels say.
func TestObjectsOlderThanThePairAreNotTakenUp(t *testing.T) {
	s := newScene(t)
	for _, o := range []client.Object{
		&corev1.Secret{
			ObjectMeta: metav1.ObjectMeta{Name: "shop-internal", Namespace: s.namespace, Labels: resources.Labels("shop")},
			Data:       map[string][]byte{"root": []byte("preparedbysomebody")},
		},
		&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "web-config", Namespace: s.namespace, Labels: resources.Labels("web")}},
	} {
		s.must(s.Create(s.ctx, o))
	}
	// The API server's timestamps are whole seconds.
	prepared := time.Now().Truncate(time.Second)
	s.eventually("the next second", func() error {
		if !time.Now().Truncate(time.Second).After(prepared) {
			return errors.New("not yet")
		}
		return nil
	})
	for pair, object := range map[string]string{"shop": "Secret shop-internal", "web": "ConfigMap web-config"} {
		_, err := s.pair(pair, plain)
		s.must(err)
		s.conflict(pair, object)
	}
}

func size(t *testing.T, text string) resource.Quantity {
	t.Helper()
	q, err := resource.ParseQuantity(text)
	if err != nil {
		t.Fatal(err)
	}
	return q
}
