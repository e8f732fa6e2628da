package resources

import (
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	appsv1ac "k8s.io/client-go/applyconfigurations/apps/v1"
	corev1ac "k8s.io/client-go/applyconfigurations/core/v1"
	metav1ac "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// Image is the image of the agent, from the operator's flags.
type Image struct {
	Name       string
	PullPolicy corev1.PullPolicy
}

// Claim is what cannot be changed any more on a StatefulSet that exists.
type Claim struct {
	Size       resource.Quantity
	AccessMode corev1.PersistentVolumeAccessMode
	ClassName  *string
	Labels     map[string]string
}

// ClaimOf is the claim that the spec asks for.
func ClaimOf(p *v1alpha1.DatabasePair) Claim {
	return Claim{
		Size:       p.Spec.Storage.Size,
		AccessMode: corev1.PersistentVolumeAccessMode(p.Spec.Storage.AccessMode),
		ClassName:  p.Spec.Storage.StorageClassName,
		Labels:     KeptLabels(p.Name),
	}
}

// LiveClaim is the claim of a StatefulSet that exists; growth happens on the claims
// themselves.
func LiveClaim(sts *appsv1.StatefulSet) (Claim, bool) {
	for i := range sts.Spec.VolumeClaimTemplates {
		t := &sts.Spec.VolumeClaimTemplates[i]
		if t.Name != volumeData || len(t.Spec.AccessModes) != 1 {
			continue
		}
		return Claim{
			Size:       t.Spec.Resources.Requests[corev1.ResourceStorage],
			AccessMode: t.Spec.AccessModes[0],
			ClassName:  t.Spec.StorageClassName,
			Labels:     t.Labels,
		}, true
	}
	return Claim{}, false
}

// StatefulSet runs the two members. Its pods are made in parallel, since neither waits
// for the other, and replaced only when the operator deletes one, since only it knows
// which may go.
func StatefulSet(p *v1alpha1.DatabasePair, agent Image, claim Claim) *appsv1ac.StatefulSetApplyConfiguration {
	pvc := corev1ac.PersistentVolumeClaimSpec().
		WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithAccessModes(claim.AccessMode).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: claim.Size}))
	if claim.ClassName != nil {
		pvc.WithStorageClassName(*claim.ClassName)
	}
	whenDeleted := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	if p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted == v1alpha1.DeleteVolumes {
		whenDeleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
	}
	// The claims keep their labels when the pair is gone, so none of them may depend on
	// anything but its name. The list is owned as a whole, so it says what the API server
	// would add; else it would never look as applied.
	template := &corev1ac.PersistentVolumeClaimApplyConfiguration{
		ObjectMetaApplyConfiguration: metav1ac.ObjectMeta().WithName(volumeData).WithLabels(claim.Labels),
		Spec:                         pvc,
		Status:                       corev1ac.PersistentVolumeClaimStatus().WithPhase(corev1.ClaimPending),
	}
	return appsv1ac.StatefulSet(p.Name, p.Namespace).
		WithLabels(Labels(p.Name)).
		WithAnnotations(map[string]string{AnnotationGeneration: strconv.FormatInt(p.Generation, 10)}).
		WithOwnerReferences(owner(p)).
		WithSpec(appsv1ac.StatefulSetSpec().
			WithReplicas(2).
			WithServiceName(NamesOf(p).Pods()).
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithUpdateStrategy(appsv1ac.StatefulSetUpdateStrategy().WithType(appsv1.OnDeleteStatefulSetStrategyType)).
			WithRevisionHistoryLimit(4).
			WithPersistentVolumeClaimRetentionPolicy(appsv1ac.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenDeleted(whenDeleted).
				WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)).
			WithSelector(metav1ac.LabelSelector().WithMatchLabels(memberSelector(p.Name))).
			WithTemplate(podTemplate(p, agent)).
			WithVolumeClaimTemplates(template))
}
