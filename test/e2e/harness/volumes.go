package harness

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SmallVolumes are volumes of a real, bounded file system, one on each worker: a tmpfs
// of that many bytes. A kind cluster's own volumes are folders of the node's disk and
// never full.
type SmallVolumes struct {
	*Cluster
	// Class is the storage class to ask for.
	Class string
	nodes []string
}

// SmallVolumes makes them. They claim to be as large as anybody asks.
func (c *Cluster) SmallVolumes(ctx context.Context, class string, bytes int64) (*SmallVolumes, error) {
	workers, err := c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	v := &SmallVolumes{
		Cluster: c,
		Class:   class,
		nodes:   workers,
	}
	for _, object := range v.objects() {
		if err := c.Create(ctx, object); err != nil && !apierrors.IsAlreadyExists(err) {
			return nil, fmt.Errorf("create small volume: %w", err)
		}
	}
	for _, name := range workers {
		node := c.Node(name)
		if _, err := node.Run(ctx, "mkdir", "-p", v.path()); err != nil {
			return nil, err
		}
		// The volume's group is the member's: a local volume is handed over by fsGroup.
		if _, err := node.Run(ctx, "mount", "-t", "tmpfs", "-o", fmt.Sprintf("size=%d,mode=0775", bytes), "tmpfs", v.path()); err != nil {
			return nil, err
		}
	}
	return v, nil
}

func (v *SmallVolumes) path() string { return "/var/lib/" + v.Class }

func (v *SmallVolumes) objects() []client.Object {
	wait := storagev1.VolumeBindingWaitForFirstConsumer
	list := []client.Object{&storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: v.Class},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: &wait,
	}}
	for _, node := range v.nodes {
		list = append(list, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: v.Class + "-" + node},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:                      corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Ti")},
				AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
				StorageClassName:              v.Class,
				PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: v.path()}},
				NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
					MatchExpressions: []corev1.NodeSelectorRequirement{{
						Key:      corev1.LabelHostname,
						Operator: corev1.NodeSelectorOpIn,
						Values:   []string{node},
					}},
				}}}},
			},
		})
	}
	return list
}

// Remove takes them away, which works once no pod uses them.
func (v *SmallVolumes) Remove(ctx context.Context) error {
	for _, object := range v.objects() {
		if err := client.IgnoreNotFound(v.Delete(ctx, object)); err != nil {
			return err
		}
	}
	for _, name := range v.nodes {
		// Lazily: a kubelet that is late with its own unmount must not keep the rest.
		if _, err := v.Node(name).Run(ctx, "umount", "-l", v.path()); err != nil {
			return err
		}
	}
	return nil
}
