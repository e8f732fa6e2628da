package main

import (
	"context"
	"crypto/sha256"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/archive/source"
	"github.com/dbpair/dbpair/internal/gtid"
)

type replayOptions struct {
	serve serveOptions

	time   string
	gtid   string
	before string
}

func (a *app) archiveServeCommand() *cobra.Command {
	var options replayOptions
	command := &cobra.Command{
		Use:   "serve",
		Short: "Be the source of a replica that replays the archive, until interrupted",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withArchive(cmd.Context(), func(objects archive.Objects) error {
				return serveArchive(cmd, objects, a.location, options)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.serve.listen, "listen", "127.0.0.1:33063", "HOST:PORT to listen on")
	flags.StringVar(&options.serve.user, "user", "dbpair_archive", "the account that the replica names")
	flags.StringVar(&options.serve.passwordFile, "password-file", "", "file with the account's password, as you choose it")
	flags.StringVar(&options.serve.certFile, "tls-cert", "", "file with the certificate to show")
	flags.StringVar(&options.serve.keyFile, "tls-key", "", "file with its key")
	flags.StringVar(&options.time, "to-time", "", "leave out what was committed after this time, for example 2026-01-02T15:04:05+02:00")
	flags.StringVar(&options.gtid, "to-gtid", "", "the transactions to replay, and none that comes after the last of them")
	flags.StringVar(&options.before, "before-gtid", "", "the first transaction to leave out, with all that follow")
	registerIdentity(flags, &options.serve.identityFile)
	return command
}

func serveArchive(cmd *cobra.Command, objects archive.Objects, location string, o replayOptions) error {
	target, err := archive.ParseTarget(o.time, o.gtid, o.before)
	if err != nil {
		return err
	}
	password, err := readPassword(o.serve.passwordFile)
	if err != nil {
		return err
	}
	if o.serve.certFile == "" || o.serve.keyFile == "" {
		return errors.New("--tls-cert and --tls-key are missing: replication is encrypted on its way")
	}
	pair, err := tls.LoadX509KeyPair(o.serve.certFile, o.serve.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	identities, err := readIdentities(o.serve.identityFile)
	if err != nil {
		return err
	}
	serving, err := openReplay(cmd.Context(), objects, identities, target)
	if err != nil {
		return err
	}
	serving.User = o.serve.user
	serving.Password = password
	serving.TLS = &tls.Config{
		Certificates: []tls.Certificate{pair},
		MinVersion:   tls.VersionTLS12,
	}
	serving.UUID = uuidOf(location)
	serving.Served = func(err error) { fmt.Fprintln(cmd.ErrOrStderr(), "a replica went:", err) }
	serving.Sent = func() { fmt.Fprintln(cmd.ErrOrStderr(), "a replica has been sent everything") }
	var listen net.ListenConfig
	listener, err := listen.Listen(cmd.Context(), "tcp", o.serve.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(cmd.OutOrStdout(), "%s\n", serving.Cut.Through)
	fmt.Fprintf(cmd.ErrOrStderr(), "the archive up to %s is served on %s; a replica that is done has executed the GTIDs above\n",
		target, listener.Addr())
	return serving.Serve(cmd.Context(), listener)
}

// openReplay opens an archive and finds the target.
func openReplay(ctx context.Context, objects archive.Objects, identities []age.Identity, target archive.Target) (source.Source, error) {
	opened, err := archive.Open(ctx, objects, identities)
	if err != nil {
		return source.Source{}, err
	}
	cut, err := opened.Cut(ctx, target, time.Now())
	if err != nil {
		return source.Source{}, err
	}
	version, err := opened.ServerVersion(ctx, cut)
	if err != nil {
		return source.Source{}, err
	}
	return source.Source{
		Archive: opened,
		Cut:     cut,
		Version: version,
	}, nil
}

// uuidOf is the server_uuid of a source that serves what is at a location: the same each time,
// so that a replica that connects again finds the source that it knows.
func uuidOf(location string) gtid.ServerUUID {
	sum := sha256.Sum256([]byte(location))
	return gtid.ServerUUID(fmt.Sprintf("%x-%x-%x-%x-%x", sum[:4], sum[4:6], sum[6:8], sum[8:10], sum[10:16]))
}
