package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/drill"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// archivePatience is how long a drill waits for the archive to have what the newest backup has.
	archivePatience = 2 * time.Minute
	// followPulse is the time between two looks at what the container of mysqld says.
	followPulse = 300 * time.Millisecond
	// silence is how long that may say nothing once it has begun; it reports every second.
	silence = 2 * time.Minute
)

// The steps of a drill in this container; those in the other one are drill.Step.
const (
	stepChoose  = "Choose"
	stepArchive = "Archive"
	stepRecord  = "Record"
)

// backupsBelow is where the backups of a pair's folder are: its archive may have very many objects.
const backupsBelow = "backups/"

// drillPlaces are where a drill finds and serves what it needs.
type drillPlaces struct {
	shared       drill.Shared
	identityFile string
	// listen and replayOn are addresses on loopback.
	listen   string
	replayOn string
	// patience is how long the archive is waited for.
	patience time.Duration
}

func drillPlacesInPod() drillPlaces {
	return drillPlaces{
		shared:       drill.Shared(jobapi.RestoreDrillDir),
		identityFile: filepath.Join(jobapi.IdentityDir, jobapi.IdentityFile),
		listen:       net.JoinHostPort("127.0.0.1", strconv.Itoa(jobapi.PortVault)),
		replayOn:     net.JoinHostPort("127.0.0.1", strconv.Itoa(jobapi.PortReplay)),
		patience:     archivePatience,
	}
}

// restoreDrill serves the newest backup to the mysqld of the other container, and writes down that it was restored.
type restoreDrill struct {
	drillPlaces
	request jobapi.RestoreDrillRequest
	say     func(string)
	now     func() time.Time
	log     io.Writer

	// step is the one that is under way, and found what is known so far.
	step  string
	found v1alpha1.RestoreDrillResult
	// older is the next older backup; empty for none.
	older string
	// note is what the result leaves out, and why.
	note string
}

// drillError is why a drill proved nothing.
type drillError struct {
	found v1alpha1.RestoreDrillResult
	// forGood: another attempt would end the same way.
	forGood bool
	err     error
}

func (e *drillError) Error() string { return "step " + e.found.FailedStep + ": " + e.err.Error() }

// Unwrap implements errors.Unwrap.
func (e *drillError) Unwrap() error { return e.err }

// Is reports an error that lasts as errForGood.
func (e *drillError) Is(target error) bool { return target == errForGood && e.forGood }

// endedFor is an error that another attempt would meet again.
type endedFor struct {
	problem v1alpha1.RestoreDrillProblem
	err     error
}

func (e *endedFor) Error() string { return e.err.Error() }

// Unwrap implements errors.Unwrap.
func (e *endedFor) Unwrap() error { return e.err }

func forGood(format string, args ...any) error { return &endedFor{err: fmt.Errorf(format, args...)} }

// failedDrill is what a drill found that ended with an error; nil for an error of anything else.
func failedDrill(err error) *v1alpha1.RestoreDrillResult {
	var failed *drillError
	if !errors.As(err, &failed) {
		return nil
	}
	return &failed.found
}

// restoreDrill does the work of an operation of type Drill.
func (j *podJob) restoreDrill(ctx context.Context) (jobapi.Result, error) {
	if j.request.RestoreDrill == nil {
		return jobapi.Result{}, fmt.Errorf("%w: the request is no drill: its pair may have lost spec.backup", errForGood)
	}
	d := &restoreDrill{
		drillPlaces: j.drill,
		request:     *j.request.RestoreDrill,
		say:         j.say,
		now:         j.now,
		log:         j.log,
	}
	started := j.now()
	err := d.run(ctx)
	// The pod ends with its last container.
	if stop := d.shared.Stop(); stop != nil {
		fmt.Fprintln(j.log, "the container of mysqld goes on:", stop)
	}
	if err != nil {
		return jobapi.Result{}, d.failure(err)
	}
	d.found.Proven = true
	return jobapi.Result{
		Outcome: jobapi.Done,
		OperationResult: v1alpha1.OperationResult{
			Duration:     &metav1.Duration{Duration: j.now().Sub(started)},
			RestoreDrill: &d.found,
		},
		Message: d.summary(),
	}, nil
}

// failure adds to an error where the drill was.
func (d *restoreDrill) failure(err error) error {
	err = d.named(err)
	var ended *endedFor
	out := &drillError{
		found:   d.found,
		forGood: errors.As(err, &ended),
		err:     err,
	}
	out.found.FailedStep = d.step
	if ended != nil {
		out.found.Problem = ended.problem
	}
	return out
}

// summary says what was proven.
func (d *restoreDrill) summary() string {
	f := &d.found
	text := fmt.Sprintf("backup %s was restored in %s: its GTIDs are right, and CHECK TABLE finds %d tables in order",
		f.Backup, f.RestoreTime.Round(time.Second), f.Tables)
	if f.Until != nil {
		text += "; the archive was replayed up to " + f.Until.UTC().Format(time.RFC3339)
	}
	return text + d.note
}

// run restores the newest backup, and records that.
func (d *restoreDrill) run(ctx context.Context) error {
	d.step = stepChoose
	d.say("looks for the newest backup")
	objects, err := blobstore.Open(ctx, d.request.Store)
	if store.ClassOf(err) == store.NoBucket {
		return d.noBackup() // a directory, as a volume has it: of a bucket nothing is known yet
	}
	if err != nil {
		return err
	}
	defer objects.Close()
	m, err := d.choose(ctx, objects)
	if err != nil {
		return err
	}
	identities, err := d.identities(m)
	if err != nil {
		return err
	}
	recorded, err := backup.OpenSource(ctx, objects, m.ID, identities)
	if err != nil {
		return err
	}
	if _, err := recorded.Opening(ctx); err != nil {
		return err
	}
	d.step = stepArchive
	replay, err := d.archive(ctx, objects, m, identities)
	if err != nil {
		return err
	}
	d.step = string(drill.StepPrepare)
	replay.Version = m.Server.Version
	if err := d.restore(ctx, recorded, replay); err != nil {
		return err
	}
	d.step = stepRecord
	return backup.MarkProven(ctx, objects, m.ID, d.now())
}

func (d *restoreDrill) noBackup() error {
	return &endedFor{
		problem: v1alpha1.RestoreDrillNoBackup,
		err:     fmt.Errorf("there is no complete backup in %s", d.request.Store),
	}
}

// choose finds the newest backup.
func (d *restoreDrill) choose(ctx context.Context, objects backup.Objects) (backup.Manifest, error) {
	var ids []string
	err := objects.List(ctx, backupsBelow, func(info store.Info) error {
		if id, ok := backup.CompleteID(info.Key); ok {
			ids = append(ids, id)
		}
		return nil
	})
	if err != nil {
		return backup.Manifest{}, err
	}
	if len(ids) == 0 {
		return backup.Manifest{}, d.noBackup()
	}
	slices.Sort(ids) // they begin with the time at which the backup did
	id := ids[len(ids)-1]
	if len(ids) > 1 {
		d.older = ids[len(ids)-2]
	}
	d.found.Backup = id
	m, err := backup.ReadManifest(ctx, objects, id)
	if err != nil {
		return backup.Manifest{}, err
	}
	d.found.Finished = &metav1.Time{Time: m.Finished}
	d.found.Size = m.Raw
	return m, nil
}
