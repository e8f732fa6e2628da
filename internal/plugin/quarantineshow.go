package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"
	"unicode"

	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// showQuarantine prints the transactions of an entry as they come. All lines are SQL comments.
func (s *session) showQuarantine(ctx context.Context, c cluster, r quarantineRequest) error {
	args := []string{"show", fmt.Sprintf("--limit=%d", r.limit), "--gtids=" + r.gtids}
	if r.rows {
		args = append(args, fmt.Sprintf("--rows=%d", r.maxRows))
	}
	shown := &shownEntry{out: s.streams.Out, entry: r.entry}
	err := stream(ctx, c.execer, quarantineOf(c, r.member, append(args, "--", r.entry)...), shown.read)
	if err != nil {
		return quarantineError(r.member, err)
	}
	return shown.end()
}

// shownEntry is what was printed of an entry so far.
type shownEntry struct {
	out   io.Writer
	entry string
	// unread files and incomplete is known at the end only.
	unread  []string
	summary *agentapi.QuarantineSummary
}

func (e *shownEntry) read(from io.Reader) error {
	decoder := json.NewDecoder(from)
	for {
		var record agentapi.QuarantineRecord
		err := decoder.Decode(&record)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		var b strings.Builder
		switch {
		case record.Transaction != nil:
			writeTransaction(&b, *record.Transaction)
		case record.Problem != nil:
			file := printable(record.Problem.File)
			e.unread = append(e.unread, file)
			fmt.Fprintf(&b, "-- %s could not be read from byte %d on: %s\n", file, record.Problem.Offset, printable(record.Problem.Message))
		case record.Summary != nil:
			e.summary = record.Summary
			writeSummary(&b, *record.Summary)
		}
		if _, err := io.WriteString(e.out, b.String()); err != nil {
			return err
		}
	}
}

// end says what is missing in what was printed.
func (e *shownEntry) end() error {
	switch {
	case e.summary == nil:
		return fmt.Errorf("entry %q: the answer of the agent was cut off, what is above is not all: try again", e.entry)
	case len(e.unread) > 0:
		return fmt.Errorf("entry %q: could not be read to the end: %s", e.entry, strings.Join(slices.Compact(e.unread), ", "))
	}
	return nil
}

func writeTransaction(b *strings.Builder, one agentapi.QuarantineTransaction) {
	id := one.GTID
	if id == "" {
		id = "without GTID"
	}
	at := ""
	if !one.At.IsZero() {
		at = " at " + one.At.UTC().Format(time.RFC3339Nano)
	}
	fmt.Fprintf(b, "-- %s%s (%s, byte %d)\n", printable(id), at, printable(one.File), one.Offset)
	if one.Incomplete {
		b.WriteString("--   incomplete: its end is missing\n")
	}
	writeTables(b, one.Tables)
	for _, statement := range one.Statements {
		fmt.Fprintf(b, "--   %s\n", printable(statement))
	}
	if one.MoreStatements > 0 {
		fmt.Fprintf(b, "--   and %d more statements\n", one.MoreStatements)
	}
	if one.Unread != "" {
		fmt.Fprintf(b, "--   %s\n", printable(one.Unread))
	}
	for _, row := range one.Rows {
		fmt.Fprintf(b, "-- %s\n", printable(strings.TrimPrefix(row, "-- ")))
	}
}

func writeTables(b *strings.Builder, tables []agentapi.QuarantineTable) {
	for _, t := range tables {
		fmt.Fprintf(b, "--   %s.%s: %s\n", printable(t.Schema), printable(t.Table), rowsText(t))
	}
}

func writeSummary(b *strings.Builder, s agentapi.QuarantineSummary) {
	fmt.Fprintf(b, "-- all %d transactions: %s\n", s.Transactions, dash(printable(s.GTIDs)))
	writeTables(b, s.Tables)
	if s.NotPrinted > 0 {
		fmt.Fprintf(b, "-- %d transactions are not shown: --limit 0 shows all, --gtids some\n", s.NotPrinted)
	}
	if s.RowsNotPrinted > 0 {
		fmt.Fprintf(b, "-- %d rows are not shown: see --max-rows and --gtids; mysqlbinlog --verbose shows all after --extract\n",
			s.RowsNotPrinted)
	}
}

// stream runs a command and passes on what it prints while it runs.
func stream(ctx context.Context, e execer, c podCommand, take func(io.Reader) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	reader, writer := io.Pipe()
	var said bytes.Buffer
	ran := make(chan error, 1)
	go func() {
		err := e.run(ctx, c, genericiooptions.IOStreams{
			In:     &bytes.Buffer{},
			Out:    writer,
			ErrOut: &said,
		})
		writer.CloseWithError(err)
		ran <- err
	}()
	taken := take(reader)
	if taken != nil {
		// Nobody reads on: the command need not go on.
		cancel()
	}
	_ = reader.Close()
	err := <-ran
	switch text := bytes.TrimSpace(said.Bytes()); {
	case taken != nil && !errors.Is(taken, err):
		return taken
	case err != nil && len(text) > 0:
		return fmt.Errorf("%w: %s", err, text)
	}
	return err
}

// printable keeps what a pod printed from moving the cursor of a terminal and from ending the
// line of a comment.
func printable(text string) string {
	return strings.Map(func(c rune) rune {
		switch {
		case unicode.IsPrint(c):
			return c
		case unicode.IsSpace(c):
			return ' '
		default:
			return unicode.ReplacementChar
		}
	}, text)
}

// sizeText is a size for people.
func sizeText(size int64) string {
	const step = 1024
	units := []string{"KiB", "MiB", "GiB", "TiB"}
	if size < step {
		return fmt.Sprintf("%d B", size)
	}
	value := float64(size)
	unit := ""
	for _, unit = range units {
		if value /= step; value < step {
			break
		}
	}
	return fmt.Sprintf("%.1f %s", value, unit)
}
