package plugin

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/pair"
)

// replaceLoss says what goes with a volume, with the pair and the member put in.
const replaceLoss = "Copying %[2]s of pair %[1]s to a new volume deletes its volume claim and its pod. All that its present\n" +
	"volume holds goes with the claim, unless the reclaim policy of the volume is Retain: transactions that %[2]s alone has, and\n" +
	"its quarantine (kubectl dbpair quarantine %[1]s %[2]s)."

// newVolume deletes the passive's claim and then its pod: in the other order the next pod would
// take the same claim, and wait for a node that may be gone. The copy begins by itself on the
// claim that the StatefulSet creates. It only begins while the primary serves clients, since
// that one has the only copy then.
func (s *session) newVolume(ctx context.Context, c cluster, p *v1alpha1.DatabasePair, w reseedRequest) error {
	if !meta.IsStatusConditionTrue(p.Status.Conditions, v1alpha1.ConditionAvailable) {
		return fmt.Errorf("pair %q is not Available, and its volumes are kept until it is: `kubectl dbpair status %s` says why",
			p.Name, p.Name)
	}
	if err := s.confirm(p, verb{name: "reseed", loss: replaceLoss}, w.wish); err != nil {
		return err
	}
	for _, name := range claimsOf(p, w.target) {
		claim := &corev1.PersistentVolumeClaim{}
		claim.Name = name
		if err := s.deleteAsSeen(ctx, c, "persistentvolumeclaim", claim); err != nil {
			return err
		}
	}
	pod := &corev1.Pod{}
	pod.Name = w.target
	if err := s.deleteAsSeen(ctx, c, "pod", pod); err != nil {
		return err
	}
	_, err := fmt.Fprintf(s.streams.Out, "%s is copied from %s when its next pod runs: kubectl dbpair status %s\n"+
		"If the node of its former pod is gone for good, and the pod stays: "+
		"kubectl taint node %s node.kubernetes.io/out-of-service=nodeshutdown:NoExecute\n",
		w.target, p.Status.Primary, p.Name, nodeOf(pod))
	return err
}

// claimsOf are the claims of a member: both of its volumes may be on the node that is gone.
func claimsOf(p *v1alpha1.DatabasePair, member string) []string {
	name := pair.MemberName(member)
	if p.Spec.Storage.Binlog == nil {
		return []string{pair.DataClaim(name)}
	}
	return []string{pair.DataClaim(name), pair.BinlogClaim(name)}
}

func nodeOf(pod *corev1.Pod) string {
	if pod.Spec.NodeName == "" {
		return "NODE"
	}
	return pod.Spec.NodeName
}

// deleteAsSeen deletes the object that is there now, and none that is made under its name later.
// One that is gone already is as good.
func (s *session) deleteAsSeen(ctx context.Context, c cluster, kind string, object client.Object) error {
	key := types.NamespacedName{Namespace: c.namespace, Name: object.GetName()}
	err := c.client.Get(ctx, key, object)
	if err == nil {
		uid := object.GetUID()
		err = c.client.Delete(ctx, object, client.Preconditions{UID: &uid})
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("delete %s %s: %w", kind, key.Name, err)
	}
	_, err = fmt.Fprintf(s.streams.Out, "%s/%s deleted\n", kind, key.Name)
	return err
}
