package resources

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// KindPair is the kind of the objects that control a pair's objects.
const KindPair = "DatabasePair"

// NamesOf are the names of the pair's objects.
func NamesOf(p *v1alpha1.DatabasePair) Names {
	return Names{Pair: p.Name, Namespace: p.Namespace}
}

// owner makes the pair the controller of an object, so that the garbage collector takes
// the object away with the pair, whether or not the operator still runs.
func owner(p *v1alpha1.DatabasePair) *metav1ac.OwnerReferenceApplyConfiguration {
	return metav1ac.OwnerReference().
		WithAPIVersion(v1alpha1.GroupVersion.String()).
		WithKind(KindPair).
		WithName(p.Name).
		WithUID(p.UID).
		WithController(true).
		WithBlockOwnerDeletion(true)
}

// OwnerReference is the same as a plain value, for objects that are not applied.
func OwnerReference(p *v1alpha1.DatabasePair) metav1.OwnerReference {
	return *metav1.NewControllerRef(p, v1alpha1.GroupVersion.WithKind(KindPair))
}
