package main

import (
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// restoreField is the field that the request of a vault for a new pair was made from, and
	// reseedField that of one for a member of the pair that was backed up.
	restoreField = "spec.bootstrap.backup"
	reseedField  = "spec.backup"
	// answerFirst is how long a recipient may take to read why it gets no more.
	answerFirst = 3 * time.Second
)

func newVaultCommand() *cobra.Command {
	return &cobra.Command{
		Use:    "vault",
		Short:  "What serves the backup that a new pair begins with",
		Args:   cobra.NoArgs,
		Hidden: true,
		RunE: func(cmd *cobra.Command, _ []string) error {
			v := vault{
				files:        jobapi.VaultDir,
				identityFile: filepath.Join(jobapi.IdentityDir, jobapi.IdentityFile),
				listen:       net.JoinHostPort("", strconv.Itoa(jobapi.PortVault)),
				replayOn:     net.JoinHostPort("", strconv.Itoa(jobapi.PortReplay)),
				log:          cmd.ErrOrStderr(),
			}
			if err := json.Unmarshal([]byte(os.Getenv(jobapi.EnvVault)), &v.request); err != nil {
				return fmt.Errorf("%w: read the request in %s: %w", errForGood, jobapi.EnvVault, err)
			}
			err := v.serve(cmd.Context())
			if err == nil {
				return nil
			}
			text, _ := json.Marshal(v.reportOf(err)) // two strings
			return errors.Join(err, os.WriteFile(jobapi.TerminationLog, text, 0o600))
		},
	}
}

// vault is the process of a vault's pod: the donor that a new pair's first member copies, and the
// source that it replicates from after that, up to the target.
type vault struct {
	request jobapi.VaultRequest
	// files is the directory of the password and the certificate.
	files        string
	identityFile string
	listen       string
	replayOn     string
	log          io.Writer
}

// unservable is why a backup cannot be served.
type unservable struct {
	reason jobapi.VaultReason
	text   string
}

func (e *unservable) Error() string { return e.text }

// serve answers CLONE INSTANCE FROM, and replicas, until ctx ends, and returns nil then. It
// returns why it cannot go on, as soon as it knows: when it is started, or when an object turns out
// to be damaged.
func (v vault) serve(ctx context.Context) error {
	objects, err := v.open(ctx)
	if err != nil {
		return err
	}
	defer objects.Close()
	chosen, all, err := v.choose(ctx, objects)
	if err != nil {
		return err
	}
	what := folder{Objects: objects, name: chosen.uid + "/"}
	chosen, replay, err := v.plan(ctx, what, chosen, all)
	if err != nil {
		return v.withOlder(err, chosen, all)
	}
	recorded, err := v.source(ctx, what, chosen.id)
	if err == nil && v.request.Verify {
		err = undamaged(ctx, what, chosen.id)
	}
	if err != nil {
		return v.withOlder(err, chosen, all)
	}
	if err := v.leadsOn(recorded.Manifest()); err != nil {
		return err
	}
	fmt.Fprintf(v.log, "backup %s of MySQL %s is served\n", chosen.id, recorded.Manifest().Server.Version)
	replay.Version = recorded.Manifest().Server.Version
	return v.withOlder(v.both(ctx, recorded, replay), chosen, all)
}

// both serves a backup and what is replayed on it until ctx ends, or neither can be served.
func (v vault) both(ctx context.Context, recorded clonewire.Source, replay source.Source) error {
	donor, err := v.donor(recorded)
	if err != nil {
		return err
	}
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	donor.Served = func(err error) {
		report(v.log, err)
		if err != nil && !errors.Is(err, clonewire.ErrRecipient) {
			time.AfterFunc(answerFirst, func() { end(err) })
		}
	}
	replay.User = donor.User
	replay.Password = donor.Password
	replay.TLS = donor.TLS
	replay.UUID = uuidOf(v.request.Store)
	replay.Sent = func() { fmt.Fprintln(v.log, "the member has been sent everything up to the target") }
	replay.Served = func(err error) {
		fmt.Fprintln(v.log, "the replay ended:", err)
		if unreadable(err) {
			time.AfterFunc(answerFirst, func() { end(err) })
		}
	}
	var listen net.ListenConfig
	replays, err := listen.Listen(ctx, "tcp", v.replayOn)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	replayed := make(chan error, 1)
	go func() {
		err := replay.Serve(serving, replays)
		end(err)
		replayed <- err
	}()
	// The pod is ready when this one is there.
	clones, err := listen.Listen(ctx, "tcp", v.listen)
	if err == nil {
		err = donor.Serve(serving, clones)
	}
	end(err)
	if err := errors.Join(err, <-replayed); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return context.Cause(serving)
}

// undamaged reads every object of a backup. Its error is that of a copy which comes to the first
// one that is damaged.
func undamaged(ctx context.Context, objects backup.Objects, id string) error {
	damaged, err := backup.Verify(ctx, objects, id)
	if err != nil || len(damaged) == 0 {
		return err
	}
	first := *damaged[0]
	if more := len(damaged) - 1; more > 0 {
		first.Reason = fmt.Sprintf("%s; so are %d more objects", first.Reason, more)
	}
	return &first
}

func (v vault) open(ctx context.Context) (*blobstore.Store, error) {
	objects, err := blobstore.Open(ctx, v.request.Store)
	if store.ClassOf(err) == store.NoBucket {
		// A directory, as a volume has it: of a bucket nothing is known yet.
		return nil, v.nothingThere()
	}
	return objects, err
}

func (v vault) nothingThere() error {
	if v.request.Reseed != nil {
		return &unservable{
			reason: jobapi.BackupNotFound,
			text: fmt.Sprintf("there is no backup of pair %s in %s: make one (kubectl dbpair backup), or copy the primary",
				v.request.Pair, v.request.Store),
		}
	}
	return &unservable{
		reason: jobapi.BackupNotFound,
		text: fmt.Sprintf("%s.pair: there is no backup of pair %s in %s: correct the pair or the destination",
			restoreField, v.request.Pair, v.request.Store),
	}
}

// source opens the chosen backup, and reads the first of its objects.
func (v vault) source(ctx context.Context, objects backup.Objects, id string) (*backup.Source, error) {
	m, err := backup.ReadManifest(ctx, objects, id)
	if err != nil {
		return nil, err
	}
	if m.Encrypted && !v.request.Identity {
		return nil, &unservable{
			reason: jobapi.IdentityMissing,
			text: fmt.Sprintf("backup %s is encrypted: name the Secret of an identity of one of its recipients in %s",
				id, v.identityField()),
		}
	}
	identities, err := v.identities()
	if err != nil {
		return nil, err
	}
	recorded, err := backup.OpenSource(ctx, objects, id, identities)
	if err != nil {
		return nil, err
	}
	_, err = recorded.Opening(ctx)
	return recorded, err
}

// identityField is the field that names the Secret of an identity.
func (v vault) identityField() string {
	if v.request.Reseed != nil {
		return reseedField + ".encryption.identitySecretRef"
	}
	return restoreField + ".identitySecretRef"
}

// leadsOn says why a member with the backup cannot go on from there by the binary logs of its primary;
// nil when it can, and for a new pair. The backup has at least what its server had when it began.
func (v vault) leadsOn(m backup.Manifest) error {
	if v.request.Reseed == nil {
		return nil
	}
	purged, err := gtid.Parse(v.request.Reseed.Purged)
	if err != nil {
		return fmt.Errorf("%w: what the primary has purged: %w", errForGood, err)
	}
	has, err := gtid.Parse(m.GTIDBefore)
	if err != nil {
		return fmt.Errorf("gtidBefore of the manifest of backup %s: %w", m.ID, err)
	}
	missing := purged.Subtract(has)
	if missing.IsEmpty() {
		return nil
	}
	return &unservable{
		reason: jobapi.BackupTooOld,
		text: fmt.Sprintf("the newest backup, %s, ended before %d transactions that are in no binary log of the primary any more, such as "+
			"%.200s: make a newer one (kubectl dbpair backup), or copy the primary", m.ID, missing.Count(), missing),
	}
}

func (v vault) identities() ([]age.Identity, error) {
	if !v.request.Identity {
		return nil, nil
	}
	identities, err := readIdentities(v.identityFile)
	if err != nil {
		return nil, &unservable{
			reason: jobapi.IdentityWrong,
			// The error may quote what is no identity, but another secret.
			text: v.identityField() + " is no age identity as age-keygen writes it: correct the Secret or its key",
		}
	}
	return identities, nil
}

func (v vault) donor(recorded clonewire.Source) (clonewire.Donor, error) {
	password, err := readPassword(filepath.Join(v.files, jobapi.VaultPassword))
	if err != nil {
		return clonewire.Donor{}, err
	}
	pair, err := tls.LoadX509KeyPair(filepath.Join(v.files, "tls.crt"), filepath.Join(v.files, "tls.key"))
	if err != nil {
		return clonewire.Donor{}, fmt.Errorf("read the certificate: %w", err)
	}
	return clonewire.Donor{
		User:     jobapi.VaultUser,
		Password: password,
		TLS: &tls.Config{
			Certificates: []tls.Certificate{pair},
			MinVersion:   tls.VersionTLS12,
		},
		Source: recorded,
	}, nil
}
