package resources

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbpair/dbpair/internal/pair"
)

func TestRouteIsReadBackOnlyIfNothingElseIsThere(t *testing.T) {
	p := loadPair(t, "plain")
	want := Route{Member: "shop-1", Epoch: 12, Mode: RouteOpen}
	svc := NewClientService(p, Route{Member: "shop-0", Mode: RouteDoor})
	svc.Spec.Ports[0].NodePort = 30306
	SetRoute(svc, want)
	got, ok := RouteOf(svc)
	if !ok || got != want {
		t.Fatalf("RouteOf = %+v, %v", got, ok)
	}
	if svc.Spec.Ports[0].NodePort != 30306 {
		t.Error("the node port was lost")
	}
	for name, spoil := range map[string]func(*corev1.Service){
		"a selector of someone":     func(s *corev1.Service) { s.Spec.Selector = map[string]string{"app": "x"} },
		"one more label":            func(s *corev1.Service) { s.Spec.Selector["app"] = "x" },
		"one label less":            func(s *corev1.Service) { delete(s.Spec.Selector, LabelName) },
		"no member":                 func(s *corev1.Service) { delete(s.Spec.Selector, "statefulset.kubernetes.io/pod-name") },
		"the door's port":           func(s *corev1.Service) { s.Spec.Ports[0].TargetPort.StrVal = portNameDoor },
		"another port":              func(s *corev1.Service) { s.Spec.Ports[0].Port = 3307 },
		"a second port":             func(s *corev1.Service) { s.Spec.Ports = append(s.Spec.Ports, corev1.ServicePort{Port: 1}) },
		"an epoch that is no epoch": func(s *corev1.Service) { s.Spec.Selector = map[string]string{pair.LabelEpochPrefix + "012": "open"} },
	} {
		t.Run(name, func(t *testing.T) {
			other := svc.DeepCopy()
			spoil(other)
			if r, ok := RouteOf(other); ok {
				t.Errorf("read back as %+v", r)
			}
		})
	}
}

func TestCollision(t *testing.T) {
	for name, tc := range map[string]struct{ a, b, want string }{
		"strangers":                        {"shop", "web", ""},
		"a prefix is no collision":         {"shop", "shop-0", ""},
		"the passive Service":              {"shop", "shop-passive", "Service shop-passive"},
		"the members' Service":             {"shop-pods", "shop", "Service shop-pods"},
		"two pairs that share a beginning": {"shop-a", "shop-b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			if got := Collision(tc.a, tc.b); got != tc.want {
				t.Errorf("Collision(%s, %s) = %q, want %q", tc.a, tc.b, got, tc.want)
			}
			if got := Collision(tc.b, tc.a); (got == "") != (tc.want == "") {
				t.Errorf("Collision(%s, %s) = %q", tc.b, tc.a, got)
			}
		})
	}
}

// Names of 40 characters, the longest that a pair may have, still give valid names.
func TestNamesFit(t *testing.T) {
	n := Names{Pair: strings.Repeat("a", 40), Namespace: "db"}
	for _, name := range []string{n.Agent(), n.Passive(), n.Pods(), n.Config(), n.App(), n.Internal(), n.CA(), n.TLS(1), n.Claim(1)} {
		// The StatefulSet's pods get a label of their name and a hash.
		if len(name) > 52 {
			t.Errorf("%s has %d characters", name, len(name))
		}
	}
}

func TestPodTemplateDoesNotDependOnAnythingButThePair(t *testing.T) {
	p := loadPair(t, "rich")
	first := settingsSum(p)
	for range 50 {
		if got := settingsSum(p); got != first {
			t.Fatalf("settings are named %s and %s", first, got)
		}
	}
	p.Spec.MySQL.Config["max_connections"] = "501"
	if settingsSum(p) == first {
		t.Error("a changed setting does not show")
	}
}
