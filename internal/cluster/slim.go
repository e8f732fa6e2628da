package cluster

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/resources"
)

// slimmedMark is put on an object of a cache whose content was dropped. It is never written
// to the API server.
const slimmedMark = "dbpair.io/content-not-cached"

// contentLimit is how many bytes of one Secret or ConfigMap a cache keeps. What the
// operator writes is far below it.
const contentLimit = 64 << 10

// Slim is a transformation for caches of Secrets and ConfigMaps. Anybody who may write in a
// namespace can put the operator's label on a megabyte of his own, and a hundred of those
// would end the operator for the pairs of everybody. So content is kept only of the objects
// that a pair consists of, and of those only in reasonable size; Find reads the rest from
// the API server.
func Slim(o any) (any, error) {
	switch live := o.(type) {
	case *corev1.Secret:
		if !ofPair(live, cachedSecrets) || sizeOf(live.Data) > contentLimit {
			live.Data = nil
			slim(live)
		}
	case *corev1.ConfigMap:
		slimConfigMap(live)
	}
	return o, nil
}

// cachedSecrets are those whose content is kept.
func cachedSecrets(n resources.Names) []string { return append(resources.SecretNames(n), n.Archive()) }

// slimConfigMap keeps of the ConfigMap of a Job or an archiver what the operator reads: what it said, but
// neither its report nor its state, which are large.
func slimConfigMap(live *corev1.ConfigMap) {
	live.BinaryData = nil
	if live.Labels[resources.LabelJobOf] != "" {
		for key := range live.Data {
			if key != jobapi.KeyProgress && key != jobapi.KeyResult && key != jobapi.KeyArchive {
				delete(live.Data, key)
			}
		}
		live.ManagedFields = nil
		if sizeOf(live.Data) > contentLimit {
			live.Data = nil
			slim(live)
		}
		return
	}
	if !ofPair(live, resources.ConfigMapNames) || sizeOf(live.Data) > contentLimit {
		live.Data = nil
		slim(live)
	}
}

// ofPair reports whether an object has one of the names that its pair needs, and is
// controlled by the pair or, as the certificate authority may be, by nobody.
func ofPair(o metav1.Object, names func(resources.Names) []string) bool {
	name := o.GetLabels()[resources.LabelPair]
	if !slices.Contains(names(resources.Names{Pair: name, Namespace: o.GetNamespace()}), o.GetName()) {
		return false
	}
	controller := metav1.GetControllerOf(o)
	return controller == nil || (controller.Kind == resources.KindPair && controller.Name == name)
}

func sizeOf[V ~string | ~[]byte](data map[string]V) int {
	n := 0
	for k, v := range data {
		n += len(k) + len(v)
	}
	return n
}

// slim drops what else may be large, and marks the object.
func slim(o metav1.Object) {
	o.SetManagedFields(nil)
	o.SetAnnotations(map[string]string{slimmedMark: "true"})
}

// slimmed reports whether a cache has dropped the content of an object.
func slimmed(o metav1.Object) bool { return o.GetAnnotations()[slimmedMark] != "" }
