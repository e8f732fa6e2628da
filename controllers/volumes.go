package controllers

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
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

// growPatience is how long a volume may take to get a size that was asked for before that is said.
const growPatience = 10 * time.Minute

// volumeSize is the largest size that a volume of these names has of what its claim asks for; nil while there is none.
func volumeSize(claims []corev1.PersistentVolumeClaim, named func(pair.Ordinal) string) *resource.Quantity {
	var largest *resource.Quantity
	for i := range claims {
		if name := claims[i].Name; name != named(ordinals[0]) && name != named(ordinals[1]) {
			continue
		}
		size := claims[i].Spec.Resources.Requests[corev1.ResourceStorage]
		if has, bound := claims[i].Status.Capacity[corev1.ResourceStorage]; bound && has.Cmp(size) < 0 {
			size = has
		}
		if largest == nil || size.Cmp(*largest) > 0 {
			largest = &size
		}
	}
	return largest
}

// ensureVolumes grows the volumes to the size of the spec, where their class can. A claim that
// is made again gets the size with which the StatefulSet was made, and grows from there, and so
// it does with labels: see resources.KeptLabels.
func (r *childrenReconciler) ensureVolumes(ctx context.Context, v *childrenVisit) error {
	v.memory.notGrown = ""
	for _, o := range ordinals {
		for _, one := range sizedClaims(v.pair, o) {
			var claim corev1.PersistentVolumeClaim
			err := r.Client.Get(ctx, types.NamespacedName{Namespace: v.pair.Namespace, Name: one.name}, &claim)
			if apierrors.IsNotFound(err) {
				continue
			}
			if err != nil {
				return fmt.Errorf("read volume claim %s: %w", one.name, err)
			}
			if err := r.keepClaim(ctx, v, &claim); err != nil {
				return err
			}
			r.growClaim(ctx, v, &claim, one)
		}
	}
	return nil
}

// sizedClaim is a claim of a member, and the field with its size.
type sizedClaim struct {
	name  string
	field string
	want  resource.Quantity
}

// sizedClaims are the claims of a member.
func sizedClaims(p *v1alpha1.DatabasePair, o pair.Ordinal) []sizedClaim {
	names := resources.NamesOf(p)
	list := []sizedClaim{{
		name:  names.Claim(o),
		field: "spec.storage.size",
		want:  p.Spec.Storage.Size,
	}}
	if b := p.Spec.Storage.Binlog; b != nil {
		list = append(list, sizedClaim{
			name:  names.BinlogClaim(o),
			field: "spec.storage.binlog.size",
			want:  b.Size,
		})
	}
	return list
}

// growClaim has one claim ask for the size of the spec, and notes why it does not get it.
func (r *childrenReconciler) growClaim(ctx context.Context, v *childrenVisit, claim *corev1.PersistentVolumeClaim, one sizedClaim) {
	want := one.want
	has := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	v.memory.notGrown = cmp.Or(v.memory.notGrown, r.neverGrew(v, claim, one))
	if has.Cmp(want) == 0 || claim.Status.Phase != corev1.ClaimBound || (has.Cmp(want) > 0 && !canTakeBack(claim, want)) {
		return
	}
	base := claim.DeepCopy()
	claim.Spec.Resources.Requests[corev1.ResourceStorage] = want
	err := r.Client.Patch(ctx, claim, client.MergeFrom(base), client.FieldOwner(cluster.FieldManager))
	if err != nil && has.Cmp(want) > 0 {
		// An older cluster takes nothing back: the storage goes on trying, which harms nobody.
		v.log.V(1).Info("a volume claim does not ask for less", "claim", claim.Name, "reason", err.Error())
		return
	}
	if err != nil {
		// A class that cannot grow volumes says so; everything else goes on.
		why := notGrown(base, one, err)
		v.memory.notGrown = cmp.Or(v.memory.notGrown, why)
		r.warnOnce(v, claim, "VolumeNotGrown", why)
		return
	}
	r.tell(v, claim, normal, "VolumeGrows", fmt.Sprintf("asked for %s for volume %s", want.String(), claim.Name))
}

// canTakeBack: a claim asks for more than its volume has got and than is wanted now. Kubernetes takes less than was
// asked for as long as it is more than what the volume has.
func canTakeBack(claim *corev1.PersistentVolumeClaim, want resource.Quantity) bool {
	got, known := claim.Status.Capacity[corev1.ResourceStorage]
	return known && want.Cmp(got) > 0
}

// neverGrew says that a volume does not get the size that its claim asks for, why, and how to go back; empty while it
// may only take its time. A failure that the storage reports is returned at once.
func (r *childrenReconciler) neverGrew(v *childrenVisit, claim *corev1.PersistentVolumeClaim, one sizedClaim) string {
	want := one.want
	asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	got, known := claim.Status.Capacity[corev1.ResourceStorage]
	if !known || asked.Cmp(want) < 0 || got.Cmp(want) >= 0 {
		delete(v.memory.growing, claim.Name)
		return ""
	}
	since, growing := v.memory.growing[claim.Name]
	if !growing {
		since = r.Now()
		if v.memory.growing == nil {
			v.memory.growing = map[string]time.Time{}
		}
		v.memory.growing[claim.Name] = since
	}
	failure := growFailure(claim)
	if failure == "" && r.Now().Sub(since) < growPatience {
		return ""
	}
	why := fmt.Sprintf("%[1]s: volume %[2]s was asked to grow to %[3]s and has %[4]s: %[5]s; "+
		"put %[1]s back to %[4]s, or to what its storage can give",
		one.field, claim.Name, asked.String(), got.String(), cmp.Or(failure, "its storage has not answered for "+growPatience.String()))
	r.warnOnce(v, claim, "VolumeNotGrown", why)
	return why
}

// growFailure is what the storage says of a claim that it could not grow; empty for nothing.
func growFailure(claim *corev1.PersistentVolumeClaim) string {
	for _, c := range claim.Status.Conditions {
		failed := c.Type == corev1.PersistentVolumeClaimControllerResizeError || c.Type == corev1.PersistentVolumeClaimNodeResizeError
		if failed && c.Status == corev1.ConditionTrue {
			return cmp.Or(c.Message, c.Reason, string(c.Type))
		}
	}
	switch s := claim.Status.AllocatedResourceStatuses[corev1.ResourceStorage]; s {
	case corev1.PersistentVolumeClaimControllerResizeInfeasible, corev1.PersistentVolumeClaimNodeResizeInfeasible:
		return "its storage says " + string(s)
	default:
		return ""
	}
}

// keepClaim takes a label off a claim by which it would be removed with an application of the
// pair's name. Another value of it was set on purpose and stays.
func (r *childrenReconciler) keepClaim(ctx context.Context, v *childrenVisit, claim *corev1.PersistentVolumeClaim) error {
	if claim.Labels[resources.LabelInstance] != v.pair.Name || claim.Labels[resources.LabelManagedBy] != resources.Product {
		return nil
	}
	base := claim.DeepCopy()
	delete(claim.Labels, resources.LabelInstance)
	if err := r.Client.Patch(ctx, claim, client.MergeFrom(base), client.FieldOwner(cluster.FieldManager)); err != nil {
		return fmt.Errorf("take label %s off volume claim %s: %w", resources.LabelInstance, claim.Name, err)
	}
	return nil
}

// notGrown says that a claim cannot get a size, why, and how to go back.
func notGrown(claim *corev1.PersistentVolumeClaim, one sizedClaim, err error) string {
	has := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	class := ""
	if claim.Spec.StorageClassName != nil {
		class = " " + *claim.Spec.StorageClassName
	}
	return fmt.Sprintf("%[1]s: volume %[2]s of %[3]s was not grown to %[4]s: %[5]v; "+
		"put %[1]s back to %[3]s, or set allowVolumeExpansion of storage class%[6]s "+
		"if its driver can grow volumes", one.field, claim.Name, has.String(), one.want.String(), err, class)
}
