package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// TestASizeThatTheClassCannotGiveIsReported: the status has the class's refusal and the way
// back, the way back is open, and a class that can grow volumes has them grown.
func TestASizeThatTheClassCannotGiveIsReported(t *testing.T) {
	s := newScene(t)
	class := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: s.namespace},
		Provisioner:          "example.test/none",
		AllowVolumeExpansion: new(bool),
	}
	s.must(s.Create(s.ctx, class))
	t.Cleanup(func() { _ = env.admin.Delete(t.Context(), class) })
	p, err := s.pair("shop", "storage: {size: 1Gi, storageClassName: "+class.Name+"}")
	s.must(err)
	s.surrounded("shop")
	s.claim("data-shop-0", class.Name)
	s.claim("data-shop-1", class.Name)
	resize := func(size string) error {
		return s.Patch(s.ctx, p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":{"size":"`+size+`"}}}`)))
	}
	s.must(resize("2Gi"))
	s.eventually("Ready says that the class cannot", func() error {
		return s.readySays("shop", "SpecRefused", "spec.storage.size", "data-shop-0", "put spec.storage.size back to 1Gi", class.Name)
	})
	s.must(resize("1Gi"))
	s.eventually("it is taken back", func() error {
		if err := s.readySays("shop", "SpecRefused", "spec.storage.size"); err == nil {
			return errors.New("still refused")
		}
		return nil
	})
	*class.AllowVolumeExpansion = true
	s.must(s.Update(s.ctx, class))
	s.must(resize("2Gi"))
	s.eventually("the volumes grow", func() error {
		for _, name := range []string{"data-shop-0", "data-shop-1"} {
			claim := &corev1.PersistentVolumeClaim{}
			s.must(s.Get(s.ctx, s.key(name), claim))
			if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != "2Gi" {
				return fmt.Errorf("%s asks for %s", name, got.String())
			}
		}
		return nil
	})
	for _, name := range []string{"data-shop-0", "data-shop-1"} {
		s.hasGrown(name, "2Gi")
	}
	// A claim that is made again, as from the StatefulSet, which keeps the first size.
	former := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "data-shop-1", Namespace: s.namespace}}
	s.must(s.Delete(s.ctx, former))
	s.must(s.Patch(s.ctx, former, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	s.claim("data-shop-1", class.Name)
	s.eventually("the new claim grows, too", func() error {
		claim := &corev1.PersistentVolumeClaim{}
		s.must(s.Get(s.ctx, s.key("data-shop-1"), claim))
		if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != "2Gi" {
			return fmt.Errorf("it asks for %s", got.String())
		}
		return nil
	})
	s.hasGrown("data-shop-1", "2Gi")
	s.eventually("a size below is refused", func() error {
		if err := resize("1Gi"); err == nil || !strings.Contains(err.Error(), "cannot shrink below the size of the volumes") {
			return fmt.Errorf("got %w", err)
		}
		return nil
	})
}

// TestTheVolumesOfBinaryLogsGrowLikeTheOthers: each claim gets the size of its own field, also one
// that is made again, and what a class cannot give is named by that field.
func TestTheVolumesOfBinaryLogsGrowLikeTheOthers(t *testing.T) {
	s := newScene(t)
	class := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: s.namespace},
		Provisioner:          "example.test/none",
		AllowVolumeExpansion: ptr.To(false),
	}
	s.must(s.Create(s.ctx, class))
	t.Cleanup(func() { _ = env.admin.Delete(t.Context(), class) })
	p, err := s.pair("shop", "storage: {size: 1Gi, storageClassName: "+class.Name+", binlog: {size: 1Gi, storageClassName: "+class.Name+"}}")
	s.must(err)
	s.surrounded("shop")
	set := &appsv1.StatefulSet{}
	s.must(s.Get(s.ctx, s.key("shop"), set))
	if n := len(set.Spec.VolumeClaimTemplates); n != 2 {
		t.Fatalf("the StatefulSet has %d templates of claims", n)
	}
	names := []string{"data-shop-0", "data-shop-1", "binlog-shop-0", "binlog-shop-1"}
	for _, name := range names {
		s.claim(name, class.Name)
	}
	patch := client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":{"binlog":{"size":"2Gi"}}}}`))
	s.must(s.Patch(s.ctx, p.DeepCopy(), patch))
	s.eventually("the refusal", func() error {
		return s.readySays("shop", "SpecRefused", "spec.storage.binlog.size", "binlog-shop-0", "put spec.storage.binlog.size back to 1Gi", class.Name)
	})
	class.AllowVolumeExpansion = ptr.To(true)
	s.must(s.Update(s.ctx, class))
	asks := func(want ...string) func() error {
		return func() error {
			for i, name := range names {
				claim := &corev1.PersistentVolumeClaim{}
				s.must(s.Get(s.ctx, s.key(name), claim))
				if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != want[i/2] {
					return fmt.Errorf("%s asks for %s", name, got.String())
				}
			}
			return nil
		}
	}
	s.eventually("only they grow", asks("1Gi", "2Gi"))
	former := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: "binlog-shop-1", Namespace: s.namespace}}
	s.must(s.Delete(s.ctx, former))
	s.must(s.Patch(s.ctx, former, client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"finalizers":null}}`))))
	s.claim("binlog-shop-1", class.Name)
	s.eventually("one that is made again grows, too", asks("1Gi", "2Gi"))
}

// TestAVolumeThatNeverGrowsIsReported: what the storage says is in the status with the way back, which is open, and the
// claims ask for less again.
func TestAVolumeThatNeverGrowsIsReported(t *testing.T) {
	s := newScene(t)
	class := &storagev1.StorageClass{
		ObjectMeta:           metav1.ObjectMeta{Name: s.namespace},
		Provisioner:          "example.test/none",
		AllowVolumeExpansion: ptr.To(true),
	}
	s.must(s.Create(s.ctx, class))
	t.Cleanup(func() { _ = env.admin.Delete(t.Context(), class) })
	p, err := s.pair("shop", "storage: {size: 1Gi, storageClassName: "+class.Name+"}")
	s.must(err)
	s.surrounded("shop")
	s.claim("data-shop-0", class.Name)
	s.claim("data-shop-1", class.Name)
	resize := func(size string) error {
		return s.Patch(s.ctx, p.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(`{"spec":{"storage":{"size":"`+size+`"}}}`)))
	}
	asks := func(size string) func() error {
		return func() error {
			claim := &corev1.PersistentVolumeClaim{}
			s.must(s.Get(s.ctx, s.key("data-shop-0"), claim))
			if got := claim.Spec.Resources.Requests[corev1.ResourceStorage]; got.String() != size {
				return fmt.Errorf("it asks for %s", got.String())
			}
			return nil
		}
	}
	s.must(resize("4Gi"))
	s.eventually("the claim asks for it", asks("4Gi"))
	claim := &corev1.PersistentVolumeClaim{}
	s.must(s.Get(s.ctx, s.key("data-shop-0"), claim))
	claim.Status.Conditions = []corev1.PersistentVolumeClaimCondition{{
		Type:    corev1.PersistentVolumeClaimControllerResizeError,
		Status:  corev1.ConditionTrue,
		Message: "the disk array is full",
	}}
	s.must(s.Status().Update(s.ctx, claim))
	s.eventually("Ready says so", func() error {
		return s.readySays("shop", "SpecRefused", "data-shop-0 was asked to grow to 4Gi and has 1Gi", "the disk array is full", "put spec.storage.size back to 1Gi")
	})
	s.eventually("less is taken", func() error { return resize("2Gi") })
	s.eventually("the claim asks for less", asks("2Gi"))
	s.must(resize("1Gi"))
	s.eventually("the way back is open", func() error {
		if err := s.readySays("shop", "SpecRefused", "spec.storage.size"); err == nil {
			return errors.New("still refused")
		}
		return nil
	})
}

// TestWhatStaysHasNoLabelOfAnApplication: a tool that removes what has an application's name in
// app.kubernetes.io/instance and is not in its manifests would take the data of a pair.
func TestWhatStaysHasNoLabelOfAnApplication(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", "storage: {size: 1Gi}")
	s.must(err)
	s.surrounded("shop")
	s.claim("data-shop-0", "standard")
	labeled := client.RawPatch(types.MergePatchType, []byte(`{"metadata":{"labels":{"app.kubernetes.io/instance":"shop"}}}`))
	s.must(s.Patch(s.ctx, &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{Name: "data-shop-0", Namespace: s.namespace},
	}, labeled)) // as from the StatefulSet of an earlier version
	s.eventually("neither claims nor the certificate authority have it", func() error {
		claim := &corev1.PersistentVolumeClaim{}
		s.must(s.Get(s.ctx, s.key("data-shop-0"), claim))
		authority := &corev1.Secret{}
		s.must(s.Get(s.ctx, s.key("shop-ca"), authority))
		set := &appsv1.StatefulSet{}
		s.must(s.Get(s.ctx, s.key("shop"), set))
		for what, labels := range map[string]map[string]string{
			"the claim":                 claim.Labels,
			"the certificate authority": authority.Labels,
			"the template of claims":    set.Spec.VolumeClaimTemplates[0].Labels,
		} {
			if _, has := labels[resources.LabelInstance]; has || labels[resources.LabelPair] != "shop" {
				return fmt.Errorf("%s has labels %v", what, labels)
			}
		}
		return nil
	})
}

// hasGrown says of a claim that its volume has a size, as the storage's driver does.
func (s *scene) hasGrown(name, size string) {
	s.Helper()
	claim := &corev1.PersistentVolumeClaim{}
	s.must(s.Get(s.ctx, s.key(name), claim))
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
	s.must(s.Status().Update(s.ctx, claim))
}

// claim makes a bound claim of 1Gi, as the StatefulSet's controller and a provisioner would.
func (s *scene) claim(name, class string) {
	s.Helper()
	claim := &corev1.PersistentVolumeClaim{
		ObjectMeta: metav1.ObjectMeta{
			Name:      name,
			Namespace: s.namespace,
			Labels:    resources.KeptLabels("shop"),
		},
		Spec: corev1.PersistentVolumeClaimSpec{
			AccessModes:      []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			StorageClassName: &class,
			VolumeName:       name,
			Resources:        corev1.VolumeResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}},
		},
	}
	s.eventually("claim "+name, func() error { return s.Create(s.ctx, claim.DeepCopy()) })
	s.must(s.Get(s.ctx, s.key(name), claim))
	claim.Status.Phase = corev1.ClaimBound
	claim.Status.Capacity = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}
	s.must(s.Status().Update(s.ctx, claim))
}

// readySays is an error unless Ready is False with a reason and says all parts.
func (s *scene) readySays(name, reason string, parts ...string) error {
	p := &v1alpha1.DatabasePair{}
	s.must(s.Get(s.ctx, s.key(name), p))
	c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
	if c == nil || c.Status != metav1.ConditionFalse || c.Reason != reason {
		return fmt.Errorf("Ready is %+v", c)
	}
	for _, part := range parts {
		if !strings.Contains(c.Message, part) {
			return fmt.Errorf("%s lacks %s", c.Message, part)
		}
	}
	return nil
}
