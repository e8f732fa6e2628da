package mysqlops_test

import (
	"errors"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

func TestCloneSeedsAMember(t *testing.T) {
	ctx := t.Context()
	donor := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 0})
	donor.Open(false)
	client := donor.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	mustExec(t, client, "CREATE TABLE app.t (id INT PRIMARY KEY)", "INSERT INTO app.t VALUES (1), (2)")
	member := mysqldtest.Start(t, mysqldtest.Options{Ordinal: 1, Bare: true})
	before, err := member.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	from := mysqlops.Donor{
		Host: "127.0.0.1", Port: donor.Member.AdminPort, User: mysqlops.UserClone,
		Password: mysqlops.NewSecret("wrong"), TLS: member.TLSFiles(),
	}
	if err := member.Ops.CloneFrom(ctx, from, nil); !errors.Is(err, mysqlops.ErrClone) {
		t.Fatalf("with a wrong password: %v, want ErrClone", err)
	}
	from.Password = mysqldtest.Passwords.Clone
	from.MaxBandwidth = 16 << 20 // some seconds, so that there is progress
	var stages []mysqlops.CloneProgress
	bound := 0 // MiB a second, as mysqld has it while it copies
	seen := func(p mysqlops.CloneProgress) {
		stages = append(stages, p)
		_ = member.Root().QueryRowContext(ctx, "SELECT @@GLOBAL.clone_max_network_bandwidth").Scan(&bound)
	}
	if err := member.Ops.CloneFrom(ctx, from, seen); err != nil {
		t.Fatal(err)
	}
	t.Logf("progress: %+v", stages)
	if bound != 16 {
		t.Errorf("copied with at most %d MiB a second, want 16", bound)
	}
	if code := member.ExitCode(); code != 16 {
		t.Errorf("mysqld ended with %d, want 16", code)
	}
	member.SetPassword(mysqldtest.Passwords.Root)
	member.Boot()
	if err := member.Ops.ResetReplicaAll(ctx, true); err != nil {
		t.Fatal(err)
	}
	state, err := member.Ops.CloneState(ctx)
	if err != nil || state.Failed || state.Stage != "RECOVERY" {
		t.Errorf("clone ended as %+v, %v", state, err)
	}
	source, err := donor.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	after, err := member.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if !after.Executed.Equal(source.Executed) || !after.IsClosed() {
		t.Errorf("member %+v, donor has %v", after, source.Executed)
	}
	if after.ServerUUID != before.ServerUUID {
		t.Errorf("server UUID changed from %v to %v", before.ServerUUID, after.ServerUUID)
	}
	member.Follow(donor)
	mustExec(t, client, "INSERT INTO app.t VALUES (3)")
	now, err := donor.Ops.Status(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if err := member.Ops.WaitApplied(ctx, now.Executed, time.Minute); err != nil {
		t.Error(err)
	}
}
