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

// Claims are those of each member.
type Claims struct {
	Data Claim
	// Binlog is that of the binary logs; nil where they are on the volume of the data.
	Binlog *Claim
}

// ClaimsOf are the claims that the spec asks for.
func ClaimsOf(p *v1alpha1.DatabasePair) Claims {
	storage := &p.Spec.Storage
	claim := func(size resource.Quantity, class *string) Claim {
		return Claim{
			Size:       size,
			AccessMode: corev1.PersistentVolumeAccessMode(storage.AccessMode),
			ClassName:  class,
			Labels:     KeptLabels(p.Name),
		}
	}
	claims := Claims{Data: claim(storage.Size, storage.StorageClassName)}
	if b := storage.Binlog; b != nil {
		binlog := claim(b.Size, b.StorageClassName)
		claims.Binlog = &binlog
	}
	return claims
}

// LiveClaims are the claims of a StatefulSet that exists; growth happens on the claims
// themselves.
func LiveClaims(sts *appsv1.StatefulSet) (Claims, bool) {
	var claims Claims
	found := false
	for i := range sts.Spec.VolumeClaimTemplates {
		t := &sts.Spec.VolumeClaimTemplates[i]
		if len(t.Spec.AccessModes) != 1 {
			continue
		}
		claim := Claim{
			Size:       t.Spec.Resources.Requests[corev1.ResourceStorage],
			AccessMode: t.Spec.AccessModes[0],
			ClassName:  t.Spec.StorageClassName,
			Labels:     t.Labels,
		}
		switch t.Name {
		case volumeData:
			claims.Data = claim
			found = true
		case volumeBinlog:
			claims.Binlog = &claim
		}
	}
	return claims, found
}

// template is a claim as a StatefulSet has it. The claims keep their labels when the pair is gone,
// so none of them may depend on anything but its name. The list of templates is owned as a whole,
// so it says what the API server would add; else it would never look as applied.
func (c Claim) template(name string) *corev1ac.PersistentVolumeClaimApplyConfiguration {
	pvc := corev1ac.PersistentVolumeClaimSpec().
		WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithAccessModes(c.AccessMode).
		WithResources(corev1ac.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: c.Size}))
	if c.ClassName != nil {
		pvc.WithStorageClassName(*c.ClassName)
	}
	return &corev1ac.PersistentVolumeClaimApplyConfiguration{
		ObjectMetaApplyConfiguration: metav1ac.ObjectMeta().WithName(name).WithLabels(c.Labels),
		Spec:                         pvc,
		Status:                       corev1ac.PersistentVolumeClaimStatus().WithPhase(corev1.ClaimPending),
	}
}

// templates are those of all claims of a member.
func (c Claims) templates() []*corev1ac.PersistentVolumeClaimApplyConfiguration {
	list := []*corev1ac.PersistentVolumeClaimApplyConfiguration{c.Data.template(volumeData)}
	if c.Binlog != nil {
		list = append(list, c.Binlog.template(volumeBinlog))
	}
	return list
}

// StatefulSet runs the two members. Its pods are made in parallel, since neither waits
// for the other, and replaced only when the operator deletes one, since only it knows
// which may go.
func StatefulSet(p *v1alpha1.DatabasePair, agent Image, claims Claims) *appsv1ac.StatefulSetApplyConfiguration {
	whenDeleted := appsv1.RetainPersistentVolumeClaimRetentionPolicyType
	if p.Spec.Storage.PersistentVolumeClaimRetentionPolicy.WhenDeleted == v1alpha1.DeleteVolumes {
		whenDeleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
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
			WithTemplate(podTemplate(p, agent, claims)).
			WithVolumeClaimTemplates(claims.templates()...))
}
