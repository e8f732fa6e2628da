package agent_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
)

// TestANamedTimeZoneAndHashesWorkOnBothMembers: the tables of time zones are loaded and the
// component of MD5() and SHA1() is installed when data is made, and a copy has both. Neither is
// replicated, so an application's statement that needs one would stop an applier without it.
func TestANamedTimeZoneAndHashesWorkOnBothMembers(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	b := w.members[1]
	zone := func(c *agentapi.Config) { c.MySQL["default_time_zone"] = "Europe/Berlin" }
	a.configure(zone)
	b.configure(zone)
	w.bootstrapFresh()
	for _, m := range w.members {
		root := m.db("root")
		for query, want := range map[string]string{
			"SELECT @@GLOBAL.time_zone":                                     "Europe/Berlin",
			"SELECT CONVERT_TZ('2026-01-01 00:00:00', 'UTC', 'Asia/Tokyo')": "2026-01-01 09:00:00",
			"SELECT MD5('1')":                                               "c4ca4238a0b923820dcc509a6f75849b",
			"SELECT SHA1('1')":                                              "356a192b7913b04c54574d18c28d46e6395428ab",
			"SELECT COUNT(*) FROM mysql.component WHERE component_urn = 'file://component_classic_hashing'": "1",
		} {
			var got string
			if err := root.QueryRowContext(t.Context(), query).Scan(&got); err != nil || got != want {
				t.Errorf("%s of %s: %q, %v; want %q", query, m.name, got, err, want)
			}
		}
	}
	// The passive's applier takes a view that uses the function.
	app := a.db("app")
	for _, statement := range []string{
		"CREATE TABLE hashed (id INT PRIMARY KEY)",
		"CREATE VIEW v AS SELECT id, MD5(CAST(id AS CHAR)) AS hash, CONVERT_TZ(NOW(), 'UTC', 'Europe/Berlin') AS at FROM hashed",
		"INSERT INTO hashed VALUES (1)",
	} {
		if err := a.exec(app, statement); err != nil {
			t.Fatal(err)
		}
	}
	root := b.db("root")
	w.await("the view is on the passive", patience, func() bool {
		var hash string
		err := root.QueryRowContext(t.Context(), "SELECT hash FROM app.v").Scan(&hash)
		return err == nil && hash == "c4ca4238a0b923820dcc509a6f75849b"
	})
	// A restart, and a component that someone removed from one member.
	if _, err := b.db("root").ExecContext(t.Context(), "SET GLOBAL super_read_only = OFF"); err != nil {
		t.Fatal(err)
	}
	_, _ = b.db("root").ExecContext(t.Context(), "UNINSTALL COMPONENT 'file://component_classic_hashing'")
	b.kill()
	b.start()
	w.join(b, a)
	var zoneNow, hash string
	row := b.db("root").QueryRowContext(t.Context(), "SELECT @@GLOBAL.time_zone, MD5('1')")
	if err := row.Scan(&zoneNow, &hash); err != nil || zoneNow != "Europe/Berlin" {
		t.Errorf("after a restart: zone %q, hash %q, %v", zoneNow, hash, err)
	}
}

// TestNoDataIsMadeWithAnUnknownTimeZone: mysqld would not start on it.
func TestNoDataIsMadeWithAnUnknownTimeZone(t *testing.T) {
	w := newWorld(t)
	a := w.members[0]
	a.configure(func(c *agentapi.Config) { c.MySQL["default_time_zone"] = "Europe/Berlim" })
	w.write(func(r *authority.Record) { r.Bootstrap = &authority.Bootstrap{Member: a.name, DataID: "data-0"} })
	a.start()
	a.awaitPhase(agentapi.PhaseEmpty, patience)
	if _, err := a.client.Initialize(t.Context(), agentapi.InitializeCommand{Command: w.head(), DataID: "data-0"}); err != nil {
		t.Fatal(err)
	}
	a.awaitProblem(agentapi.ProblemConfigInvalid, patience, `"default_time_zone": check time zone: unknown time zone "Europe/Berlim"`)
	if s := a.awaitPhase(agentapi.PhaseEmpty, patience); s.DataID != "" {
		t.Errorf("data %q was made", s.DataID)
	}
}
