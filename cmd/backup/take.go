package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"filippo.io/age"
	"github.com/spf13/cobra"

	"github.com/dbpair/dbpair/internal/backup"
)

type takeOptions struct {
	server     serverOptions
	recipients []string
	deadline   time.Duration
}

func (a *app) takeCommand() *cobra.Command {
	var options takeOptions
	command := &cobra.Command{
		Use:   "take",
		Short: "Stream all data of a running mysqld into the store and print the backup's ID",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withStore(cmd.Context(), func(objects backup.Objects) error {
				return take(cmd, objects, options)
			})
		},
	}
	flags := command.Flags()
	options.server.register(flags)
	flags.StringArrayVar(&options.recipients, "recipient", nil,
		"age recipient that can decrypt the backup; may be repeated. Without any it is not encrypted")
	flags.DurationVar(&options.deadline, "deadline", 6*time.Hour, "when to give up, also while the store cannot be reached")
	return command
}

func take(cmd *cobra.Command, objects backup.Objects, options takeOptions) error {
	recipients, err := parseRecipients(options.recipients)
	if err != nil {
		return err
	}
	donor, err := options.server.donor(options.deadline)
	if err != nil {
		return err
	}
	var random [4]byte
	_, _ = rand.Read(random[:]) // it never fails
	ctx, cancel := context.WithTimeoutCause(cmd.Context(), options.deadline, errors.New("the backup took longer than --deadline"))
	defer cancel()
	m, err := backup.Take(ctx, objects, donor, backup.TakeOptions{
		ID:         backup.NewID(time.Now(), random),
		Recipients: recipients,
		Now:        time.Now,
	})
	if err != nil {
		return err
	}
	fmt.Fprintln(cmd.OutOrStdout(), m.ID)
	fmt.Fprintf(cmd.ErrOrStderr(), "%s of data, %s stored in %d objects, %s\n",
		mebibytes(m.Raw), mebibytes(m.Stored), m.Objects, m.Finished.Sub(m.Started).Round(time.Millisecond))
	return nil
}

func parseRecipients(texts []string) ([]age.Recipient, error) {
	var recipients []age.Recipient
	for _, text := range texts {
		recipient, err := age.ParseX25519Recipient(text)
		if err != nil {
			return nil, fmt.Errorf("--recipient %q: %w; it begins with age1", text, err)
		}
		recipients = append(recipients, recipient)
	}
	return recipients, nil
}
