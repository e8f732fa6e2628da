package agent_test

import (
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// foreignDonor is a server outside of the pair with rows and accounts of its own, and everything
// that a pair must not take over from it.
func foreignDonor(t *testing.T) (*mysqldtest.Instance, agentapi.ForeignDonor) {
	t.Helper()
	donor := mysqldtest.Start(t, mysqldtest.Options{Bare: true})
	ca, err := os.ReadFile(donor.TLSFiles().CA)
	if err != nil {
		t.Fatal(err)
	}
	root := donor.Root()
	for _, statement := range []string{
		"SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = OFF", "SET GLOBAL offline_mode = OFF",
		"CREATE DATABASE app", "CREATE TABLE app.t (id INT PRIMARY KEY AUTO_INCREMENT, v INT)",
		"INSERT INTO app.t (v) VALUES (1), (2), (3)",
		"CREATE DEFINER = root@localhost VIEW app.seen AS SELECT COUNT(*) AS n FROM app.t",
		"CREATE USER donor IDENTIFIED BY 'donor-secret'", "GRANT BACKUP_ADMIN, SELECT ON *.* TO donor",
		"CREATE USER reader IDENTIFIED BY 'reader-secret'", "GRANT SELECT ON app.* TO reader",
		"CREATE USER app@'%' IDENTIFIED BY 'donors'", "CREATE USER app@'127.0.0.1' IDENTIFIED BY 'donors'",
		"CREATE USER dbpair_clone@'%' IDENTIFIED BY 'donors'", "GRANT ALL ON *.* TO dbpair_clone@'%'",
		"CREATE USER root@'%' IDENTIFIED BY 'donors'", "GRANT ALL ON *.* TO root@'%'",
		"CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = 1, SOURCE_USER = 'x' FOR CHANNEL 'old'",
		"SET PERSIST max_connections = 77",
		"ALTER USER root@localhost IDENTIFIED BY 'donors'", "ALTER USER root@localhost IDENTIFIED BY 'newer' RETAIN CURRENT PASSWORD",
	} {
		if _, err := root.ExecContext(t.Context(), statement); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
	// A rule that the pair's passwords do not obey; not every build has the component.
	if _, err := root.ExecContext(t.Context(), "INSTALL COMPONENT 'file://component_validate_password'"); err != nil {
		t.Logf("without rules for passwords: %v", err)
	} else if _, err := root.ExecContext(t.Context(), "SET PERSIST validate_password.policy = STRONG"); err != nil {
		t.Fatal(err)
	}
	return donor, agentapi.ForeignDonor{
		Host: "127.0.0.1", Port: donor.Member.Port, User: "donor", Password: "donor-secret", CA: string(ca),
	}
}

// initializeFrom orders the copy until it is taken.
func (w *world) initializeFrom(m *member, donor agentapi.ForeignDonor) {
	w.t.Helper()
	w.insist("the order is taken", func() bool {
		s, err := m.client.State(w.t.Context(), 0, 0, false)
		if err != nil || s.Phase != agentapi.PhaseEmpty {
			return false
		}
		_, err = m.client.Initialize(w.t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0", Donor: &donor})
		return err == nil
	})
}

// openFirst makes the member with the first data the first primary.
func (w *world) openFirst(m *member) {
	w.t.Helper()
	w.write(func(r *authority.Record) {
		r.Bootstrap = nil
		r.Data[m.name] = "data-0"
		r.Epoch, r.Holder = 1, m.holder()
		r.Ledger = authority.Ledger{Version: 1, State: authority.Solo, First: m.name}
	})
	if _, err := m.client.ReadLease(w.t.Context(), w.head()); err != nil {
		w.t.Fatal(err)
	}
	m.awaitPhase(agentapi.PhaseOpen, patience)
}

// knows tries an account over the clients' port, or root's over the socket.
func (m *member) knows(user, password string) error {
	cfg := mysql.NewConfig()
	cfg.User, cfg.Passwd, cfg.Net, cfg.Addr = user, password, "tcp", m.addr("mysql")
	cfg.TLSConfig = "skip-verify"
	if user == "root" {
		cfg.Net, cfg.Addr, cfg.TLSConfig = "unix", m.path("run", "mysqld.sock"), ""
	}
	cfg.Timeout = patience
	cfg.Logger = &mysql.NopLogger{}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return err
	}
	db := sql.OpenDB(connector)
	defer db.Close()
	return db.PingContext(m.w.t.Context())
}

// A pair that begins with the data of a server outside of it has that one's rows and foreign
// accounts, accounts of its own by its own passwords, and nothing that leads back to it.
func TestAPairBeginsWithTheDataOfAForeignServer(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	_, donor := foreignDonor(t)
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	b.start()
	w.initializeFrom(a, donor)
	a.awaitState("it copies", patience, func(s agentapi.State) bool {
		return s.Seed != nil && string(s.Seed.Donor) == fmt.Sprintf("127.0.0.1:%d", donor.Port)
	})
	a.awaitPhase(agentapi.PhaseClosed, patience)
	for _, user := range []string{"root", "app", "dbpair_clone"} {
		if err := a.knows(user, "donors"); err == nil {
			t.Errorf("before it opens, %s logs in with the donor's password", user)
		}
	}
	w.openFirst(a)
	w.seed(b, a, "data-1")
	w.join(b, a)

	app := a.db("app")
	if err := a.exec(app, "INSERT INTO app.t (v) VALUES (4)"); err != nil {
		t.Errorf("the application's account: %v", err)
	}
	for _, m := range w.members {
		root := m.db("root")
		w.await("the rows are on "+string(m.name), patience, func() bool {
			var n int
			return root.QueryRowContext(t.Context(), "SELECT n FROM app.seen").Scan(&n) == nil && n == 4
		})
		var channels, connections int
		err := errors.Join(
			root.QueryRowContext(t.Context(),
				"SELECT COUNT(*) FROM performance_schema.replication_connection_configuration WHERE CHANNEL_NAME = 'old'").Scan(&channels),
			root.QueryRowContext(t.Context(), "SELECT @@GLOBAL.max_connections").Scan(&connections),
		)
		if err != nil || channels != 0 || connections == 77 {
			t.Errorf("%s has %d channels and %d connections of the donor's: %v", m.name, channels, connections, err)
		}
		if _, err := os.Stat(m.path("data", "mysql", "mysqld-auto.cnf")); err == nil {
			t.Errorf("%s has the donor's persisted settings", m.name)
		}
	}
	if err := a.knows("reader", "reader-secret"); err != nil {
		t.Errorf("an account of the donor's: %v", err)
	}
	var hosts string
	err := a.db("root").QueryRowContext(t.Context(),
		"SELECT GROUP_CONCAT(User, '@', Host ORDER BY User, Host) FROM mysql.user WHERE User IN ('root', 'app', 'dbpair_clone')").Scan(&hosts)
	if err != nil || hosts != "app@%,dbpair_clone@%,root@localhost" {
		t.Errorf("accounts %s, %v", hosts, err)
	}
	for _, password := range []string{"donors", "newer"} {
		if err := a.knows("root", password); err == nil {
			t.Errorf("root logs in with the donor's password %s", password)
		}
	}
}

// Each reason for which a donor cannot be copied has its name, and nothing is left of the attempt.
func TestADonorThatCannotBeCopiedIsRefusedByName(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	server, good := foreignDonor(t)
	server.SetPassword(mysqlops.NewSecret("newer"))
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	refused := func(what string, code agentapi.ProblemCode, says string, change func(*agentapi.ForeignDonor)) {
		t.Helper()
		donor := good
		change(&donor)
		w.initializeFrom(a, donor)
		s := a.awaitProblem(code, patience, says)
		if s.DataID != "" {
			t.Errorf("%s: data %s", what, s.DataID)
		}
	}
	refused("nobody there", agentapi.ProblemDonorUnreachable, "cannot be reached", func(d *agentapi.ForeignDonor) {
		d.Port = mysqldtest.FreePort(t)
	})
	refused("a wrong password", agentapi.ProblemDonorDenied, "refuses the account", func(d *agentapi.ForeignDonor) { d.Password = "no" })
	refused("another authority", agentapi.ProblemDonorCertificate, "certificate", func(d *agentapi.ForeignDonor) {
		d.CA = string(w.ca.CertPEM)
	})
	refused("no authority", agentapi.ProblemDonorCertificate, "no certificate in PEM", func(d *agentapi.ForeignDonor) { d.CA = "no" })
	refused("without the right", agentapi.ProblemDonorDenied, "BACKUP_ADMIN", func(d *agentapi.ForeignDonor) {
		d.User = "reader"
		d.Password = "reader-secret"
	})
	// What has to be told about the donor itself.
	server.Terminate()
	server.BootWith("--disabled-storage-engines=", "--super-read-only=OFF", "--read-only=OFF", "--offline-mode=OFF")
	if _, err := server.Root().ExecContext(t.Context(), "CREATE TABLE app.old (id INT) ENGINE = MyISAM"); err != nil {
		t.Fatal(err)
	}
	refused("MyISAM", agentapi.ProblemDonorEngines, "app.old (MyISAM)", func(*agentapi.ForeignDonor) {})
	server.Terminate()
	server.BootWith("--clone=OFF", "--offline-mode=OFF")
	refused("no plugin", agentapi.ProblemDonorPlugin, "INSTALL PLUGIN clone", func(*agentapi.ForeignDonor) {})
	server.Terminate()
	server.BootWith("--tls-version=", "--offline-mode=OFF")
	refused("TLS disabled", agentapi.ProblemDonorCertificate, "does not offer TLS", func(*agentapi.ForeignDonor) {})
	server.Terminate()
	server.BootWith("--super-read-only=OFF", "--read-only=OFF", "--offline-mode=OFF")
	if _, err := server.Root().ExecContext(t.Context(), "DROP TABLE app.old"); err != nil {
		t.Fatal(err)
	}
	w.initializeFrom(a, good)
	s := a.awaitPhase(agentapi.PhaseClosed, patience)
	for _, problem := range s.Problems {
		if strings.HasPrefix(string(problem.Code), "Donor") {
			t.Errorf("it is still said that %s", problem.Message)
		}
	}
}

// A copy that is interrupted, be it that the agent or the donor is killed in its middle, leaves
// nothing that looks like data, and the next one begins again.
func TestAnInterruptedCopyOfADonorBeginsAgain(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	server, donor := foreignDonor(t)
	server.SetPassword(mysqlops.NewSecret("newer"))
	fill := func(statement string) {
		t.Helper()
		if _, err := server.Root().ExecContext(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	fill("CREATE TABLE app.much (id INT PRIMARY KEY AUTO_INCREMENT, v BLOB)")
	for range 8 {
		fill("INSERT INTO app.much (v) SELECT REPEAT(UUID(), 1500) FROM (SELECT 1 UNION SELECT 2 UNION SELECT 3 UNION SELECT 4) AS four")
	}
	relay := mysqldtest.NewRelay(t, donor.Port)
	donor.Port = relay.Port
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	halfway := func() {
		t.Helper()
		relay.PassAtMost(1 << 20)
		w.initializeFrom(a, donor)
		w.await("the copy is in its middle", patience, relay.Holding)
	}

	halfway()
	a.kill()
	a.awaitNoMysqld()
	relay.Cut()
	a.start()
	s := a.awaitPhase(agentapi.PhaseEmpty, patience)
	if s.DataID != "" {
		t.Errorf("half a copy became data %s", s.DataID)
	}

	// mysqld waits for a donor that is away, and begins again with one that was restarted.
	halfway()
	server.Kill()
	relay.Cut()
	if s := a.now(); s.DataID != "" {
		t.Errorf("half a copy became data %s", s.DataID)
	}
	server.BootWith("--super-read-only=OFF", "--read-only=OFF", "--offline-mode=OFF")
	w.insist("the copy is made", func() bool {
		s, err := a.client.State(t.Context(), 0, 0, false)
		if err == nil && s.Phase == agentapi.PhaseEmpty {
			command := agentapi.InitializeCommand{
				Command: w.head(),
				DataID:  "data-0",
				Donor:   &donor,
			}
			_, err = a.client.Initialize(t.Context(), command)
		}
		return err == nil && s.Phase == agentapi.PhaseClosed && s.DataID == "data-0"
	})
	w.openFirst(a)
	var rows, bytes int
	err := a.db("root").QueryRowContext(t.Context(), "SELECT COUNT(*), SUM(LENGTH(v)) FROM app.much").Scan(&rows, &bytes)
	if err != nil || rows != 32 || bytes != 32*36*1500 {
		t.Errorf("%d rows with %d bytes, %v", rows, bytes, err)
	}
}
