package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/recorder"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/cluster"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// readMemberPod reads the pod that has a member's name. The cache selects by label, so a
// pod that it does not have counts as gone only when the API server says so too: a running
// pod whose label was removed must not be taken for one that has ended. It returns a
// reading other than Read for a pod that is not there or not known to be the member's.
func (r *PairReconciler) readMemberPod(
	ctx context.Context, v *visit, seen *view, o pair.Ordinal,
) (*corev1.Pod, failover.Reading, error) {
	m := o.Member(v.pair.Name)
	pod := &corev1.Pod{}
	name := types.NamespacedName{Namespace: v.pair.Namespace, Name: string(m)}
	err := r.Client.Get(ctx, name, pod)
	if err == nil {
		return pod, failover.Read, nil
	}
	if apierrors.IsNotFound(err) {
		if before := v.session.absences[o]; r.Now().Sub(before.confirmed) < askAgainAfter {
			seen.absences[o] = before
			return nil, failover.Missing, nil
		}
		err = r.Live.Get(ctx, name, pod)
	}
	switch {
	case apierrors.IsNotFound(err):
		seen.absences[o] = v.session.absences[o].confirm(r.Now())
		return nil, failover.Missing, nil
	case err != nil:
		return nil, failover.Unread, fmt.Errorf("read pod %s: %w", m, err)
	case pod.Labels[resources.LabelPair] == v.pair.Name, v.session.knowsPod(pair.PodUID(pod.UID)):
		return pod, failover.Read, nil
	}
	// Anyone who may create pods can make one of this name. Without the label, which only the
	// StatefulSet's pods can be created with, nothing says that it is the member.
	seen.strangers = append(seen.strangers, pod)
	return nil, failover.Unread, nil
}

// askAgainAfter is how long the API server's answer that there is no such pod holds, as
// long as the cache says the same. A new pod shows in the cache.
const askAgainAfter = time.Second

// restoreLabels puts back the labels of members' pods and volume claims that were removed
// or changed: Services, the disruption budget and the operator's cache select by them.
func (r *PairReconciler) restoreLabels(ctx context.Context, v *visit) error {
	if v.pair.Spec.Paused {
		return nil
	}
	var errs []error
	for _, pod := range v.strangers {
		r.warnOnce(v, pod, "LabelMissing", fmt.Sprintf(
			"pod %s has no label %s=%s, and it is not known to be the member: if it is, put the label back with kubectl label pod %s -n %s %s=%s; "+
				"else delete the pod",
			pod.Name, resources.LabelPair, v.pair.Name, pod.Name, pod.Namespace, resources.LabelPair, v.pair.Name))
	}
	for _, pod := range v.pods {
		if pod == nil || pod.DeletionTimestamp != nil {
			continue
		}
		want := resources.Labels(v.pair.Name)
		want[appsv1.StatefulSetPodNameLabel] = pod.Name
		errs = append(errs, r.restoreLabelsOf(ctx, v, pod, want))
	}
	for i := range v.claims {
		errs = append(errs, r.restoreLabelsOf(ctx, v, &v.claims[i], resources.KeptLabels(v.pair.Name)))
	}
	return errors.Join(errs...)
}

func (r *PairReconciler) restoreLabelsOf(ctx context.Context, v *visit, o object, want map[string]string) error {
	lost := lostLabels(o, want)
	if len(lost) == 0 {
		return nil
	}
	changed, ok := o.DeepCopyObject().(client.Object)
	if !ok {
		return fmt.Errorf("copy %s %s", kindOf(o), o.GetName())
	}
	labels := maps.Clone(changed.GetLabels())
	if labels == nil {
		labels = map[string]string{}
	}
	maps.Copy(labels, want)
	changed.SetLabels(labels)
	patch := client.MergeFromWithOptions(o, client.MergeFromWithOptimisticLock{})
	if err := r.Client.Patch(ctx, changed, patch, client.FieldOwner(cluster.FieldManager)); err != nil {
		return fmt.Errorf("put the labels of %s %s back: %w", kindOf(o), o.GetName(), err)
	}
	tellLabels(r.Events, v.pair, o, lost)
	return nil
}

// tellLabels says which labels of an object were put back.
func tellLabels(events recorder.EventRecorder, p *v1alpha1.DatabasePair, o object, lost []string) {
	tellOf(events, p, o, warning, "LabelRestored", fmt.Sprintf("put %s of %s %s back: a label of dbpair was removed or changed",
		strings.Join(lost, ", "), strings.ToLower(kindOf(o)), o.GetName()))
}

// lostLabels are those of the wanted labels that an object does not have, as key=value.
func lostLabels(o object, want map[string]string) []string {
	var lost []string
	has := o.GetLabels()
	for _, k := range slices.Sorted(maps.Keys(want)) {
		if has[k] != want[k] {
			lost = append(lost, k+"="+want[k])
		}
	}
	return lost
}
