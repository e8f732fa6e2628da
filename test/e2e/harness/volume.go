package harness

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Requests to a file system; the last is ext4's and xfs's own.
const (
	requestFreeze   = 0xC0045877
	requestThaw     = 0xC0045878
	requestShutdown = 0x8004587D
)

// Disk is a small ext4 file system on a node, offered as a local volume: one that can
// hang, fill up or go away without taking the node's own with it.
type Disk struct {
	node  *Node
	name  string
	image string // on this machine
	loop  string
}

// Disks are one for each of two nodes, under a storage class of their own.
type Disks struct {
	cluster *Cluster
	Class   string
	all     []*Disk
}

// diskSize of the images, which are sparse. The volumes claim as much.
const diskSize = 2 << 30

// NewDisks makes one disk on each of two workers. Close must be called, after the pods
// that use them are gone.
func (c *Cluster) NewDisks(ctx context.Context, class string) (*Disks, error) {
	workers, err := c.Workers(ctx)
	if err != nil {
		return nil, err
	}
	if len(workers) < 2 {
		return nil, fmt.Errorf("make disks: %d workers, want two", len(workers))
	}
	d := &Disks{cluster: c, Class: class}
	storageClass := &storagev1.StorageClass{
		ObjectMeta:        metav1.ObjectMeta{Name: class},
		Provisioner:       "kubernetes.io/no-provisioner",
		VolumeBindingMode: ptr.To(storagev1.VolumeBindingWaitForFirstConsumer),
	}
	if err := c.Create(ctx, storageClass); err != nil {
		return nil, fmt.Errorf("make disks: %w", err)
	}
	for i, worker := range workers[:2] {
		disk := &Disk{node: c.Node(worker), name: fmt.Sprintf("%s-%d", class, i)}
		d.all = append(d.all, disk)
		err := disk.make(ctx)
		if err == nil {
			err = c.Create(ctx, disk.volume(class))
		}
		if err != nil {
			return nil, errors.Join(fmt.Errorf("make disk %s: %w", disk.name, err), d.Close(context.WithoutCancel(ctx)))
		}
	}
	return d, nil
}

// On is the disk of a node; nil if it has none.
func (d *Disks) On(node string) *Disk {
	for _, disk := range d.all {
		if disk.node.Name == node {
			return disk
		}
	}
	return nil
}

// Close removes the disks. Pods must not use them any more.
func (d *Disks) Close(ctx context.Context) error {
	var errs []error
	for _, disk := range d.all {
		pv := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: disk.name}}
		errs = append(errs, client.IgnoreNotFound(d.cluster.Delete(ctx, pv)), disk.drop(ctx), os.RemoveAll(disk.image), os.RemoveAll(disk.before()))
	}
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: d.Class}}
	return errors.Join(append(errs, client.IgnoreNotFound(d.cluster.Delete(ctx, class)))...)
}

func (d *Disk) path() string { return "/var/local/" + d.name }

// make makes an empty file system and mounts it on the node.
func (d *Disk) make(ctx context.Context) error {
	f, err := os.CreateTemp("", d.name+"-*.img")
	if err != nil {
		return err
	}
	if err := errors.Join(f.Truncate(diskSize), f.Close()); err != nil {
		return err
	}
	d.image = f.Name()
	if _, err := command(ctx, "mkfs.ext4", "-q", "-m", "0", d.image); err != nil {
		return err
	}
	return d.mount(ctx)
}

// mount mounts the image on the node.
func (d *Disk) mount(ctx context.Context) error {
	var err error
	if d.loop, err = command(ctx, "losetup", "-f", "--show", d.image); err != nil {
		return err
	}
	if _, err := d.node.Run(ctx, "mkdir", "-p", d.path()); err != nil {
		return err
	}
	_, err = d.node.Run(ctx, "mount", "-t", "ext4", d.loop, d.path())
	return err
}

// drop takes the mount off the node, anyone who uses it still, and lets the device go.
func (d *Disk) drop(ctx context.Context) error {
	_, err := d.node.Run(ctx, "sh", "-c", "! mountpoint -q "+d.path()+" || umount -l "+d.path())
	if d.loop != "" {
		_, detached := command(ctx, "losetup", "-d", d.loop)
		err = errors.Join(err, detached)
		d.loop = ""
	}
	return err
}

func (d *Disk) volume(class string) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: d.name, Labels: map[string]string{LabelE2E: "disk"}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: *resource.NewQuantity(diskSize, resource.BinarySI)},
			AccessModes:                   []corev1.PersistentVolumeAccessMode{corev1.ReadWriteOnce},
			PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimRetain,
			StorageClassName:              class,
			PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: d.path()}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				MatchExpressions: []corev1.NodeSelectorRequirement{{
					Key:      corev1.LabelHostname,
					Operator: corev1.NodeSelectorOpIn,
					Values:   []string{d.node.Name},
				}},
			}}}},
		},
	}
}

// here is the mounted folder as this machine can open it, through the node's main process.
func (d *Disk) here(ctx context.Context) (string, error) {
	pid, err := docker(ctx, "inspect", "-f", "{{.State.Pid}}", d.node.Name)
	if err != nil {
		return "", err
	}
	return filepath.Join("/proc", strings.TrimSpace(pid), "root", d.path()), nil
}

func (d *Disk) request(ctx context.Context, what uint, argument int) error {
	path, err := d.here(ctx)
	if err != nil {
		return err
	}
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open %s: %w", path, err)
	}
	defer func() { _ = unix.Close(fd) }()
	if err := unix.IoctlSetPointerInt(fd, what, argument); err != nil {
		return fmt.Errorf("request %#x of %s: %w", what, path, err)
	}
	return nil
}

// Hang has every write to the disk wait until Resume.
func (d *Disk) Hang(ctx context.Context) error { return d.request(ctx, requestFreeze, 0) }

// Resume ends Hang.
func (d *Disk) Resume(ctx context.Context) error { return d.request(ctx, requestThaw, 0) }

// Break has every access to the disk fail from here on, without writing what is dirty.
func (d *Disk) Break(ctx context.Context) error {
	const noLogFlush = 2
	return d.request(ctx, requestShutdown, noLogFlush)
}

// Replace puts an empty disk in the place of a broken one. Pods that have the broken one
// mounted keep it; the next one gets the new.
func (d *Disk) Replace(ctx context.Context) error {
	old := d.image
	if err := d.drop(ctx); err != nil {
		return fmt.Errorf("replace disk %s: %w", d.name, err)
	}
	return errors.Join(d.make(ctx), os.Remove(old))
}

// Snapshot keeps what is on the disk now, for GoBack. Writes wait meanwhile.
func (d *Disk) Snapshot(ctx context.Context) error {
	if err := d.Hang(ctx); err != nil {
		return err
	}
	_, err := command(ctx, "cp", "--sparse=always", d.image, d.before())
	return errors.Join(err, d.Resume(context.WithoutCancel(ctx)))
}

func (d *Disk) before() string { return d.image + ".before" }

// GoBack puts what was kept in the place of what is on the disk. Pods that have the disk
// mounted keep what they have; the next one gets the former.
func (d *Disk) GoBack(ctx context.Context) error {
	if err := d.drop(ctx); err != nil {
		return fmt.Errorf("put disk %s back: %w", d.name, err)
	}
	if err := os.Rename(d.before(), d.image); err != nil {
		return fmt.Errorf("put disk %s back: %w", d.name, err)
	}
	return d.mount(ctx)
}

// Fill leaves no room on the disk.
func (d *Disk) Fill(ctx context.Context) error {
	path, err := d.here(ctx)
	if err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(path, "filler"))
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	offset := int64(0)
	for size := int64(256 << 20); size >= 4096; {
		if err := unix.Fallocate(int(f.Fd()), 0, offset, size); err != nil {
			if !errors.Is(err, unix.ENOSPC) {
				return fmt.Errorf("fill %s: %w", path, err)
			}
			size /= 2
			continue
		}
		offset += size
	}
	return nil
}

// Empty ends Fill.
func (d *Disk) Empty(ctx context.Context) error {
	path, err := d.here(ctx)
	if err != nil {
		return err
	}
	return os.Remove(filepath.Join(path, "filler"))
}
