package controllers_test

import (
	"bytes"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

const plain = "storage: {size: 1Gi}"

// The operator runs here with its real role, so a right that it lacks shows as an object
// that is not made.
func TestAnIdlePairIsCompleteAndCostsNoWrites(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nnetwork: {allowFrom: [{podSelector: {matchLabels: {app: web}}}]}\nplacement: {zoneAntiAffinity: Required}")
	s.must(err)
	s.surrounded("shop")
	s.member("shop-0", "shop")
	s.member("shop-1", "shop")
	n := resources.NamesOf(p)
	for _, o := range []struct {
		object client.Object
		name   string
	}{
		{&appsv1.StatefulSet{}, "shop"}, {&corev1.Service{}, "shop"}, {&corev1.Service{}, n.Passive()},
		{&corev1.Service{}, n.Pods()}, {&corev1.ConfigMap{}, n.Config()}, {&corev1.ServiceAccount{}, n.Agent()},
		{&rbacv1.Role{}, n.Agent()}, {&rbacv1.RoleBinding{}, n.Agent()}, {&networkingv1.NetworkPolicy{}, "shop"},
		{&policyv1.PodDisruptionBudget{}, "shop"}, {&coordinationv1.Lease{}, "shop"},
	} {
		s.eventually(fmt.Sprintf("%T %s", o.object, o.name), func() error { return s.Get(s.ctx, s.key(o.name), o.object) })
		if c := metav1.GetControllerOf(o.object); c == nil || c.UID != p.UID {
			t.Errorf("%T %s is not controlled by the pair: %v", o.object, o.name, c)
		}
	}
	before := env.writes.in(s.namespace)
	since := time.Now()
	s.eventually("three seconds without a write", func() error {
		if now := env.writes.in(s.namespace); len(now) != len(before) {
			before, since = now, time.Now()
		}
		if time.Since(since) < 3*time.Second {
			return errors.New("writing")
		}
		return nil
	})
	// Looks go on meanwhile: a label of someone else's on a child calls for one.
	var set appsv1.StatefulSet
	s.must(s.Get(s.ctx, s.key("shop"), &set))
	base := set.DeepCopy()
	metav1.SetMetaDataLabel(&set.ObjectMeta, "team", "web")
	s.must(s.Patch(s.ctx, &set, client.MergeFrom(base)))
	settle := time.Now().Add(5 * time.Second)
	s.eventually("five seconds", func() error {
		if time.Now().Before(settle) {
			return errors.New("waiting")
		}
		return nil
	})
	if more := env.writes.in(s.namespace)[len(before):]; len(more) != 0 {
		t.Errorf("the operator wrote for an idle pair: %q", more)
	}
	s.must(s.Get(s.ctx, s.key("shop"), &set))
	if set.Labels["team"] != "web" {
		t.Error("a label of someone else was removed")
	}
}

func TestForeignChangesAreUndoneAndTold(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	s.eventually("the StatefulSet", func() error { return s.Get(s.ctx, s.key("shop"), &appsv1.StatefulSet{}) })
	s.eventually("five replicas were written", func() error {
		var set appsv1.StatefulSet
		s.must(s.Get(s.ctx, s.key("shop"), &set))
		set.Spec.Replicas = ptr.To[int32](5)
		return s.Update(s.ctx, &set)
	})
	s.eventually("two replicas again", func() error {
		var set appsv1.StatefulSet
		s.must(s.Get(s.ctx, s.key("shop"), &set))
		if *set.Spec.Replicas != 2 {
			return fmt.Errorf("%d replicas", *set.Spec.Replicas)
		}
		return nil
	})
	s.eventually("an event", func() error { return s.event("ChangeUndone", "StatefulSet shop") })
}

func (s *scene) event(reason, with string) error {
	var list eventsv1.EventList
	s.must(s.List(s.ctx, &list, client.InNamespace(s.namespace)))
	var seen []string
	for _, e := range list.Items {
		if e.Reason == reason && strings.Contains(e.Note, with) {
			return nil
		}
		seen = append(seen, e.Reason+": "+e.Note)
	}
	return fmt.Errorf("no event %s with %q among %q", reason, with, seen)
}

// What the spec says of the Services is there at once, is taken back with the spec, and leads to no further writes.
func TestServicesAreAsTheSpecSays(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain+"\nservices: {ipFamilyPolicy: PreferDualStack, primary: {type: NodePort, externalTrafficPolicy: Local}}")
	s.must(err)
	s.surrounded("shop")
	service := func() *corev1.Service {
		found := &corev1.Service{}
		s.must(s.Get(s.ctx, s.key("shop"), found))
		return found
	}
	awaitPolicy := func(want corev1.ServiceExternalTrafficPolicy) {
		t.Helper()
		s.eventually("the policy "+string(want), func() error {
			found := &corev1.Service{}
			if err := s.Get(s.ctx, s.key("shop"), found); err != nil {
				return err
			}
			if got := found.Spec.ExternalTrafficPolicy; got != want {
				return fmt.Errorf("it is %q", got)
			}
			return nil
		})
	}
	awaitPolicy(corev1.ServiceExternalTrafficPolicyLocal)
	for _, name := range []string{"shop", "shop-passive"} {
		s.eventually("the families of "+name, func() error {
			found := &corev1.Service{}
			if err := s.Get(s.ctx, s.key(name), found); err != nil {
				return err
			}
			if got := ptr.Deref(found.Spec.IPFamilyPolicy, ""); got != corev1.IPFamilyPolicyPreferDualStack {
				return fmt.Errorf("the policy is %q", got)
			}
			return nil
		})
	}
	port := service().Spec.Ports[0].NodePort
	if port == 0 {
		t.Error("it has no node port")
	}
	s.must(s.Get(s.ctx, s.key("shop"), p))
	base := p.DeepCopy()
	p.Spec.Services.Primary.ExternalTrafficPolicy = ""
	s.must(s.Patch(s.ctx, p, client.MergeFrom(base)))
	awaitPolicy(corev1.ServiceExternalTrafficPolicyCluster)
	if got := service().Spec.Ports[0].NodePort; got != port {
		t.Errorf("the node port was %d and is %d", port, got)
	}
}

// mysqld knows the old passwords: a new one would lock the pair out.
func TestHostnamesAreTakenIntoRunningCertificates(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	change := func(names ...string) error {
		s.must(s.Get(s.ctx, s.key("shop"), p))
		base := p.DeepCopy()
		p.Spec.Services.Primary.Hostnames = names
		return s.Patch(s.ctx, p, client.MergeFrom(base))
	}
	for _, wrong := range []string{"Upper.example.com", "a b", "db.*.example.com", "", "-x.example.com"} {
		if err := change(wrong); err == nil || !strings.Contains(err.Error(), "spec.services.primary.hostnames") {
			t.Errorf("%q: %v", wrong, err)
		}
	}
	s.must(change("db.example.com", "192.0.2.7"))
	for _, name := range []string{"shop-tls-0", "shop-tls-1"} {
		s.eventually("the certificate in "+name+" has the names", func() error {
			var secret corev1.Secret
			s.must(s.Get(s.ctx, s.key(name), &secret))
			block, _ := pem.Decode(secret.Data[corev1.TLSCertKey])
			if block == nil {
				return errors.New("no certificate")
			}
			cert, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return err
			}
			return errors.Join(cert.VerifyHostname("db.example.com"), cert.VerifyHostname("192.0.2.7"), cert.VerifyHostname("shop."+s.namespace+".svc"))
		})
	}
}

func TestDeletedSecretsComeBackAsTheyWere(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	n := resources.NamesOf(p)
	for _, name := range []string{n.Internal(), n.App()} {
		var before corev1.Secret
		s.must(s.Get(s.ctx, s.key(name), &before))
		s.must(s.Delete(s.ctx, before.DeepCopy()))
		s.eventually(name+" is back", func() error {
			var after corev1.Secret
			if err := s.Get(s.ctx, s.key(name), &after); err != nil {
				return err
			}
			if after.UID == before.UID {
				return errors.New("not deleted yet")
			}
			for key, value := range before.Data {
				if !bytes.Equal(after.Data[key], value) {
					return fmt.Errorf("key %s is another one", key)
				}
			}
			return nil
		})
	}
	var emptied corev1.Secret
	s.must(s.Get(s.ctx, s.key(n.Internal()), &emptied))
	was := emptied.Data["root"]
	base := emptied.DeepCopy()
	emptied.Data["root"] = []byte("changedbyhand123")
	s.must(s.Patch(s.ctx, &emptied, client.MergeFrom(base)))
	s.eventually("the password is back", func() error {
		s.must(s.Get(s.ctx, s.key(n.Internal()), &emptied))
		if !bytes.Equal(emptied.Data["root"], was) {
			return errors.New("another password")
		}
		return nil
	})
	s.eventually("an event", func() error { return s.event("PasswordRestored", "root") })
}

func TestADeletedAuthorityIsReplacedAndTheOldOneStillTrusted(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	n := resources.NamesOf(p)
	var ca, leaf corev1.Secret
	s.must(s.Get(s.ctx, s.key(n.CA()), &ca))
	old := bytes.Clone(ca.Data[resources.KeyCA])
	s.must(s.Delete(s.ctx, &ca))
	s.eventually("the members trust both", func() error {
		s.must(s.Get(s.ctx, s.key(n.TLS(0)), &leaf))
		bundle := leaf.Data[resources.KeyCA]
		if !bytes.Contains(bundle, old) || bytes.Equal(bundle, old) {
			return errors.New("one authority only")
		}
		return nil
	})
}

func TestNamesThatAreTaken(t *testing.T) {
	s := newScene(t)
	foreign := &corev1.Service{
		ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: s.namespace},
		Spec:       corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}, Selector: map[string]string{"app": "web"}},
	}
	s.must(s.Create(s.ctx, foreign))
	_, err := s.pair("shop", plain)
	s.must(err)
	s.conflict("shop", "Service shop")
	var now corev1.Service
	s.must(s.Get(s.ctx, s.key("shop"), &now))
	if now.ResourceVersion != foreign.ResourceVersion {
		t.Error("the Service of someone else was written")
	}
	_, err = s.pair("web", plain)
	s.must(err)
	s.surrounded("web")
	_, err = s.pair("web-passive", plain)
	s.must(err)
	s.conflict("web-passive", "Service web-passive")
	var set appsv1.StatefulSet
	if err := s.Get(s.ctx, s.key("web-passive"), &set); !apierrors.IsNotFound(err) {
		t.Errorf("the younger pair was begun: %v", err)
	}
}

func (s *scene) conflict(pairName, object string) {
	s.Helper()
	s.eventually("the condition of "+pairName, func() error {
		p := &v1alpha1.DatabasePair{}
		s.must(s.Get(s.ctx, s.key(pairName), p))
		c := meta.FindStatusCondition(p.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Status != metav1.ConditionFalse || !strings.Contains(c.Message, object) {
			return fmt.Errorf("Ready = %+v", c)
		}
		return nil
	})
}

// The volumes that stay know the old passwords, so those stay too.
func TestANewPairOfTheNameGetsTheOldPasswords(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	n := resources.NamesOf(p)
	var before, after corev1.Secret
	s.must(s.Get(s.ctx, s.key(n.Internal()), &before))
	s.must(s.Get(s.ctx, s.key(n.CA()), &after))
	if c := metav1.GetControllerOf(&after); c != nil {
		t.Errorf("the copies would be collected with the pair: %v", c)
	}
	s.must(s.Delete(s.ctx, p))
	s.collect(p)
	_, err = s.pair("shop", plain)
	s.must(err)
	s.eventually("the new pair has its own", func() error {
		s.collect(p) // a visit under way may have put one of them back
		if err := s.Get(s.ctx, s.key(n.Internal()), &after); err != nil {
			return err
		}
		if metav1.IsControlledBy(&after, p) {
			return errors.New("the former pair's")
		}
		return nil
	})
	s.surrounded("shop")
	if !bytes.Equal(after.Data["root"], before.Data["root"]) {
		t.Error("the new pair has another password than the volumes that stayed")
	}
}

// collect deletes what is left of a pair, for no garbage collector runs here.
func (s *scene) collect(p *v1alpha1.DatabasePair) {
	s.Helper()
	for _, list := range []client.ObjectList{
		&corev1.SecretList{}, &appsv1.StatefulSetList{}, &corev1.ServiceList{}, &corev1.ConfigMapList{}, &corev1.ServiceAccountList{},
		&rbacv1.RoleList{}, &rbacv1.RoleBindingList{}, &networkingv1.NetworkPolicyList{}, &policyv1.PodDisruptionBudgetList{},
		&coordinationv1.LeaseList{},
	} {
		s.must(s.List(s.ctx, list, client.InNamespace(s.namespace)))
		s.must(meta.EachListItem(list, func(o runtime.Object) error {
			if one := o.(client.Object); metav1.IsControlledBy(one, p) {
				return client.IgnoreNotFound(s.Delete(s.ctx, one))
			}
			return nil
		}))
	}
}

// No pod may wait for an operator's finalizer when its pair is gone.
func TestPodsAreLetGoWithTheirPair(t *testing.T) {
	s := newScene(t)
	p, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Name:       "shop-0",
			Namespace:  s.namespace,
			Labels:     resources.Labels("shop"),
			Finalizers: []string{pair.FinalizerFence},
		},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "mysqld", Image: "none"}}},
	}
	s.must(s.Create(s.ctx, pod))
	s.must(s.Delete(s.ctx, p))
	s.eventually("the finalizer is off", func() error {
		var now corev1.Pod
		if err := s.Get(s.ctx, s.key("shop-0"), &now); err != nil {
			return client.IgnoreNotFound(err)
		}
		if len(now.Finalizers) > 0 {
			return fmt.Errorf("finalizers %v", now.Finalizers)
		}
		return nil
	})
	if err := s.Get(s.ctx, s.key("shop"), p); !apierrors.IsNotFound(err) {
		t.Errorf("the pair is held up: %v, finalizers %v", err, p.Finalizers)
	}
}
