package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archiver"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// archivePause is the time between the end of an attempt and the next one.
	archivePause = 20 * time.Second
	// surveyEvery is the time between two looks at all of the archive, each of which reads a header
	// of each object.
	surveyEvery = time.Hour
	// foreignLimit is how often another writer may be met. A write of a pod that was ended may
	// arrive late, once; two writers that live meet again and again.
	foreignLimit = 2
)

func newArchiverCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "archiver",
		Short:  "What the pod of a pair's archive does",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return archiveInPod(cmd.Context(), cmd.ErrOrStderr())
		},
	}
}

func archiveInPod(ctx context.Context, log io.Writer) error {
	var request jobapi.ArchiveRequest
	reports, err := startInPod("Deployment", jobapi.EnvArchive, &request)
	if err != nil {
		return err
	}
	pod := archivePod{
		board:   reports,
		request: request,
		account: serverOptions{
			user:         mysqlops.UserReplication,
			passwordFile: filepath.Join(agentapi.InternalDir, agentapi.PasswordFileReplication),
			caFile:       filepath.Join(jobapi.TLSDir, "ca.crt"),
			certFile:     filepath.Join(jobapi.TLSDir, "tls.crt"),
			keyFile:      filepath.Join(jobapi.TLSDir, "tls.key"),
		},
		port:        pair.PortAdmin,
		readersPort: pair.PortBinlog,
		pause:       archivePause,
		now:         time.Now,
		log:         slog.New(slog.NewTextHandler(log, nil)),
	}
	return pod.run(ctx)
}

// archivePod is the process of an archiver's pod. What ends an attempt is reported and tried
// again, since someone may correct it meanwhile.
type archivePod struct {
	board   board
	request jobapi.ArchiveRequest
	// account is that of the members; its address is not used.
	account serverOptions
	// port is where members are read, and readersPort where a primary is that is alone.
	port        int
	readersPort int
	pause       time.Duration
	now         func() time.Time
	log         *slog.Logger

	mu     sync.Mutex
	report jobapi.ArchiveReport
	// surveyed is the number of objects when all of the archive was last looked at.
	surveyed int64
}

// run archives and reports until ctx ends, which is no error.
func (p *archivePod) run(ctx context.Context) error {
	recipients, err := parseRecipients(p.request.Recipients)
	if err != nil {
		return fmt.Errorf("%w: spec.backup.encryption.recipients: %w", errForGood, err)
	}
	changed := make(chan struct{}, 1)
	reporting, stop := context.WithCancel(ctx)
	var reporter sync.WaitGroup
	reporter.Go(func() { p.keepReporting(reporting, changed) })
	defer func() {
		stop()
		reporter.Wait()
		last, cancel := context.WithTimeout(context.WithoutCancel(ctx), lastWords)
		defer cancel()
		p.write(last)
	}()
	foreign := 0
	for {
		err := p.archive(ctx, recipients, changed)
		if ctx.Err() != nil {
			return nil
		}
		if err == nil {
			err = errors.New("the archiver ended by itself")
		}
		p.fails(err)
		wake(changed)
		if errors.Is(err, archive.ErrForeign) {
			foreign++
		}
		if foreign >= foreignLimit {
			p.log.Error("another writer was met again: nothing is archived until this pod is made again", "error", err)
			<-ctx.Done()
			return nil
		}
		p.log.Warn("the archive does not go on; it is tried again", "error", err, "after", p.pause)
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(p.pause):
		}
	}
}

func wake(changed chan<- struct{}) {
	select {
	case changed <- struct{}{}:
	default:
	}
}

// archive is one attempt. It blocks until it cannot go on, or until ctx ends.
func (p *archivePod) archive(ctx context.Context, recipients []age.Recipient, changed chan<- struct{}) error {
	objects, err := p.open(ctx)
	if err != nil {
		return err
	}
	defer objects.Close()
	options := archiver.DefaultOptions()
	options.Pair = p.request.PairUID
	options.Recipients = recipients
	if p.request.Flush > 0 {
		options.Flush = p.request.Flush
	}
	options.Log = p.log
	options.Members = p.members()
	options.Progress = func(now archiver.Progress) {
		if p.progressed(now) {
			wake(changed)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	var beside sync.WaitGroup
	beside.Go(func() { p.keepSurveying(ctx, objects) })
	beside.Go(func() { compactHourly(ctx, objects, p.log) })
	defer beside.Wait()
	defer cancel()
	return archiver.Run(ctx, objects, options)
}

// open opens the store. Nothing but this and a backup makes the pair's folder on a volume.
func (p *archivePod) open(ctx context.Context) (*blobstore.Store, error) {
	if dir, ok := strings.CutPrefix(p.request.Store, "file://"); ok {
		if err := os.MkdirAll(dir, 0o750); err != nil {
			return nil, fmt.Errorf("make the pair's folder on the volume: %w", err)
		}
	}
	return blobstore.Open(ctx, p.request.Store)
}

func (p *archivePod) members() []archiver.Member {
	var members []archiver.Member
	for _, host := range p.request.Hosts {
		account := p.account
		account.address = net.JoinHostPort(host, strconv.Itoa(p.port))
		member := account.member()
		if p.request.Alone {
			member.Readers = net.JoinHostPort(host, strconv.Itoa(p.readersPort))
		}
		members = append(members, member)
	}
	return members
}

// progressed takes over how far the archive is, and reports whether that is to be written at once.
func (p *archivePod) progressed(now archiver.Progress) (urgent bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	before := p.report
	p.report.GTIDs = now.Archived.String()
	p.report.Current = latestTime(p.report.Current, now.Current)
	p.report.Until = latestTime(p.report.Until, now.Until)
	p.report.Segments = p.surveyed + now.Written
	p.report.Member = now.Member
	p.report.Reason = ""
	p.report.Message = ""
	if now.Problem != nil {
		p.report.Reason = archiveReason(now.Problem)
		p.report.Message = advice(now.Problem, "spec.backup", p.request.Store)
	}
	if now.Gap != nil {
		p.setGap(*now.Gap, now.Gap.Found)
	}
	return before.Member != p.report.Member || before.Reason != p.report.Reason || before.Gap != p.report.Gap
}

// fails takes over why an attempt ended.
func (p *archivePod) fails(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.report.Member = ""
	p.report.Reason = archiveReason(err)
	p.report.Message = advice(err, "spec.backup", p.request.Store)
}

func latestTime(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// archiveReason classifies an error of an archiver.
func archiveReason(err error) jobapi.ArchiveReason {
	switch {
	case errors.Is(err, archive.ErrForeign):
		return jobapi.ArchiveForeign
	case errors.Is(err, archiver.ErrFork):
		return jobapi.ArchiveForked
	case errors.Is(err, archiver.ErrNoMember):
		return jobapi.NoMemberToRead
	}
	switch store.ClassOf(err) {
	case store.Denied:
		return jobapi.ArchiveReason(jobapi.StoreDenied)
	case store.NoBucket:
		return jobapi.ArchiveReason(jobapi.BucketNotFound)
	case store.Skewed:
		return jobapi.ArchiveReason(jobapi.StoreSkewed)
	case store.Unreachable:
		return jobapi.ArchiveReason(jobapi.StoreUnreachable)
	case store.Untrusted:
		return jobapi.ArchiveReason(jobapi.StoreUntrusted)
	case store.Full:
		return jobapi.StoreFull
	case store.Exists, store.NotFound, store.Unknown:
	}
	return jobapi.ArchiveFailed
}

// keepReporting writes the report whenever it changed in what matters, and from time to time,
// until ctx ends.
func (p *archivePod) keepReporting(ctx context.Context, changed <-chan struct{}) {
	ticker := time.NewTicker(jobapi.ArchiveReportEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		case <-changed:
		}
		p.write(ctx)
	}
}

// write writes the report. One that cannot be written is left out: the next one says more.
func (p *archivePod) write(ctx context.Context) {
	p.mu.Lock()
	p.report.Written = p.now().UTC()
	report := p.report
	p.mu.Unlock()
	if err := p.board.write(ctx, map[string]any{jobapi.KeyArchive: report}); err != nil && ctx.Err() == nil {
		p.log.Warn("the report was not written", "error", err)
	}
}

// keepSurveying looks at all of the archive now and then until ctx ends.
func (p *archivePod) keepSurveying(ctx context.Context, objects archive.Objects) {
	ticker := time.NewTicker(surveyEvery)
	defer ticker.Stop()
	for {
		if err := p.survey(ctx, objects); err != nil && ctx.Err() == nil {
			p.log.Warn("the archive was not looked at as a whole; it is tried again in an hour", "error", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

// survey counts the objects and finds gaps of earlier processes.
func (p *archivePod) survey(ctx context.Context, objects archive.Objects) error {
	catalog, err := archive.Load(ctx, objects)
	if err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.surveyed += int64(catalog.Objects) - p.report.Segments
	p.report.Segments = int64(catalog.Objects)
	if len(catalog.Gaps) == 0 {
		return nil
	}
	gap := catalog.Gaps[len(catalog.Gaps)-1]
	found := gap.Found
	for _, run := range catalog.Runs {
		from, _, ok := run.Window()
		if found.IsZero() && ok && run.Segments[0].Header.First >= gap.At {
			found = from
		}
	}
	p.setGap(gap, found)
	return nil
}

// setGap takes over a gap, unless a later one is known. It is called with mu held.
func (p *archivePod) setGap(gap archive.Gap, found time.Time) {
	if known := p.report.Gap; known != nil && !found.After(known.Time) {
		return
	}
	p.report.Gap = &jobapi.ArchiveGap{
		GTIDs: gap.Missing.String(),
		Time:  found,
	}
}
