package controllers_test

import (
	"errors"
	"fmt"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// A StatefulSet that is made while a pod of a former one ends may never get its second pod.
func TestTheStatefulSetWaitsForTheEndOfFormerPods(t *testing.T) {
	s := newScene(t)
	former := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name: "shop-1", Namespace: s.namespace, Labels: resources.Labels("shop"),
			Finalizers: []string{pair.FinalizerFence, "example.test/hold"},
			OwnerReferences: []metav1.OwnerReference{{
				APIVersion: "apps/v1", Kind: "StatefulSet", Name: "shop", UID: "former", Controller: ptr.To(true),
			}},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: resources.ContainerMysqld, Image: "none", Env: []corev1.EnvVar{{Name: agentapi.EnvPairUID, Value: "former"}},
		}}},
	}
	s.must(s.Create(s.ctx, former))
	s.must(s.Delete(s.ctx, former))
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	s.eventually("the fence finalizer of the former pair's pod is off", func() error {
		s.must(s.Get(s.ctx, s.key("shop-1"), former))
		if len(former.Finalizers) != 1 {
			return fmt.Errorf("finalizers %v", former.Finalizers)
		}
		return nil
	})
	if err := s.Get(s.ctx, s.key("shop"), &appsv1.StatefulSet{}); !apierrors.IsNotFound(err) {
		t.Errorf("the StatefulSet was made beside a former pod: %v", err)
	}
	base := former.DeepCopy()
	former.Finalizers = nil
	s.must(s.Patch(s.ctx, former, client.MergeFrom(base)))
	s.eventually("the StatefulSet", func() error { return s.Get(s.ctx, s.key("shop"), &appsv1.StatefulSet{}) })
}

// Its controller works on a StatefulSet that changes, and misses the end of pods of others.
func TestTheStatefulSetIsTouchedWhileAPodIsMissing(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	s.member("shop-0", "shop")
	touched := func() (string, error) {
		var set appsv1.StatefulSet
		err := s.Get(s.ctx, s.key("shop"), &set)
		return set.Annotations[resources.AnnotationTouched], err
	}
	first := ""
	s.eventually("the StatefulSet is touched", func() error {
		if first, err = touched(); err == nil && first == "" {
			err = errors.New("not touched")
		}
		return err
	})
	s.eventually("and again", func() error {
		again, err := touched()
		if err == nil && again == first {
			err = errors.New("tailCommitted once")
		}
		return err
	})
}

// The operator keeps a StatefulSet without pods while the pair hibernates, and no longer. It makes
// none of its own: that is a step that follows the end of the primary.
func TestAStatefulSetWithoutPodsStaysWhileThePairHibernates(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	replicas := func(want int32) error {
		var set appsv1.StatefulSet
		if err := s.Get(s.ctx, s.key("shop"), &set); err != nil {
			return err
		}
		if set.Annotations[resources.AnnotationGeneration] != fmt.Sprint(p.Generation) || *set.Spec.Replicas != want {
			return fmt.Errorf("%d replicas for generation %s, want %d for %d",
				*set.Spec.Replicas, set.Annotations[resources.AnnotationGeneration], want, p.Generation)
		}
		return nil
	}
	change := func(change func()) {
		base := p.DeepCopy()
		change()
		s.must(s.Patch(s.ctx, p, client.MergeFrom(base)))
	}
	scaleDown := func() {
		pods := cluster.Pods{Client: s.Client, Live: s.Client, Namespace: s.namespace, StatefulSet: "shop"}
		s.eventually("the step that scales down", func() error {
			var set appsv1.StatefulSet
			if err := s.Get(s.ctx, s.key("shop"), &set); err != nil {
				return err
			}
			return pods.ScaleDown(s.ctx, set.ResourceVersion)
		})
	}
	change(func() { p.Spec.Hibernate = true })
	s.eventually("a pair that was never a primary's keeps its pods", func() error { return replicas(2) })
	scaleDown()
	change(func() { p.Spec.OperationHistoryLimit = 7 })
	s.eventually("no pods under the next generation", func() error { return replicas(0) })
	change(func() { p.Spec.Hibernate = false })
	s.eventually("pods again", func() error { return replicas(2) })
	scaleDown()
	change(func() { p.Spec.OperationHistoryLimit = 8 })
	s.eventually("who scales it down by hand has it put back", func() error { return replicas(2) })
}
