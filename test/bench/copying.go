package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

// startOf is how a member's pod came up.
type startOf struct {
	pod    time.Time     // the first line of its log
	begun  time.Time     // mysqld's first line, of its last start
	mysqld time.Duration // from there to its being ready
}

// readStart reads the log of the member's mysqld container, with the times at which its node wrote
// the lines.
func readStart(ctx context.Context, pair *harness.Pair, member string) (startOf, error) {
	text, err := pair.Logs(ctx, pair.Namespace, member, corev1.PodLogOptions{Container: resources.ContainerMysqld, Timestamps: true})
	if err != nil {
		return startOf{}, err
	}
	var out startOf
	for line := range strings.Lines(string(text)) {
		stamp, rest, _ := strings.Cut(line, " ")
		at, err := time.Parse(time.RFC3339Nano, stamp)
		if err != nil {
			continue
		}
		if out.pod.IsZero() {
			out.pod = at
		}
		switch {
		case strings.Contains(rest, "starting as process"):
			out.begun = at
		case strings.Contains(rest, "ready for connections. Version"):
			out.mysqld = at.Sub(out.begun)
		}
	}
	if out.begun.IsZero() || out.mysqld == 0 {
		return out, fmt.Errorf("the log of %s says nothing of the start of mysqld", member)
	}
	return out, nil
}

// copyAgain replaces the passive's data in three ways: by a re-seed, by cp of the primary's files
// beside it, and by deleting claim and pod.
func (r *returned) copyAgain(ctx context.Context, pair *harness.Pair) error {
	if err := pair.AwaitReady(ctx); err != nil {
		return err
	}
	primary, err := pair.Primary(ctx)
	if err != nil {
		return err
	}
	passive := pair.Peer(primary)
	took, bytes, err := copyFiles(ctx, pair, primary, passive)
	if err != nil {
		return fmt.Errorf("cp: %w", err)
	}
	r.bytes = bytes
	r.cp = append(r.cp, took)
	if took, err = reseed(ctx, pair, passive); err != nil {
		return fmt.Errorf("re-seed: %w", err)
	}
	r.reseed = append(r.reseed, took)
	clone, err := clonedIn(ctx, pair, passive)
	if err != nil {
		return err
	}
	r.clone = append(r.clone, clone)
	if took, err = deleteClaimAndPod(ctx, pair, passive); err != nil {
		return fmt.Errorf("delete claim and pod: %w", err)
	}
	r.peers = append(r.peers, took)
	return nil
}

// reseed makes the operation and waits until the copy is in sync.
func reseed(ctx context.Context, pair *harness.Pair, passive string) (time.Duration, error) {
	op := &v1alpha1.DatabasePairOperation{
		ObjectMeta: metav1.ObjectMeta{Namespace: pair.Namespace, GenerateName: "reseed-"},
		Spec: v1alpha1.OperationSpec{
			PairRef: v1alpha1.PairReference{Name: pair.Name},
			Type:    v1alpha1.OperationReseed,
			Target:  passive,
		},
	}
	began := time.Now()
	if err := pair.Create(ctx, op); err != nil {
		return 0, err
	}
	key := client.ObjectKeyFromObject(op)
	err := harness.EventuallyEvery(ctx, 50*time.Millisecond, 3*harness.Patience, "the re-seed", func(ctx context.Context) error {
		var now v1alpha1.DatabasePairOperation
		if err := pair.Get(ctx, key, &now); err != nil {
			return err
		}
		if now.Status.Phase != v1alpha1.OperationSucceeded {
			return harness.NotYet("it is %s: %s", now.Status.Phase, now.Status.Message)
		}
		return nil
	})
	return time.Since(began), err
}

// clonedIn is how long MySQL's last CLONE on the member copied and synced files, by its own record.
func clonedIn(ctx context.Context, pair *harness.Pair, member string) (time.Duration, error) {
	out, err := pair.SQL(ctx, member, "SELECT COALESCE(TIMESTAMPDIFF(MICROSECOND, MIN(BEGIN_TIME), MAX(END_TIME)), 0) "+
		"FROM performance_schema.clone_progress WHERE STAGE IN ('FILE COPY', 'PAGE COPY', 'REDO COPY', 'FILE SYNC')")
	if err != nil {
		return 0, err
	}
	return time.ParseDuration(out + "us")
}

// deleteClaimAndPod is how a member gets new data where there is nothing but Kubernetes.
func deleteClaimAndPod(ctx context.Context, pair *harness.Pair, passive string) (time.Duration, error) {
	pod, err := pair.Pod(ctx, passive)
	if err != nil {
		return 0, err
	}
	claim := &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Namespace: pair.Namespace, Name: "data-" + passive}}
	began := time.Now()
	if err := errors.Join(pair.Delete(ctx, claim), pair.Delete(ctx, pod)); err != nil {
		return 0, err
	}
	if err := harness.EventuallyEvery(ctx, 50*time.Millisecond, harness.Patience, "the next pod", func(ctx context.Context) error {
		if now, err := pair.Pod(ctx, passive); err != nil || now.UID == pod.UID {
			return harness.NotYet("the former one is there (%v)", err)
		}
		return nil
	}); err != nil {
		return 0, err
	}
	err = awaitInSync(ctx, pair, pair.Peer(passive))
	return time.Since(began), err
}

// copyFiles copies what CLONE would copy from the primary's volume to the passive's, as files, and
// removes it again. The files are read from the disk and are on the disk when it ends.
func copyFiles(ctx context.Context, pair *harness.Pair, primary, passive string) (took time.Duration, bytes int64, err error) {
	from, err := pair.VolumePath(ctx, primary)
	if err != nil {
		return 0, 0, err
	}
	to, err := pair.VolumePath(ctx, passive)
	if err != nil {
		return 0, 0, err
	}
	files, bytes, err := clonedFiles(from)
	if err != nil {
		return 0, 0, err
	}
	target := filepath.Join(to, "bench-copy")
	if err := os.Mkdir(target, 0o700); err != nil {
		return 0, 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(target)) }()
	copying := exec.CommandContext(ctx, "sh", "-c", `xargs -0 cp --parents -t "$0" && find "$0" -type f -print0 | xargs -0 sync`, target)
	copying.Dir = from
	copying.Stdin = strings.NewReader(strings.Join(files, "\x00"))
	began := time.Now()
	if out, err := copying.CombinedOutput(); err != nil {
		return 0, 0, fmt.Errorf("%w: %s", err, out)
	}
	return time.Since(began), bytes, nil
}

// clonedFiles are the files of InnoDB below a volume, which it drops from the page cache: mysqld
// reads them past it too.
func clonedFiles(root string) (files []string, bytes int64, err error) {
	err = filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		name := d.Name()
		if !strings.HasSuffix(name, ".ibd") && !strings.HasPrefix(name, "ibdata") && !strings.HasPrefix(name, "undo_") {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		bytes += info.Size()
		relative, err := filepath.Rel(root, path)
		files = append(files, relative)
		return errors.Join(err, dropCache(path))
	})
	return files, bytes, err
}

func dropCache(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	return unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
}
