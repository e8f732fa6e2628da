package resources

import (
	"strconv"

	"github.com/dbpair/dbpair/internal/pair"
)

// Labels and annotations.
const (
	LabelName      = "app.kubernetes.io/name"
	LabelInstance  = "app.kubernetes.io/instance"
	LabelManagedBy = "app.kubernetes.io/managed-by"
	// LabelPair names the pair that an object belongs to.
	LabelPair = "dbpair.io/pair"
	// LabelUser names the DatabasePairUser that a Secret belongs to.
	LabelUser = "dbpair.io/user"
	// LabelSkipMirror keeps the endpoints of the client Service from being copied a second
	// time while it has no selector.
	LabelSkipMirror = "endpointslice.kubernetes.io/skip-mirror"
	// AnnotationDetached of the client Service without a selector is the UID of the pod that
	// its endpoints still lead to.
	AnnotationDetached = "dbpair.io/detached-from"
	// AnnotationTouched of the StatefulSet is when it was last changed only so that its
	// controller works on it.
	AnnotationTouched = "dbpair.io/touched"
	// AnnotationGeneration of the StatefulSet is the generation of the pair's spec that it was
	// last applied for.
	AnnotationGeneration = "dbpair.io/generation"
	// AnnotationSettings of a pod names the mysqld settings it was made with.
	AnnotationSettings = "dbpair.io/settings"
	// AnnotationLibraries of a pod names the components and plugins it was made with; it is not
	// there without any.
	AnnotationLibraries = "dbpair.io/libraries"

	// Product is the value of LabelName and LabelManagedBy.
	Product = "dbpair"
)

// Names are those of the objects of one pair. All derive from the pair's name.
type Names struct {
	Pair      string
	Namespace string
}

// Agent is the ServiceAccount, Role and RoleBinding of the agents.
func (n Names) Agent() string { return n.Pair + "-agent" }

// Passive is the read-only Service.
func (n Names) Passive() string { return n.Pair + "-passive" }

// Pods is the headless Service that gives the members their addresses.
func (n Names) Pods() string { return n.Pair + "-pods" }

// Config is the ConfigMap of the agents.
func (n Names) Config() string { return n.Pair + "-config" }

// App is the Secret for applications.
func (n Names) App() string { return n.Pair + "-app" }

// Internal is the Secret of the pair's own accounts.
func (n Names) Internal() string { return n.Pair + "-internal" }

// CA is the Secret of the pair's certificate authority.
func (n Names) CA() string { return n.Pair + "-ca" }

// Vault is the Job, Service and Secret that serve the backup which a pair begins with, and the
// NetworkPolicy that admits the members there.
func (n Names) Vault() string { return n.Pair + "-vault" }

// VaultHost is the address of what serves the backup.
func (n Names) VaultHost() string { return n.Vault() + "." + n.Namespace + ".svc" }

// Router is the Deployment, Service, ConfigMap, PodDisruptionBudget and NetworkPolicy of the router.
func (n Names) Router() string { return n.Pair + "-router" }

// RouterMember is the Service by which the router reaches a member. Its address stays when the
// member's pod is made again.
func (n Names) RouterMember(o pair.Ordinal) string { return n.Router() + "-" + strconv.Itoa(int(o)) }

// TLS is the Secret of a member's certificate.
func (n Names) TLS(o pair.Ordinal) string { return n.Pair + "-tls-" + strconv.Itoa(int(o)) }

// SecretNames are all Secrets of a pair.
func SecretNames(n Names) []string {
	return []string{n.App(), n.Internal(), n.CA(), n.TLS(0), n.TLS(1)}
}

// ConfigMapNames are all ConfigMaps of a pair but those of its Jobs.
func ConfigMapNames(n Names) []string { return []string{n.Config(), n.Router()} }

// Claim is the PersistentVolumeClaim of a member.
func (n Names) Claim(o pair.Ordinal) string { return pair.DataClaim(o.Member(n.Pair)) }

// BinlogClaim is the PersistentVolumeClaim of a member's binary logs, where they have one of their own.
func (n Names) BinlogClaim(o pair.Ordinal) string { return pair.BinlogClaim(o.Member(n.Pair)) }

// Domain follows a member's name in its address.
func (n Names) Domain() string { return n.Pods() + "." + n.Namespace + ".svc" }

// Host is a member's address.
func (n Names) Host(o pair.Ordinal) string { return string(o.Member(n.Pair)) + "." + n.Domain() }

// Labels are on every object of a pair.
func Labels(pairName string) map[string]string {
	return map[string]string{
		LabelName:      Product,
		LabelInstance:  pairName,
		LabelManagedBy: Product,
		LabelPair:      pairName,
	}
}

// KeptLabels are on what stays when the pair is deleted. Tools that remove what has an
// application's name in LabelInstance and is not in its manifests, as Argo CD does, leave it alone.
func KeptLabels(pairName string) map[string]string {
	labels := Labels(pairName)
	delete(labels, LabelInstance)
	return labels
}

// memberSelector picks the member pods of a pair and nothing else.
func memberSelector(pairName string) map[string]string {
	return map[string]string{LabelPair: pairName, LabelName: Product}
}

// RouteMode says which listener of a pod the client Service leads to.
type RouteMode string

// The listeners of a pod.
const (
	RouteOpen RouteMode = "open" // mysqld
	RouteDoor RouteMode = "door" // the listener that refuses clients
)

// Route is where the client Service leads. To mysqld it leads at one epoch: the pod carries
// the label Key, a recreated pod does not, and a pod left over from an earlier epoch has
// another key, so neither can match by accident. A door is that of whichever pod has the
// member's name, since all of them only refuse clients: no label has to come before the
// selector, and Epoch is not said.
type Route struct {
	Member pair.MemberName
	Epoch  pair.Epoch
	Mode   RouteMode
}

// Key is the label key of the route's epoch.
func (r Route) Key() string { return pair.EpochLabel(r.Epoch) }

// Port is the named container port that the route leads to.
func (r Route) Port() string {
	if r.Mode == RouteOpen {
		return portNameMySQL
	}
	return portNameDoor
}

// ParseRouteLabel is the inverse of Key with the value RouteOpen; ok is false for any other
// label.
func ParseRouteLabel(key, value string) (r Route, ok bool) {
	epoch, found := pair.EpochOfLabel(key)
	written := found && key == pair.EpochLabel(epoch) // as this program writes it: no sign, no leading zero
	if !written || !epoch.Valid() || value != string(RouteOpen) {
		return Route{}, false
	}
	return Route{Epoch: epoch, Mode: RouteOpen}, true
}

// Collision names an object that two pairs of these names would both have; empty when
// there is none.
func Collision(a, b string) string {
	theirs := map[string]bool{}
	for _, o := range objectNames(b) {
		theirs[o] = true
	}
	for _, o := range objectNames(a) {
		if theirs[o] {
			return o
		}
	}
	return ""
}

// objectNames are kind and name of every object of a pair of this name.
func objectNames(pairName string) []string {
	n := Names{Pair: pairName}
	out := []string{
		"StatefulSet " + n.Pair, "Lease " + n.Pair, "PodDisruptionBudget " + n.Pair, "NetworkPolicy " + n.Pair,
		"Service " + n.Pair, "Service " + n.Passive(), "Service " + n.Pods(),
		"ConfigMap " + n.Config(), "ServiceAccount " + n.Agent(), "Role " + n.Agent(), "RoleBinding " + n.Agent(),
		"Secret " + n.App(), "Secret " + n.Internal(), "Secret " + n.CA(),
		"ServiceAccount " + n.Job(), "Role " + n.Job(), "RoleBinding " + n.Job(),
		"Job " + n.Vault(), "Service " + n.Vault(), "Secret " + n.Vault(), "NetworkPolicy " + n.Vault(),
		"Deployment " + n.Archive(), "Secret " + n.Archive(), "ConfigMap " + n.Archive(), "Role " + n.Archive(), "RoleBinding " + n.Archive(),
		"Deployment " + n.Router(), "ConfigMap " + n.Router(), "PodDisruptionBudget " + n.Router(), "NetworkPolicy " + n.Router(),
		"Service " + n.Router(),
	}
	for _, o := range []pair.Ordinal{0, 1} {
		out = append(out, "Service "+n.RouterMember(o))
		out = append(out, "Pod "+string(o.Member(n.Pair)), "PersistentVolumeClaim "+n.Claim(o), "Secret "+n.TLS(o))
		out = append(out, "PersistentVolumeClaim "+n.BinlogClaim(o))
	}
	return out
}
