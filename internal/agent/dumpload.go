package agent

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/dump"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// Why a dump is not loaded.
var (
	// errDumpAbsent: no Job brought it.
	errDumpAbsent = errors.New("nobody brought the dump")
	// errDumpUnreadable: the Job cannot read it, or it is compressed and damaged.
	errDumpUnreadable = errors.New("the dump cannot be read")
	// errDumpRefused: it has statements that a pair does not take.
	errDumpRefused = errors.New("nothing of the dump was loaded")
	// errDumpInterrupted: the Job or its connection ended before the dump did, or it brought
	// another file the second time.
	errDumpInterrupted = errors.New("the dump did not come to its end")
	// errDumpFailed: mysqld does not take a statement.
	errDumpFailed = errors.New("the dump could not be loaded")
)

// dumpProblems are those, by what is published.
var dumpProblems = map[agentapi.ProblemCode]error{
	agentapi.ProblemDumpAbsent:      errDumpAbsent,
	agentapi.ProblemDumpUnreadable:  errDumpUnreadable,
	agentapi.ProblemDumpCutOff:      dump.ErrCutOff,
	agentapi.ProblemDumpRefused:     errDumpRefused,
	agentapi.ProblemDumpInterrupted: errDumpInterrupted,
	agentapi.ProblemDumpFailed:      errDumpFailed,
}

// dumpPatience is how long the Job may take to come with the dump: its pod may still have to get
// its image and its volume.
const dumpPatience = 5 * time.Minute

// dumpLoads make the first data of a pair from a dump that a Job brings. Like donorCopies they
// work in the directory in which new data is made: what was loaded in part is never seen by anybody,
// and the next attempt begins with an empty server.
type dumpLoads struct {
	*attempts
	opt      Options
	make     *newData
	settings *settings
	vol      *volume.Volume
	state    *board
	connect  func(password func() mysqlops.Secret) *mysqlops.Server
	accounts *takeover
	intake   *dumpIntake
	failures *failpoints
}

// loadFlags have the mysqld that a dump is loaded into take writes, of root over the socket only.
var loadFlags = []string{"--super-read-only=OFF", "--read-only=OFF", "--skip-networking"}

// ended publishes how the load ended, and waits after a failure.
func (d *dumpLoads) ended(ctx context.Context, command agentapi.InitializeCommand, err error) {
	if errors.Is(err, errDumpAbsent) {
		err = fmt.Errorf("%w for %s: see `kubectl describe job %s`", err, dumpPatience, command.Dump.Job)
	}
	d.end(ctx, command.DataID, "load of "+command.Dump.Name, dumpProblems, err)
}

// contents makes the pair's accounts, loads the dump through the binary log and then makes the
// accounts once more, since the dump may have changed them.
func (d *dumpLoads) contents(ctx context.Context, command agentapi.InitializeCommand) error {
	if err := d.make.accounts(ctx); err != nil {
		return err
	}
	ops := d.connect(func() mysqlops.Secret { return d.settings.all().Root })
	defer ops.Disconnect()
	stop, err := d.make.runPrivately(ctx, d.vol.NewDataDir(), ops, loadFlags...)
	if err != nil {
		return err
	}
	err = d.receive(ctx, ops, *command.Dump)
	ops.Disconnect() // mysqld would wait for the session
	if err != nil {
		_ = stop(false)
		return err
	}
	if err := stop(true); err != nil {
		return err
	}
	d.whole = true
	d.failures.at(failAfterLoad)
	newStage(d.state, *command.Dump, "accounts")
	return d.accounts.run(ctx)
}

// receive takes the dump twice: the first time it is only checked.
func (d *dumpLoads) receive(ctx context.Context, ops *mysqlops.Server, from agentapi.Dump) error {
	known, err := ops.Accounts(ctx)
	if err != nil {
		return err
	}
	rules := dump.Rules{DisabledEngines: strings.Split(mycnf.DisabledEngines, ","), Accounts: known}
	newStage(d.state, from, "await")
	var checked dumpSum
	err = d.part(ctx, agentapi.DumpCheck, from, func(in *dumpStream) (err error) {
		checked, err = checkDump(in, rules, from)
		return err
	})
	if err != nil {
		return err
	}
	return d.part(ctx, agentapi.DumpLoad, from, func(in *dumpStream) error {
		loaded, err := d.load(ctx, in, from)
		if err == nil && loaded != checked {
			err = fmt.Errorf("%w: the file that was loaded is not the one that was checked: "+
				"let nothing write to it", errDumpInterrupted)
		}
		return err
	})
}

// part waits for one step of the Job, does it and answers the Job.
func (d *dumpLoads) part(ctx context.Context, step agentapi.DumpStep, from agentapi.Dump, do func(*dumpStream) error) error {
	part, err := d.intake.await(ctx, step, dumpPatience)
	if err != nil {
		return err
	}
	if part.step != step && part.step != agentapi.DumpUnreadable { // it came for an earlier attempt
		part.answer <- refuse(agentapi.ErrorRefused, "the step %q is not wanted any more", part.step)
		return d.part(ctx, step, from, do)
	}
	if part.step == agentapi.DumpUnreadable {
		why, _ := io.ReadAll(io.LimitReader(part.body, 1<<10))
		part.answer <- nil
		return fmt.Errorf("%w: %s", errDumpUnreadable, strings.ToValidUTF8(string(why), "?"))
	}
	d.log.Info("a dump comes", "step", step, "bytes", part.size)
	in := newDumpStream(part, loading(d.state, from, step))
	err = in.meaning(do(in))
	part.answer <- err
	return err
}

// checkDump reads all of a dump and says why it cannot be loaded.
func checkDump(in *dumpStream, rules dump.Rules, from agentapi.Dump) (dumpSum, error) {
	text, err := dump.Open(in)
	if err != nil {
		return dumpSum{}, err
	}
	defer func() { _ = text.Close() }()
	found, err := dump.Check(text, rules)
	if err != nil {
		return dumpSum{}, err
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		return dumpSum{}, err
	}
	refused := slices.DeleteFunc(found, func(f dump.Finding) bool {
		return (from.Strip && f.Kind == dump.Bypass) || (from.AllowMissingDefiners && f.Kind == dump.Definer)
	})
	if len(refused) > 0 {
		return dumpSum{}, fmt.Errorf("%w: %s", errDumpRefused, refusedText(refused))
	}
	return in.sum(), nil
}

// dumpRemedies say what can be done about each kind.
var dumpRemedies = map[dump.Kind]string{
	dump.Bypass:      "spec.bootstrap.dump.strip: true leaves out what bypasses the binary log",
	dump.Replication: "take the statements about replication out of the dump",
	dump.System:      "dump the application's databases only (mysqldump --databases app), not the system schemas",
	dump.Engine:      "convert these tables (ALTER TABLE ... ENGINE=InnoDB) before the dump, or change ENGINE in it",
	dump.Definer:     "spec.bootstrap.dump.allowMissingDefiners: true loads them all the same; make the accounts later",
}

// refusedText names the first findings and what to do about their kinds.
func refusedText(refused []dump.Finding) string {
	const most = 10
	var named, remedies []string
	for i, f := range refused {
		if i < most {
			named = append(named, f.String())
		}
		if remedy := dumpRemedies[f.Kind]; !slices.Contains(remedies, remedy) {
			remedies = append(remedies, remedy)
		}
	}
	text := strings.Join(named, "; ")
	if len(refused) > most {
		text += fmt.Sprintf("; and %d more", len(refused)-most)
	}
	return text + ". " + strings.Join(remedies, "; ")
}

// load has the mysql client of the image read the dump.
func (d *dumpLoads) load(ctx context.Context, in *dumpStream, from agentapi.Dump) (dumpSum, error) {
	text, err := dump.Open(in)
	if err != nil {
		return dumpSum{}, err
	}
	defer func() { _ = text.Close() }()
	reader, writer := io.Pipe()
	fed := make(chan error, 1)
	go func() {
		err := feedDump(writer, text, from.Strip)
		writer.CloseWithError(err)
		fed <- err
	}()
	failed := d.client(ctx, reader)
	_ = reader.Close()
	// The client ends well with whatever part of the dump it was given.
	unread := <-fed
	switch {
	case unread != nil && !errors.Is(unread, io.ErrClosedPipe):
		return dumpSum{}, unread
	case failed != nil:
		return dumpSum{}, failed
	case unread != nil:
		return dumpSum{}, fmt.Errorf("%w: the mysql client did not read all of it", errDumpFailed)
	}
	_, err = io.Copy(io.Discard, in)
	return in.sum(), err
}

// feedDump writes the dump to its end, or says why that could not be done.
func feedDump(out io.Writer, in io.Reader, strip bool) error {
	if strip {
		return dump.Strip(in, out)
	}
	_, err := io.Copy(out, in)
	return err
}

// client runs the mysql client as root on what it reads.
func (d *dumpLoads) client(ctx context.Context, in io.Reader) error {
	complaints := &bytes.Buffer{}
	cmd, err := d.clientCommand(ctx)
	if err != nil {
		return err
	}
	cmd.Stdin = in
	cmd.Stderr = complaints
	if err := process.Run(cmd); err != nil {
		return fmt.Errorf("%w: %s", errDumpFailed, clientError(complaints.String(), err))
	}
	return nil
}
