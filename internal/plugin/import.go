package plugin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/dump"
)

const importLong = `Load a dump of SQL statements on the primary, as root, so that the binary log carries it to the passive.

The dump comes from standard input or from --file, plain or compressed by gzip or zstd, or is the folder --dir that mydumper
wrote. It is read twice: nothing is loaded when a statement of it would bypass the binary log, change replication, write into
a system schema, use a disabled storage engine or name a definer that does not exist, or when the dump is cut off. Each is
named with its line.

--strip leaves out the statements that would bypass the binary log: SET of sql_log_bin, gtid_purged and gtid_next. That is
what a dump needs that was made without --set-gtid-purged=OFF.

A dump is no transaction: what was loaded before an error stays.`

// importRequest is what the caller of import gave.
type importRequest struct {
	pair     string
	database string
	file     string
	dir      string
	strip    bool
	check    bool
	definers bool
}

func (s *session) importCommand() *cobra.Command {
	var r importRequest
	cmd := &cobra.Command{
		Use:     "import PAIR",
		GroupID: "tables",
		Short:   "Load a dump on the primary, through the binary log",
		Long:    importLong,
		Example: "  kubectl dbpair import shop < dump.sql\n  kubectl dbpair import shop --database app --file dump.sql.zst --strip\n" +
			"  kubectl dbpair import shop --file dump.sql.gz --dry-run\n  kubectl dbpair import shop --dir export-20260101-120000",
		Args: onePair,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			r.pair = args[0]
			return s.importDump(cmd.Context(), c, r)
		},
	}
	cmd.Flags().StringVar(&r.database, "database", "",
		"the database that statements before the first USE are for; the application's by default")
	cmd.Flags().StringVarP(&r.file, "file", "f", "", "the dump; standard input by default")
	cmd.Flags().StringVar(&r.dir, "dir", "", "the dump, as a folder that mydumper wrote")
	cmd.MarkFlagsMutuallyExclusive("dir", "file")
	cmd.MarkFlagsMutuallyExclusive("dir", "database")
	cmd.Flags().BoolVar(&r.strip, "strip", false, "leave out the statements that would bypass the binary log")
	cmd.Flags().BoolVar(&r.check, "dry-run", false, "only say what is wrong with the dump")
	cmd.Flags().BoolVar(&r.definers, "allow-missing-definers", false,
		"load views, routines, triggers and events whose definer does not exist yet")
	return cmd
}

func (s *session) importDump(ctx context.Context, c cluster, r importRequest) error {
	p, err := c.pair(ctx, r.pair)
	if err != nil {
		return err
	}
	primary, err := memberFor(p, shellWish{})
	if err != nil {
		return err
	}
	source, folder, err := s.openSource(r)
	if err != nil {
		return err
	}
	defer func() { _ = source.close() }()
	server, err := c.acceptedAt(ctx, primary)
	if err != nil {
		return err
	}
	if folder != nil {
		err = c.folderFits(ctx, primary, folder, server)
	} else {
		r.database, err = c.importInto(ctx, r, server)
	}
	if err != nil {
		return err
	}
	if err := s.checkDump(source, r, server); err != nil || r.check {
		return err
	}
	return s.load(ctx, c, primary, source, r)
}

// openSource opens the dump; the folder is nil where it is one file.
func (s *session) openSource(r importRequest) (importSource, *dump.Folder, error) {
	if r.dir == "" {
		source, err := s.openDump(r.file)
		return source, nil, err
	}
	source, err := openFolder(r.dir)
	if err != nil {
		return nil, nil, err
	}
	return source, source.folder, nil
}

// accepted is what a server says about what may be loaded.
type accepted struct {
	Schemas  []string `json:"schemas"`
	Accounts []string `json:"accounts"`
	Engines  string   `json:"engines"`
}

const acceptedQuery = "SELECT JSON_OBJECT('schemas', (SELECT JSON_ARRAYAGG(SCHEMA_NAME) FROM information_schema.SCHEMATA)," +
	" 'accounts', (SELECT JSON_ARRAYAGG(CONCAT(User, '@', Host)) FROM mysql.user), 'engines', @@disabled_storage_engines)"

// acceptedAt asks the primary.
func (c cluster) acceptedAt(ctx context.Context, primary string) (accepted, error) {
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       primary,
		argv:      append(asRoot(), "--batch", "--raw", "--skip-column-names", "--execute="+acceptedQuery),
	})
	if err != nil {
		return accepted{}, fmt.Errorf("ask mysqld of %s what it accepts: %w", primary, err)
	}
	var got accepted
	if err := json.Unmarshal(text, &got); err != nil {
		return accepted{}, fmt.Errorf("the answer of mysqld of %s is not JSON: %w", primary, err)
	}
	return got, nil
}

// asRoot is the mysql client of a member's pod, as root.
func asRoot() []string {
	return []string{"sh", "-c", shell, "sh", socketPath, agentapi.InternalDir + "/" + agentapi.PasswordFileRoot, "root"}
}

// importInto is the database that the dump is loaded into, which has to exist; empty where the
// pair has no application's database and none is named.
func (c cluster) importInto(ctx context.Context, r importRequest, server accepted) (string, error) {
	if r.database == "" {
		config, err := c.agentConfig(ctx, r.pair)
		return config.AppSchema, err
	}
	if !slices.Contains(server.Schemas, r.database) {
		return "", fmt.Errorf("--database: pair %q has no database %q. "+
			"Command: kubectl dbpair mysql %s -n %s --root -- -e 'CREATE DATABASE `%s`'",
			r.pair, r.database, r.pair, c.namespace, r.database)
	}
	return r.database, nil
}

// checkDump reads the dump once and prints what must not be loaded.
func (s *session) checkDump(source importSource, r importRequest, server accepted) error {
	found, err := source.findings(dump.Rules{
		DisabledEngines: strings.Split(server.Engines, ","),
		Accounts:        server.Accounts,
	})
	if err != nil {
		return fmt.Errorf("%s: nothing was loaded: %w", source.label(), err)
	}
	refused := slices.DeleteFunc(slices.Clone(found), func(f dump.FileFinding) bool {
		return (r.strip && f.Kind == dump.Bypass) || (r.definers && f.Kind == dump.Definer)
	})
	for _, f := range found {
		if _, err := fmt.Fprintln(s.streams.ErrOut, f); err != nil {
			return err
		}
	}
	if len(refused) > 0 {
		return fmt.Errorf("%s: nothing was loaded: %d kinds of statements are refused.%s", source.label(), len(refused), importRemedies(refused))
	}
	if r.check {
		_, err = fmt.Fprintf(s.streams.Out, "%s can be loaded into pair %s\n", source.label(), r.pair)
	}
	return err
}

// importRemedies says what can be done about each kind.
func importRemedies(found []dump.FileFinding) string {
	remedies := map[dump.Kind]string{
		dump.Bypass:      "--strip leaves out what bypasses the binary log.",
		dump.Replication: "Take the statements about replication out of the dump.",
		dump.System:      "Dump the application's databases only (mysqldump --databases app, mydumper --database app), not the system schemas.",
		dump.Engine:      "Convert these tables (ALTER TABLE ... ENGINE=InnoDB) before the dump, or change ENGINE in it.",
		dump.Definer:     "Make the missing accounts with CREATE USER first, or pass --allow-missing-definers.",
	}
	var text strings.Builder
	for _, kind := range []dump.Kind{dump.Bypass, dump.Replication, dump.System, dump.Engine, dump.Definer} {
		if slices.ContainsFunc(found, func(f dump.FileFinding) bool { return f.Kind == kind }) {
			text.WriteString("\n" + remedies[kind])
		}
	}
	return text.String()
}

// load has the mysql client of the primary's pod read the dump.
func (s *session) load(ctx context.Context, c cluster, primary string, source importSource, r importRequest) error {
	in, err := source.open()
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	reader, writer := io.Pipe()
	fed := make(chan error, 1)
	go func() {
		err := feed(writer, in, r.strip)
		writer.CloseWithError(err)
		fed <- err
	}()
	argv := append(asRoot(), "--binary-mode", "--default-character-set=utf8mb4")
	if r.database != "" {
		argv = append(argv, "--database="+r.database)
	}
	done := showProgress(s.streams.ErrOut, source)
	said := &lastWords{to: s.streams.ErrOut}
	err = c.execer.run(ctx, podCommand{
		namespace:   c.namespace,
		pod:         primary,
		argv:        argv,
		interactive: true,
	}, genericiooptions.IOStreams{
		In:     reader,
		Out:    s.streams.Out,
		ErrOut: said,
	})
	done()
	_ = reader.Close()
	// The client ends well with whatever part of the dump it was given.
	if unread := <-fed; err == nil {
		err = unread
	}
	if err != nil {
		return fmt.Errorf("the dump was not loaded to its end%s; what was loaded before stays on both members: %w", said.where(source), err)
	}
	_, err = fmt.Fprintf(s.streams.Out, "%s was loaded on %s. Compare the members with: kubectl dbpair checksum %s -n %s --wait\n",
		source.label(), primary, r.pair, c.namespace)
	return err
}

// feed writes the dump to its end, or says why that could not be done.
func feed(out io.Writer, in io.Reader, strip bool) error {
	if strip {
		return dump.Strip(in, out)
	}
	_, err := io.Copy(out, in)
	return err
}

// openDump opens the dump so that it can be read twice. What comes through a pipe is kept in a
// temporary file until the end.
func (s *session) openDump(path string) (*dumpSource, error) {
	if path != "" {
		file, err := os.Open(path)
		if err != nil {
			return nil, fmt.Errorf("--file: %w", err)
		}
		return newDumpSource(path, file, func() error { return file.Close() })
	}
	if isTerminal(s.streams.In) {
		return nil, errors.New("give the dump with --file or on standard input, as in: kubectl dbpair import shop < dump.sql")
	}
	if file, ok := s.streams.In.(*os.File); ok {
		if info, err := file.Stat(); err == nil && info.Mode().IsRegular() {
			return newDumpSource("standard input", file, func() error { return nil })
		}
	}
	file, err := os.CreateTemp("", "dbpair-import-*")
	if err != nil {
		return nil, fmt.Errorf("keep standard input in a temporary file: %w", err)
	}
	remove := func() error { return errors.Join(file.Close(), os.Remove(file.Name())) }
	if _, err := io.Copy(file, s.streams.In); err != nil {
		return nil, errors.Join(fmt.Errorf("keep standard input in a temporary file: %w", err), remove())
	}
	return newDumpSource("standard input", file, remove)
}
