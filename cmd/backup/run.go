package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// maxAttempts is how many pods try before a backup has failed.
	maxAttempts = 3
	// reportEvery is the time between two reports of progress.
	reportEvery = 2 * time.Second
	// lastWords bounds what is written down when a pod is asked to end.
	lastWords = 8 * time.Second
	// donorWait is how long a server waits for a store that cannot be reached.
	donorWait = 6 * time.Hour
)

// errForGood is wrapped by errors that another attempt would meet again.
var errForGood = errors.New("another attempt would not help")

func newRunCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "run",
		Short:  "What the Job of an operation of type Backup, Expire or Drill does",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return runInPod(cmd.Context(), cmd.ErrOrStderr())
		},
	}
}

func runInPod(ctx context.Context, log io.Writer) error {
	var request jobapi.Request
	reports, err := startInPod("Job", jobapi.EnvRequest, &request)
	if err != nil {
		return err
	}
	job := podJob{
		board:   reports,
		request: request,
		server: serverOptions{
			address:      net.JoinHostPort(request.Host(request.Passive), strconv.Itoa(pair.PortAdmin)),
			user:         mysqlops.UserClone,
			passwordFile: filepath.Join(agentapi.InternalDir, agentapi.PasswordFileClone),
			caFile:       filepath.Join(jobapi.TLSDir, "ca.crt"),
			certFile:     filepath.Join(jobapi.TLSDir, "tls.crt"),
			keyFile:      filepath.Join(jobapi.TLSDir, "tls.key"),
		},
		drill: drillPlacesInPod(),
		now:   time.Now,
		log:   log,
	}
	return job.run(ctx)
}

// podJob is the process of a Job's pod.
type podJob struct {
	board   board
	request jobapi.Request
	server  serverOptions
	drill   drillPlaces
	now     func() time.Time
	log     io.Writer

	stored atomic.Int64
	mu     sync.Mutex
	note   string
	// catalog is what the store has at the end; nil when it could not be listed.
	catalog *jobapi.Catalog
}

// run takes the backup, or does the drill, and writes the result down. It blocks until then or until ctx ends. An
// error asks for another pod, unless it is errForGood; each begins from the start.
func (j *podJob) run(ctx context.Context) error {
	progress, done, err := j.board.read(ctx)
	if done || err != nil {
		return err
	}
	progress.Attempts++
	reporting, stop := context.WithCancel(ctx)
	var reporter sync.WaitGroup
	reporter.Go(func() { j.report(reporting, &progress) })
	result, err := j.work(ctx)
	stop()
	reporter.Wait()
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err != nil {
		fmt.Fprintln(j.log, "attempt", progress.Attempts, "failed:", err)
		retry := ctx.Err() != nil || (!lasting(err) && progress.Attempts < maxAttempts)
		if retry {
			j.say("it begins again: " + err.Error())
			return errors.Join(err, j.beat(last, &progress))
		}
		result = jobapi.Result{Outcome: jobapi.Failed, Message: advice(err, "spec.backup", j.storeURL())}
		result.RestoreDrill = failedDrill(err)
	}
	result.Asked = j.request.Asked()
	fmt.Fprintln(j.log, result.Outcome+":", result.Message)
	answers := map[string]any{jobapi.KeyResult: result}
	if j.catalog != nil {
		answers[jobapi.KeyCatalog] = j.catalog
	}
	return j.board.write(last, answers)
}

// lasting errors are not tried again: someone has to change something.
func lasting(err error) bool {
	switch store.ClassOf(err) {
	case store.Denied, store.NoBucket, store.Skewed, store.Untrusted, store.Full:
		return true
	case store.Unreachable, store.Exists, store.NotFound, store.Unknown:
	}
	return errors.Is(err, errForGood)
}

func (j *podJob) storeURL() string {
	switch {
	case j.request.Backup != nil:
		return j.request.Backup.Store
	case j.request.RestoreDrill != nil:
		return j.request.RestoreDrill.Store
	}
	return ""
}

// say sets what the Job does or waits for.
func (j *podJob) say(note string) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.note = note
}

// report writes the progress down every reportEvery until ctx ends. One that cannot be written
// is left out.
func (j *podJob) report(ctx context.Context, progress *jobapi.Progress) {
	ticker := time.NewTicker(reportEvery)
	defer ticker.Stop()
	for {
		if err := j.beat(ctx, progress); err != nil && ctx.Err() == nil {
			fmt.Fprintln(j.log, "the progress was not written:", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (j *podJob) beat(ctx context.Context, progress *jobapi.Progress) error {
	j.mu.Lock()
	progress.Note = j.note
	j.mu.Unlock()
	progress.Beat++
	progress.Bytes = j.stored.Load()
	return j.board.write(ctx, map[string]any{jobapi.KeyProgress: progress})
}

// work does what the operation is.
func (j *podJob) work(ctx context.Context) (jobapi.Result, error) {
	if j.request.Kind == jobapi.RestoreDrill {
		return j.restoreDrill(ctx)
	}
	return j.backUp(ctx)
}

// backUp takes one backup, verifies it and applies the retention; or it only removes.
func (j *podJob) backUp(ctx context.Context) (jobapi.Result, error) {
	asked := j.request.Backup
	known := j.request.Kind == jobapi.Backup || j.request.Kind == jobapi.Expire
	if !known || asked == nil {
		return jobapi.Result{}, fmt.Errorf("%w: the request is no backup: its pair may have lost spec.backup", errForGood)
	}
	recipients, err := parseRecipients(asked.Recipients)
	if err != nil {
		return jobapi.Result{}, fmt.Errorf("%w: spec.backup.encryption.recipients: %w", errForGood, err)
	}
	// A volume is empty at first; nothing else makes the pair's folder on it.
	if dir, ok := strings.CutPrefix(asked.Store, "file://"); ok {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return jobapi.Result{}, fmt.Errorf("%w: make the pair's folder on the volume: %w", errForGood, err)
		}
	}
	objects, err := blobstore.Open(ctx, asked.Store)
	if err != nil {
		return jobapi.Result{}, err
	}
	defer objects.Close()
	if j.request.Kind == jobapi.Expire {
		return j.workExpire(ctx, objects)
	}
	started := j.now()
	taken, err := j.take(ctx, counting{Objects: objects, stored: &j.stored}, recipients)
	if err != nil {
		return jobapi.Result{}, err
	}
	result := jobapi.Result{
		Outcome: jobapi.Done,
		OperationResult: v1alpha1.OperationResult{
			Duration: &metav1.Duration{Duration: j.now().Sub(started)},
			Backup:   taken,
		},
		Message: fmt.Sprintf("backup %s of %s: %s of data, %s stored", taken.ID, taken.From, mebibytes(taken.Size), mebibytes(taken.StoredSize)),
	}
	j.say("removing what spec.backup.retention no longer needs")
	j.expire(ctx, objects, taken)
	return result, nil
}

// take copies the passive and reads the copy back. What it began and could not finish it removes.
func (j *podJob) take(ctx context.Context, objects backup.Objects, recipients []age.Recipient) (*v1alpha1.BackupResult, error) {
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	id := backup.NewID(j.now(), random)
	j.say("copies " + string(j.request.Passive))
	m, err := backup.Take(ctx, objects, podDonor{options: j.server}, backup.TakeOptions{
		ID:         id,
		Recipients: recipients,
		Now:        j.now,
	})
	if err == nil && j.request.Backup.Verify {
		j.say("reads the backup back")
		err = verified(ctx, objects, id)
	}
	if err != nil {
		j.discard(ctx, objects, id)
		return nil, err
	}
	return &v1alpha1.BackupResult{
		ID:           id,
		Location:     j.request.Backup.Store,
		From:         string(j.request.Passive),
		MySQLVersion: m.Server.Version,
		GTIDs:        m.GTIDAfter,
		Size:         m.Raw,
		StoredSize:   m.Stored,
		Objects:      int64(m.Objects),
		Encrypted:    m.Encrypted,
		Digest:       m.SHA256,
		Verified:     j.request.Backup.Verify,
	}, nil
}

func verified(ctx context.Context, objects backup.Objects, id string) error {
	damaged, err := backup.Verify(ctx, objects, id)
	if err != nil {
		return fmt.Errorf("read the backup back: %w", err)
	}
	if len(damaged) > 0 {
		return fmt.Errorf("the store does not return what was written: %d objects, first: %w", len(damaged), damaged[0])
	}
	return nil
}

// discard removes what was written of a backup that is none. What stays goes with expire a day
// later, unless it has a manifest.
func (j *podJob) discard(ctx context.Context, objects backup.Objects, id string) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
	defer cancel()
	if err := backup.Remove(ctx, objects, backup.Removal{Incomplete: []string{id}}); err != nil {
		fmt.Fprintln(j.log, "what was written of backup", id, "stays for a day:", err)
	}
}

// podDonor is the passive. Its certificate and password are read for each connection, since
// both are renewed while a Job runs.
type podDonor struct{ options serverOptions }

var _ backup.Donor = podDonor{}

// State implements backup.Donor.
func (d podDonor) State(ctx context.Context) (backup.State, error) {
	server, err := d.options.donor(donorWait)
	if err != nil {
		return backup.State{}, err
	}
	return server.State(ctx)
}

// Clone implements backup.Donor.
func (d podDonor) Clone(ctx context.Context, recorder clonewire.Recorder) error {
	server, err := d.options.donor(donorWait)
	if err != nil {
		return err
	}
	return server.Clone(ctx, recorder)
}

// counting counts the bytes that are stored.
type counting struct {
	backup.Objects
	stored *atomic.Int64
}

// Put implements backup.Objects.
func (c counting) Put(ctx context.Context, key string, content []byte) error {
	err := c.Objects.Put(ctx, key, content)
	if err == nil {
		c.stored.Add(int64(len(content)))
	}
	return err
}
