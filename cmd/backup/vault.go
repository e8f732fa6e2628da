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

	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/store"
)

const (
	// restoreField is the field that a vault's request was made from.
	restoreField = "spec.bootstrap.backup"
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
				log:          cmd.ErrOrStderr(),
			}
			if err := json.Unmarshal([]byte(os.Getenv(jobapi.EnvVault)), &v.request); err != nil {
				return fmt.Errorf("%w: read the request in %s: %w", errForGood, jobapi.EnvVault, err)
			}
			err := v.serve(cmd.Context())
			if err == nil {
				return nil
			}
			text, _ := json.Marshal(reportOf(err, v.request.Store)) // two strings
			return errors.Join(err, os.WriteFile(jobapi.TerminationLog, text, 0o600))
		},
	}
}

// vault is the process of a vault's pod: the donor that a new pair's first member copies.
type vault struct {
	request jobapi.VaultRequest
	// files is the directory of the password and the certificate.
	files        string
	identityFile string
	listen       string
	log          io.Writer
}

// unservable is why a backup cannot be served.
type unservable struct {
	reason jobapi.VaultReason
	text   string
}

func (e *unservable) Error() string { return e.text }

// serve answers CLONE INSTANCE FROM until ctx ends, and returns nil then. It returns why it
// cannot go on, as soon as it knows: when it is started, or when an object turns out to be
// damaged.
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
	below := folder{Objects: objects, name: chosen.uid + "/"}
	source, err := v.source(ctx, below, chosen.id)
	if err == nil && v.request.Verify {
		err = undamaged(ctx, below, chosen.id)
	}
	if err != nil {
		return withOlder(err, chosen, all)
	}
	donor, err := v.donor(source)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(ctx, "tcp", v.listen)
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	fmt.Fprintf(v.log, "backup %s of MySQL %s is served\n", chosen.id, source.Manifest().Server.Version)
	serving, end := context.WithCancelCause(ctx)
	defer end(nil)
	donor.Served = func(err error) {
		report(v.log, err)
		if err != nil && !errors.Is(err, clonewire.ErrRecipient) {
			time.AfterFunc(answerFirst, func() { end(err) })
		}
	}
	if err := donor.Serve(serving, listener); err != nil {
		return err
	}
	if ctx.Err() != nil {
		return nil
	}
	return withOlder(context.Cause(serving), chosen, all)
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
			text: fmt.Sprintf("backup %s is encrypted: name the Secret of an identity of one of its recipients in %s.identitySecretRef",
				id, restoreField),
		}
	}
	identities, err := v.identities()
	if err != nil {
		return nil, err
	}
	source, err := backup.OpenSource(ctx, objects, id, identities)
	if err != nil {
		return nil, err
	}
	_, err = source.Opening(ctx)
	return source, err
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
			text: restoreField + ".identitySecretRef is no age identity as age-keygen writes it: correct the Secret or its key",
		}
	}
	return identities, nil
}

func (v vault) donor(source clonewire.Source) (clonewire.Donor, error) {
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
		Source: source,
	}, nil
}
