package controllers

import (
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// unsettledVolumes names the claims whose end does not follow
// spec.storage.persistentVolumeClaimRetentionPolicy.whenDeleted yet; empty when all do. A
// claim goes with the StatefulSet if that owns it, and kube-controller-manager writes the
// owner a while after the StatefulSet has the policy. Anyone who deletes the pair before that
// gets what the claims had been told: volumes that stay, or volumes that go.
func unsettledVolumes(p *v1alpha1.DatabasePair, set *appsv1.StatefulSet, claims []corev1.PersistentVolumeClaim) string {
	goes := p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted == v1alpha1.DeleteVolumes
	var late []string
	for i := range claims {
		owned := slices.ContainsFunc(claims[i].OwnerReferences, func(o metav1.OwnerReference) bool { return o.UID == set.UID })
		if claims[i].DeletionTimestamp == nil && owned != goes {
			late = append(late, claims[i].Name)
		}
	}
	switch {
	case len(late) == 0:
		return ""
	case goes:
		return fmt.Sprintf("%s would still be kept if the pair were deleted now", strings.Join(late, ", "))
	}
	return fmt.Sprintf("%s would still be removed if the pair were deleted now", strings.Join(late, ", "))
}
