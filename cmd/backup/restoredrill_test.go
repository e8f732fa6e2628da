package main

import (
	"bytes"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"filippo.io/age"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/drill"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// agentProgram is the agent, as the init container of a drill's pod brings it in.
var agentProgram = sync.OnceValues(func() (string, error) {
	dir, err := mysqldtest.MakeDir()
	if err != nil {
		return "", err
	}
	program := filepath.Join(dir, "agent")
	build := exec.Command("go", "build", "-o", program, "./cmd/agent")
	build.Dir = "../.."
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	build.Stderr = os.Stderr
	return program, build.Run()
})

// drillPod is what a drill's pod has.
type drillPod struct {
	job *podJob
	m   *oneMap
	// settings of the pair's mysqld.
	settings map[string]string
	volume   string
	log      bytes.Buffer
}

func newDrillPod(t *testing.T, location string, settings map[string]string) *drillPod {
	t.Helper()
	dir, err := mysqldtest.MakeDir() // short enough for a socket, and open for the account of mysqld
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	p := &drillPod{
		m:        &oneMap{},
		settings: settings,
		volume:   filepath.Join(dir, "data"),
	}
	p.job = newPodJob(p.m, "")
	p.job.request = jobapi.Request{
		Operation:    "d1",
		Kind:         jobapi.RestoreDrill,
		RestoreDrill: &jobapi.RestoreDrillRequest{Store: location},
	}
	loopback := func() string { return net.JoinHostPort("127.0.0.1", strconv.Itoa(mysqldtest.FreePort(t))) }
	p.job.drill = drillPlaces{
		shared:   drill.Shared(filepath.Join(dir, "shared")),
		listen:   loopback(),
		replayOn: loopback(),
	}
	return p
}

// run runs both containers, and returns the result that the Job has written down.
func (p *drillPod) run(t *testing.T) *jobapi.Result {
	t.Helper()
	binaries := mysqldtest.Require(t)
	program, err := agentProgram()
	if err != nil {
		t.Fatalf("build the agent: %v", err)
	}
	shared := string(p.job.drill.shared)
	config, err := json.Marshal(agentapi.Config{MySQL: p.settings})
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{shared, p.volume} {
		if err := os.Mkdir(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
	container := exec.Command(program, "restore-drill", "--shared", shared, "--volume", p.volume,
		"--config", readable(t, filepath.Dir(shared), config), "--mysqld", binaries.Mysqld)
	container.Stdout = &p.log
	container.Stderr = &p.log
	container.Dir = p.volume
	container.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if os.Getuid() == 0 {
		// mysqld refuses to run as root. The group is that of the files of this process, as fsGroup makes it.
		container.SysProcAttr.Credential = &syscall.Credential{Uid: 65534, Gid: 0}
	}
	if err := container.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = container.Process.Kill()
		if t.Failed() {
			t.Logf("log of the container of mysqld:\n%s", p.log.String())
		}
	})
	err = p.job.run(t.Context())
	// Its standard output is also that of mysqld, which has ended as well then.
	if end := container.Wait(); end != nil {
		t.Errorf("the container of mysqld ended with %v", end)
	}
	if err != nil {
		t.Fatalf("the Job asks for another pod: %v", err)
	}
	result := p.m.result(t)
	if result == nil || result.RestoreDrill == nil || result.Asked != p.job.request.Asked() {
		t.Fatalf("result %+v", result)
	}
	return result
}

// readable is a file that every account reads.
func readable(t *testing.T, dir string, text []byte) string {
	t.Helper()
	path := filepath.Join(dir, "agent.json")
	if err := os.WriteFile(path, text, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// failsAt fails the test unless a drill failed at a step, for good, and says why.
func failsAt(t *testing.T, r *jobapi.Result, step string, says ...string) {
	t.Helper()
	d := r.RestoreDrill
	if r.Outcome != jobapi.Failed || d.Proven || d.FailedStep != step {
		t.Errorf("result %+v, %+v; want step %s", r, d, step)
	}
	for _, want := range says {
		if !strings.Contains(r.Message, want) {
			t.Errorf("message %q, want %q", r.Message, want)
		}
	}
}

// TestADrillProvesTheNewestBackup restores the newest backup of a pair and what was archived since.
func TestADrillProvesTheNewestBackup(t *testing.T) {
	pair := mysqldtest.StartPair(t)
	pair.A.Open(false)
	mustExec(t, pair.A.Root(),
		"CREATE USER dbpair_archive IDENTIFIED BY 'secret' REQUIRE SSL",
		"GRANT REPLICATION SLAVE, REPLICATION CLIENT, SERVICE_CONNECTION_ADMIN, CONNECTION_ADMIN ON *.* TO dbpair_archive")
	root := t.TempDir()
	folder := filepath.Join(root, "uid-1")
	if err := os.Mkdir(folder, 0o700); err != nil {
		t.Fatal(err)
	}
	location := "file://" + folder
	stopArchiver := archiveOf(t, location, pair)
	client := pair.A.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	fill(t, client)
	older := takeFrom(t, pair.B, location)
	// The order of backups that begin in one second is none.
	mysqldtest.Await(t, "the next second", func() bool {
		return !strings.HasPrefix(older, time.Now().UTC().Format("20060102T150405Z"))
	})
	stop := keepWriting(t, client)
	newest := takeFrom(t, pair.B, location)
	stop()
	mustExec(t, client, "INSERT INTO app.t0 (v) VALUES ('after the backup')")
	awaitArchived(t, location, pair.A)
	stopArchiver()
	settings := pair.B.Member.Settings

	pod := newDrillPod(t, location, settings)
	pod.job.request.RestoreDrill.Replay = true
	r := pod.run(t)
	d := r.RestoreDrill
	if r.Outcome != jobapi.Done || !d.Proven || d.Backup != newest || d.FailedStep != "" || d.Tables < 30 || d.Size == 0 || d.Until == nil {
		t.Fatalf("result %+v, %+v", r, d)
	}
	if want := executed(t, pair.A); d.Reached != want {
		t.Errorf("reached %s, the primary has %s", d.Reached, want)
	}
	copied := gtid.MustParse(d.GTIDs)
	if reached := gtid.MustParse(d.Reached); copied.IsEmpty() || !reached.Covers(copied) || reached.Equal(copied) {
		t.Errorf("copied %s, reached %s", d.GTIDs, d.Reached)
	}
	if d.RestoreTime.Duration <= 0 || d.CopyTime.Duration <= 0 || d.ReplayTime.Duration <= 0 || d.CheckTime.Duration <= 0 {
		t.Errorf("times %+v", d)
	}
	if !strings.Contains(r.Message, newest+" was restored in ") || !strings.Contains(r.Message, "the archive was replayed up to ") {
		t.Errorf("message %q", r.Message)
	}
	isProven(t, location, map[string]bool{older: false, newest: true})

	putBack := damageNewest(t, root)
	pod = newDrillPod(t, location, settings)
	pod.job.request.RestoreDrill.Replay = true
	failsAt(t, pod.run(t), string(drill.StepReplay), "binlog/", "no restore leads beyond it")
	putBack()

	// A restore of the backup alone needs nothing of the archive.
	if err := os.Rename(filepath.Join(folder, "binlog"), filepath.Join(root, "away")); err != nil {
		t.Fatal(err)
	}
	pod = newDrillPod(t, location, settings)
	pod.job.request.RestoreDrill.Replay = true
	if r := pod.run(t); r.Outcome != jobapi.Done || r.RestoreDrill.Reached != "" || !strings.Contains(r.Message, "nothing is archived yet") {
		t.Errorf("without an archive: %+v", r)
	}

	damaged := firstObject(t, filepath.Join(folder, "backups", newest, "s2"))
	content, err := os.ReadFile(damaged)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(damaged, append([]byte{content[0] ^ 1}, content[1:]...), 0o600); err != nil {
		t.Fatal(err)
	}
	failsAt(t, newDrillPod(t, location, settings).run(t), string(drill.StepCopy),
		filepath.Base(damaged), "the next older one is "+older)
	isProven(t, location, map[string]bool{older: false, newest: true})
}

// isProven compares which backups are recorded as proven.
func isProven(t *testing.T, location string, want map[string]bool) {
	t.Helper()
	objects, err := blobstore.Open(t.Context(), location)
	if err != nil {
		t.Fatal(err)
	}
	defer objects.Close()
	listing, err := backup.List(t.Context(), objects)
	if err != nil || len(listing.Backups) != len(want) {
		t.Fatalf("%d backups, %v", len(listing.Backups), err)
	}
	for _, one := range listing.Backups {
		if one.Proven.IsZero() == want[one.ID] {
			t.Errorf("backup %s was proven at %s", one.ID, one.Proven)
		}
	}
}

// TestADrillOfAnEncryptedBackup needs an identity of a recipient.
func TestADrillOfAnEncryptedBackup(t *testing.T) {
	server := mysqldtest.Start(t, mysqldtest.Options{})
	server.Open(false)
	fill(t, server.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false))
	identity, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	other, err := age.GenerateX25519Identity()
	if err != nil {
		t.Fatal(err)
	}
	location := "file://" + t.TempDir()
	nothing := newDrillPod(t, location, server.Member.Settings).run(t)
	failsAt(t, nothing, stepChoose, "there is no complete backup")
	if nothing.RestoreDrill.Problem != v1alpha1.RestoreDrillNoBackup {
		t.Errorf("without a backup: %+v", nothing.RestoreDrill)
	}
	id := takeFrom(t, server, location, "--recipient", identity.Recipient().String())
	failsAt(t, newDrillPod(t, location, server.Member.Settings).run(t), stepChoose, "name the Secret", identityField)
	with := func(text string) *jobapi.Result {
		pod := newDrillPod(t, location, server.Member.Settings)
		pod.job.request.RestoreDrill.Identity = true
		pod.job.drill.identityFile = writeFile(t, "identity", text)
		return pod.run(t)
	}
	failsAt(t, with("nothing"), stepChoose, identityField, "is no age identity")
	failsAt(t, with(other.String()), stepChoose, identityField, "no identity given is of a recipient")
	isProven(t, location, map[string]bool{id: false})
	if r := with(identity.String()); r.Outcome != jobapi.Done || r.RestoreDrill.GTIDs != executed(t, server) || r.RestoreDrill.Reached != "" {
		t.Errorf("with the identity: %+v, %+v", r, r.RestoreDrill)
	}
	isProven(t, location, map[string]bool{id: true})
}

// TestADrillThatIsNoDrillSaysSo: what another pod would meet again ends the Job.
func TestADrillThatIsNoDrillSaysSo(t *testing.T) {
	pod := newDrillPod(t, "", nil)
	pod.job.request.RestoreDrill = nil
	if err := pod.job.run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if r := pod.m.result(t); r == nil || r.Outcome != jobapi.Failed || !strings.Contains(r.Message, "may have lost spec.backup") {
		t.Errorf("result %+v", r)
	}
	err := (&restoreDrill{step: stepArchive}).failure(forGood("so it is"))
	if !lasting(err) || failedDrill(err) == nil || failedDrill(err).FailedStep != stepArchive {
		t.Errorf("%v lasts: %t", err, lasting(err))
	}
	if err := (&restoreDrill{}).failure(os.ErrClosed); lasting(err) {
		t.Errorf("%v lasts", err)
	}
}
