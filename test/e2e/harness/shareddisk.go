package harness

import (
	"context"
	"errors"
	"fmt"
	"os"

	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// SharedDisk is one file system that is mounted on every worker, with two volumes on it
// that may be used on any of them: storage that outlives a node. All nodes of kind share one
// kernel, so that they also share what is cached of the file system.
type SharedDisk struct {
	cluster *Cluster
	// Class is the storage class to ask for.
	Class string
	nodes []string
	image string
	loop  string
}

// NewSharedDisk makes it. Close must be called, after the pods that use it are gone.
func (c *Cluster) NewSharedDisk(ctx context.Context, class string) (*SharedDisk, error) {
	workers, err := c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	d := &SharedDisk{
		cluster: c,
		Class:   class,
		nodes:   workers,
	}
	if err := d.make(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("make shared disk %s: %w", class, err), d.Close(context.WithoutCancel(ctx)))
	}
	return d, nil
}

func (d *SharedDisk) make(ctx context.Context) error {
	image, err := os.CreateTemp("", d.Class+"-*.img")
	if err != nil {
		return err
	}
	d.image = image.Name()
	if err := errors.Join(image.Truncate(2*diskSize), image.Close()); err != nil {
		return err
	}
	if _, err := command(ctx, "mkfs.ext4", "-q", "-m", "0", d.image); err != nil {
		return err
	}
	if d.loop, err = command(ctx, "losetup", "-f", "--show", d.image); err != nil {
		return err
	}
	for _, node := range d.nodes {
		if err := d.MountOn(ctx, node); err != nil {
			return err
		}
	}
	for _, object := range d.objects() {
		if err := d.cluster.Create(ctx, object); err != nil {
			return err
		}
	}
	return nil
}

func (d *SharedDisk) path() string { return "/var/local/" + d.Class }

// MountOn mounts it on a node that has just been started again.
func (d *SharedDisk) MountOn(ctx context.Context, node string) error {
	script := fmt.Sprintf("mkdir -p %[1]s && { mountpoint -q %[1]s || mount -t ext4 %[2]s %[1]s; } && mkdir -p %[1]s/0 %[1]s/1 && chmod 0777 %[1]s/0 %[1]s/1", d.path(), d.loop)
	_, err := d.cluster.Node(node).Run(ctx, "sh", "-c", script)
	return err
}

func (d *SharedDisk) objects() []client.Object {
	list := []client.Object{&storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: d.Class},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingImmediate),
	}}
	for i := range 2 {
		list = append(list, &corev1.PersistentVolume{
			ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", d.Class, i), Labels: map[string]string{LabelE2E: "disk"}},
			Spec: corev1.PersistentVolumeSpec{
				Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(diskSize, resource.BinarySI)},
				AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
				PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
				StorageClassName:              d.Class,
				PersistentVolumeSource: corev1.PersistentVolumeSource{
					HostPath: &corev1.HostPathVolumeSource{Path: fmt.Sprintf("%s/%d", d.path(), i)},
				},
			},
		})
	}
	return list
}

// Close removes it.
func (d *SharedDisk) Close(ctx context.Context) error {
	var errs []error
	for _, object := range d.objects() {
		errs = append(errs, client.IgnoreNotFound(d.cluster.Delete(ctx, object)))
	}
	for _, node := range d.nodes {
		_, err := d.cluster.Node(node).Run(ctx, "sh", "-c", "! mountpoint -q "+d.path()+" || umount -l "+d.path())
		errs = append(errs, err)
	}
	if d.loop != "" {
		_, err := command(ctx, "losetup", "-d", d.loop)
		errs = append(errs, err)
	}
	return errors.Join(append(errs, os.RemoveAll(d.image))...)
}
