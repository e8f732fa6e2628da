package controllers_test

import (
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/status"
)

// routerObjects are all objects of the router of a pair that is called shop.
func routerObjects() map[string]client.Object {
	return map[string]client.Object{
		"Deployment":          &appsv1.Deployment{ObjectMeta: metav1.ObjectMeta{Name: "shop-router"}},
		"Service":             &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-router"}},
		"Service of member 0": &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-router-0"}},
		"Service of member 1": &corev1.Service{ObjectMeta: metav1.ObjectMeta{Name: "shop-router-1"}},
		"ConfigMap":           &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "shop-router"}},
		"PodDisruptionBudget": &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "shop-router"}},
		"NetworkPolicy":       &networkingv1.NetworkPolicy{ObjectMeta: metav1.ObjectMeta{Name: "shop-router"}},
	}
}

// route switches the router of shop on or off.
func (s *scene) route(on bool) {
	s.Helper()
	var p v1alpha1.DatabasePair
	s.must(s.Get(s.ctx, s.key("shop"), &p))
	base := p.DeepCopy()
	p.Spec.Router.Enabled = on
	s.must(s.Patch(s.ctx, &p, client.MergeFrom(base)))
}

// routerSays waits for a status and a reason of the condition RouterReady.
func (s *scene) routerSays(want metav1.ConditionStatus, reason, text string) {
	s.Helper()
	s.eventually(fmt.Sprintf("RouterReady=%s with %s", want, reason), func() error {
		var p v1alpha1.DatabasePair
		s.must(s.Get(s.ctx, s.key("shop"), &p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionRouterReady)
		if c == nil || c.Status != want || c.Reason != reason || !strings.Contains(c.Message, text) {
			return fmt.Errorf("condition %+v", c)
		}
		return nil
	})
}

// podsReady writes what the controller of Deployments would.
func (s *scene) podsReady(n int32) {
	s.Helper()
	var d appsv1.Deployment
	s.eventually("the router's Deployment", func() error { return s.Get(s.ctx, s.key("shop-router"), &d) })
	base := d.DeepCopy()
	d.Status = appsv1.DeploymentStatus{
		ObservedGeneration: d.Generation,
		Replicas:           2,
		UpdatedReplicas:    2,
		ReadyReplicas:      n,
		AvailableReplicas:  n,
	}
	s.must(s.Status().Patch(s.ctx, &d, client.MergeFrom(base)))
}

func TestARouterComesAndGoesWithTheSpec(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	absent := func() error {
		for what, object := range routerObjects() {
			if err := s.Get(s.ctx, s.key(object.GetName()), object); !apierrors.IsNotFound(err) && object.GetDeletionTimestamp() == nil {
				return fmt.Errorf("%s %s is there: %w", what, object.GetName(), err)
			}
		}
		return nil
	}
	s.must(absent())
	s.route(true)
	s.eventually("every object of the router", func() error {
		for what, object := range routerObjects() {
			if err := s.Get(s.ctx, s.key(object.GetName()), object); err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
		}
		return nil
	})
	s.routerSays(metav1.ConditionFalse, status.ReasonRouterPodsNotReady, "0 of 2")
	s.podsReady(2)
	s.routerSays(metav1.ConditionTrue, status.ReasonRouterPodsReady, "2 pods")
	s.eventually("the members' certificates have the router's names", func() error {
		var secret corev1.Secret
		s.must(s.Get(s.ctx, s.key("shop-tls-1"), &secret))
		block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
		if block == nil {
			return errors.New("no certificate")
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err
		}
		return errors.Join(cert.VerifyHostname("shop-router"), cert.VerifyHostname("shop-router."+s.namespace+".svc"))
	})
	for _, object := range []string{"Deployment shop-router", "Service shop-router", "ConfigMap shop-router"} {
		if err := s.event("ChangeUndone", object); err == nil {
			t.Errorf("%s was put back though nobody had changed it", object)
		}
	}
	var d appsv1.Deployment
	s.must(s.Get(s.ctx, s.key("shop-router"), &d))
	d.Spec.Replicas = ptr.To[int32](7)
	s.must(s.Update(s.ctx, &d))
	s.eventually("two replicas again", func() error {
		s.must(s.Get(s.ctx, s.key("shop-router"), &d))
		if *d.Spec.Replicas != 2 {
			return fmt.Errorf("%d replicas", *d.Spec.Replicas)
		}
		return nil
	})
	s.eventually("an event", func() error { return s.event("ChangeUndone", "Deployment shop-router") })
	s.route(false)
	s.eventually("the end of the router", absent)
	s.eventually("no condition of a router", func() error {
		var p v1alpha1.DatabasePair
		s.must(s.Get(s.ctx, s.key("shop"), &p))
		if c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionRouterReady); c != nil {
			return fmt.Errorf("condition %+v", c)
		}
		return nil
	})
}

// TestARouterWithoutItsNameKeepsNothingElseBack: someone else's Service has the name.
func TestARouterWithoutItsNameKeepsNothingElseBack(t *testing.T) {
	s := newScene(t)
	s.must(s.Create(s.ctx, &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Namespace: s.namespace, Name: "shop-router"},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, ClusterIP: corev1.ClusterIPNone},
	}))
	_, err := s.pair("shop", plain+"\nrouter: {enabled: true}")
	s.must(err)
	s.surrounded("shop")
	s.routerSays(metav1.ConditionFalse, status.ReasonObjectsPending, "Service shop-router")
	s.eventually("the StatefulSet", func() error { return s.Get(s.ctx, s.key("shop"), &appsv1.StatefulSet{}) })
	s.route(false)
	s.eventually("the other objects are gone", func() error {
		if err := s.Get(s.ctx, s.key("shop-router"), &appsv1.Deployment{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the Deployment: %w", err)
		}
		return nil
	})
	s.must(s.Get(s.ctx, s.key("shop-router"), &corev1.Service{}))
}
