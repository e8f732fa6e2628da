package drill

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

var (
	// errNoRoom: the volume is too small.
	errNoRoom = errors.New("the volume of the drill is too small")
	// errOtherGTIDs: the copy is not what the backup says of itself.
	errOtherGTIDs = errors.New("the copy has other GTIDs than the backup")
)

// loopback is where the other container serves.
const loopback = "127.0.0.1"

// restore does all steps. mysqld has ended when it returns.
func (r *run) restore(ctx context.Context, plan Plan) error {
	root := mysqlops.NewSecret(rand.Text())
	server := newServer(r.options)
	defer server.kill()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go watchRoom(ctx, r.options.Volume, cancel)
	err := r.steps(ctx, server, plan, root)
	if errors.Is(context.Cause(ctx), errNoRoom) {
		return context.Cause(ctx)
	}
	return err
}

func (r *run) steps(ctx context.Context, server *server, plan Plan, root mysqlops.Secret) error {
	if err := r.prepare(ctx, server, plan); err != nil {
		return err
	}
	if err := r.copy(ctx, server, plan); err != nil {
		return err
	}
	if err := r.open(ctx, server, root); err != nil {
		return err
	}
	if err := r.compare(ctx, server, plan); err != nil {
		return err
	}
	if err := r.check(ctx, server); err != nil {
		return err
	}
	if plan.ReplayPort == 0 {
		return nil
	}
	return r.replay(ctx, server, plan)
}

// prepare makes an empty data directory.
func (r *run) prepare(ctx context.Context, server *server, plan Plan) error {
	defer r.step(StepPrepare)()
	free, err := freeBytes(r.options.Volume)
	if err != nil {
		return fmt.Errorf("look for room: %w", err)
	}
	if free < plan.Bytes {
		return fmt.Errorf("%w: the backup has %s, and %s are free: raise spec.storage.size, or name a storageClassName "+
			"in spec.backup.drill whose volumes have the room", errNoRoom, mebibytes(plan.Bytes), mebibytes(free))
	}
	return server.initialize(ctx)
}

// copy has mysqld replace the empty data by the backup. mysqld ends by that.
func (r *run) copy(ctx context.Context, server *server, plan Plan) error {
	defer r.step(StepCopy)()
	password, err := r.password()
	if err != nil {
		return err
	}
	if err := server.start(ctx, "--skip-networking"); err != nil {
		return err
	}
	err = server.ops.CloneFrom(ctx, mysqlops.Donor{
		Host:     loopback,
		Port:     plan.Port,
		User:     plan.User,
		Password: password,
		TLS:      mysqlops.TLSFiles{CA: r.options.Shared.File(CAFile)},
		Recorded: true,
	}, func(p mysqlops.CloneProgress) {
		r.say("copies the backup: %s, %s of %s", strings.ToLower(p.Stage), mebibytes(p.Bytes), mebibytes(p.Total))
	})
	if err != nil {
		return err
	}
	return server.awaitCopied(ctx)
}

// open starts mysqld on the copy, where root gets a random password: the accounts are those of
// the pair that was backed up.
func (r *run) open(ctx context.Context, server *server, root mysqlops.Secret) error {
	defer r.step(StepOpen)()
	script, err := mysqlops.RootScript(root)
	if err != nil {
		return err
	}
	file := server.path("root.sql")
	if err := volume.WriteFile(file, []byte(script), 0o600); err != nil {
		return fmt.Errorf("write the script that creates root again: %w", err)
	}
	defer os.Remove(file)
	server.setRoot(root)
	if err := server.start(ctx, append(mysqlops.RootFlags(file), mysqlops.ReplayFlags()...)...); err != nil {
		return fmt.Errorf("start on the copy: %w", err)
	}
	// The copy has the channel of the member that was backed up.
	return server.ops.ResetReplicaAll(ctx, true)
}

// compare looks whether the copy is one of what the backup says of itself.
func (r *run) compare(ctx context.Context, server *server, plan Plan) error {
	defer r.step(StepCompare)()
	least, err := gtid.Parse(plan.GTIDBefore)
	if err != nil {
		return fmt.Errorf("gtidBefore of the backup: %w", err)
	}
	most, err := gtid.Parse(plan.GTIDAfter)
	if err != nil {
		return fmt.Errorf("gtidAfter of the backup: %w", err)
	}
	status, err := server.ops.Status(ctx)
	if err != nil {
		return err
	}
	r.found(func(f *Found) { f.Copied = status.Executed.String() })
	if lost := least.Subtract(status.Executed); !lost.IsEmpty() {
		return fmt.Errorf("%w: it lacks %s", errOtherGTIDs, lost)
	}
	if surplus := status.Executed.Subtract(most); !surplus.IsEmpty() {
		return fmt.Errorf("%w: it also has %s", errOtherGTIDs, surplus)
	}
	return nil
}

// check has mysqld read every table.
func (r *run) check(ctx context.Context, server *server) error {
	defer r.step(StepCheck)()
	if err := server.ops.CheckEngines(ctx); err != nil {
		return err
	}
	tables, err := server.ops.CheckTables(ctx, func(done, total int) { r.say("checked %d of %d tables", done, total) })
	if err != nil {
		return server.explain(err)
	}
	r.found(func(f *Found) { f.Tables = tables })
	return nil
}

// replay has the copy replicate what was archived, exactly up to the end of that.
func (r *run) replay(ctx context.Context, server *server, plan Plan) error {
	defer r.step(StepReplay)()
	password, err := r.password()
	if err != nil {
		return err
	}
	source := mysqlops.Source{
		Host:     loopback,
		Port:     plan.ReplayPort,
		User:     plan.User,
		Password: password,
		TLS:      mysqlops.TLSFiles{CA: r.options.Shared.File(CAFile)},
	}
	err = server.ops.ReplayFrom(ctx, source, func(p mysqlops.Replay) {
		r.say("replayed %d of %d transactions", p.Done, p.Total)
	})
	if err != nil {
		return server.explain(err)
	}
	status, err := server.ops.Status(ctx)
	if err != nil {
		return err
	}
	r.found(func(f *Found) { f.Reached = status.Executed.String() })
	return nil
}

func (r *run) password() (mysqlops.Secret, error) {
	text, err := os.ReadFile(r.options.Shared.File(PasswordFile))
	if err != nil {
		return mysqlops.Secret{}, fmt.Errorf("read the password of what is served: %w", err)
	}
	return mysqlops.NewSecret(string(text)), nil
}

// fullBelow is the room with which a drill gives up: mysqld on a full volume waits until there is room.
const fullBelow = 64 << 20

// watchRoom ends the drill before its volume is full.
func watchRoom(ctx context.Context, dir string, cancel context.CancelCauseFunc) {
	for ctx.Err() == nil {
		if free, err := freeBytes(dir); err == nil && free < fullBelow {
			cancel(fmt.Errorf("%w: less than %s are free", errNoRoom, mebibytes(fullBelow)))
			return
		}
		_ = pause(ctx, reportEvery)
	}
}

func freeBytes(dir string) (int64, error) {
	var of unix.Statfs_t
	if err := unix.Statfs(dir, &of); err != nil {
		return 0, fmt.Errorf("statfs %s: %w", dir, err)
	}
	return int64(of.Bavail) * of.Bsize, nil
}

func mebibytes(n int64) string { return fmt.Sprintf("%.1fMi", float64(n)/(1<<20)) }
