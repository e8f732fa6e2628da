package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"

	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/clonewire"
)

type serveOptions struct {
	listen       string
	user         string
	passwordFile string
	certFile     string
	keyFile      string
	identityFile string
}

func (a *app) serveCommand() *cobra.Command {
	var options serveOptions
	command := &cobra.Command{
		Use:   "serve ID",
		Short: "Answer CLONE INSTANCE FROM with a backup until interrupted",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				return serve(cmd, objects, args[0], options)
			})
		},
	}
	flags := command.Flags()
	flags.StringVar(&options.listen, "listen", "127.0.0.1:33062", "HOST:PORT to listen on")
	flags.StringVar(&options.user, "user", "dbpair_backup", "the account that the recipient names")
	flags.StringVar(&options.passwordFile, "password-file", "", "file with the account's password, as you choose it")
	flags.StringVar(&options.certFile, "tls-cert", "", "file with the certificate to show")
	flags.StringVar(&options.keyFile, "tls-key", "", "file with its key")
	flags.StringVar(&options.identityFile, "identity", "", "file with the age identity of an encrypted backup")
	return command
}

func serve(cmd *cobra.Command, objects backup.Objects, id string, options serveOptions) error {
	password, err := readPassword(options.passwordFile)
	if err != nil {
		return err
	}
	if options.certFile == "" || options.keyFile == "" {
		return errors.New("--tls-cert and --tls-key are missing: a clone is encrypted on its way")
	}
	pair, err := tls.LoadX509KeyPair(options.certFile, options.keyFile)
	if err != nil {
		return fmt.Errorf("--tls-cert and --tls-key: %w", err)
	}
	identities, err := readIdentities(options.identityFile)
	if err != nil {
		return err
	}
	source, err := backup.OpenSource(cmd.Context(), objects, id, identities)
	if err != nil {
		return err
	}
	var listen net.ListenConfig
	listener, err := listen.Listen(cmd.Context(), "tcp", options.listen)
	if err != nil {
		return fmt.Errorf("--listen: %w", err)
	}
	fmt.Fprintf(cmd.ErrOrStderr(), "backup %s of MySQL %s is served on %s\n", id, source.Manifest().Server.Version, listener.Addr())
	donor := clonewire.Donor{
		User:     options.user,
		Password: password,
		TLS: &tls.Config{
			Certificates: []tls.Certificate{pair},
			MinVersion:   tls.VersionTLS12,
		},
		Source: source,
		Served: func(err error) { report(cmd.ErrOrStderr(), err) },
	}
	return donor.Serve(cmd.Context(), listener)
}

// report says how one clone ended.
func report(w io.Writer, err error) {
	if err != nil {
		fmt.Fprintln(w, "the clone failed:", err)
		return
	}
	fmt.Fprintln(w, "the recipient has taken everything")
}
