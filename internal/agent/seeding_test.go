package agent

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/gtid"
)

// makes is a mysqld that makes data directories and copies donors. It fails at one step.
type makes struct {
	vol   *volume.Volume
	fails string
	seen  func(step string) // before each step
}

func (m *makes) step(name string) error {
	m.seen(name)
	if m.fails == name {
		return errors.New("disk full")
	}
	return nil
}

func (m *makes) directory(context.Context, ...string) error {
	if err := m.step("make a directory"); err != nil {
		return err
	}
	return errors.Join(os.MkdirAll(m.vol.NewDataDir(), 0o750), os.WriteFile(filepath.Join(m.vol.NewDataDir(), "new"), nil, 0o600))
}

func (m *makes) accounts(context.Context) error { return m.step("make accounts") }

func (m *makes) clone(context.Context, agentapi.SeedCommand) error { return m.step("clone") }

// volumeWith is a volume with data of this identity, whose mysqld wrote one binary log.
func volumeWith(t *testing.T, id volume.Identity) *volume.Volume {
	t.Helper()
	vol := volume.Open(t.TempDir(), "")
	err := errors.Join(vol.Lock(), vol.WriteIdentity(id))
	if id.DataID != "" {
		err = errors.Join(err, os.MkdirAll(vol.DataDir(), 0o750), os.WriteFile(filepath.Join(vol.DataDir(), "binlog.000001"), nil, 0o600))
	}
	if err != nil {
		t.Fatal(err)
	}
	return vol
}

func newTestAdoption(vol *volume.Volume, data *dataset, post func(authority.Event)) *adoption {
	return &adoption{
		vol:      vol,
		data:     data,
		settings: &settings{},
		state:    newTestBoard(),
		post:     post,
	}
}

// Whatever a seed fails at: nothing on the volume looks like complete data that is not.
func TestDataIsCalledVoidBeforeItIsGivenUp(t *testing.T) {
	former := volume.Identity{DataID: "former"}
	for fails, want := range map[string]volume.Identity{
		"":                 {DataID: "copy", Copied: true},
		"make a directory": {DataID: "former", Void: true, Initializing: "copy", Donor: "shop-0"},
		"clone":            {DataID: "former", Void: true, Initializing: "copy", Donor: "shop-0"},
	} {
		t.Run("failing at "+fails, func(t *testing.T) {
			vol := volumeWith(t, former)
			data := &dataset{identity: former}
			state := newTestBoard()
			state.see(authority.View{Serving: authority.Stopped})
			var events []authority.Event
			post := func(e authority.Event) { events = append(events, e) }
			mysqld := &makes{vol: vol, fails: fails}
			mysqld.seen = func(step string) {
				id, _, err := vol.ReadIdentity()
				if err != nil || !id.Void {
					t.Errorf("at %q the volume says %+v, %v", step, id, err)
				}
			}
			primary := heard{state: &agentapi.State{Server: &agentapi.Server{}}}
			s := &seeding{
				log:      logr.Discard(),
				vol:      vol,
				data:     data,
				mysqld:   &instance{},
				state:    state,
				follow:   &changing{},
				make:     mysqld,
				copier:   mysqld,
				adoption: newTestAdoption(vol, data, post),
				givenUp: &discards{
					log:   logr.Discard(),
					vol:   vol,
					data:  data,
					state: state,
					peer:  primary,
				},
				post:     post,
				failures: &failpoints{},
			}
			err := s.try(t.Context(), agentapi.SeedCommand{Donor: "shop-0", DataID: "copy"})
			if (err == nil) != (fails == "") {
				t.Errorf("try = %v", err)
			}
			if id, _, err := vol.ReadIdentity(); err != nil || id != want || data.get() != want {
				t.Errorf("the volume says %+v, %v, and the agent %+v; want %+v", id, err, data.get(), want)
			}
			ready := slices.ContainsFunc(events, func(e authority.Event) bool {
				_, ok := e.(authority.DataReady)
				return ok
			})
			if _, gone := events[0].(authority.DataGone); !gone || ready != (fails == "") {
				t.Errorf("reported %+v", events)
			}
			if _, err := os.Stat(filepath.Join(vol.QuarantineDir(), "former", "binlog.000001")); err != nil {
				t.Errorf("the former binary log is not kept: %v", err)
			}
		})
	}
}

// TestNothingIsRemovedThatCouldNotBeSaved: the quarantine takes no file, as on a full volume. The
// data, which may be the only copy of something, stays where it is.
func TestNothingIsRemovedThatCouldNotBeSaved(t *testing.T) {
	former := volume.Identity{DataID: "former"}
	vol := volumeWith(t, former)
	state := newTestBoard()
	state.see(authority.View{Serving: authority.Stopped})
	data := &dataset{identity: former}
	post := func(authority.Event) {}
	mysqld := &makes{vol: vol}
	mysqld.seen = func(step string) { t.Errorf("%s, though nothing was saved", step) }
	s := &seeding{
		log:      logr.Discard(),
		vol:      vol,
		data:     data,
		mysqld:   &instance{},
		state:    state,
		follow:   &changing{},
		make:     mysqld,
		copier:   mysqld,
		adoption: newTestAdoption(vol, data, post),
		post:     post,
		failures: &failpoints{},
	}
	if err := errors.Join(os.RemoveAll(vol.QuarantineDir()), os.WriteFile(vol.QuarantineDir(), nil, 0o600)); err != nil {
		t.Fatal(err)
	}
	err := s.try(t.Context(), agentapi.SeedCommand{Donor: "shop-0", DataID: "copy"})
	if err == nil || !strings.Contains(err.Error(), "quarantine data former") {
		t.Errorf("try = %v", err)
	}
	if _, err := os.Stat(filepath.Join(vol.DataDir(), "binlog.000001")); err != nil {
		t.Errorf("the binary log is gone: %v", err)
	}
}

func TestAnOpenMemberIsNotSeeded(t *testing.T) {
	for _, serving := range []authority.Serving{
		authority.Opening, authority.Serves, authority.Closing, authority.Killing, authority.Ending,
	} {
		state := newTestBoard()
		state.see(authority.View{Serving: serving})
		s := &seeding{
			mysqld: &instance{},
			state:  state,
			follow: &changing{},
			post:   func(authority.Event) {},
		}
		if err := s.emptyHands(t.Context()); err == nil {
			t.Errorf("a member that is %s gives its data up", serving)
		}
	}
}

func TestAnInitializationIsNamedBeforeAndAfter(t *testing.T) {
	for fails, want := range map[string]volume.Identity{
		"":                 {DataID: "first"},
		"make a directory": {Initializing: "first"},
		"make accounts":    {Initializing: "first"},
	} {
		vol := volumeWith(t, volume.Identity{})
		data := &dataset{}
		mysqld := &makes{
			vol:   vol,
			fails: fails,
			seen: func(step string) {
				if full, err := vol.HasData(); full || err != nil {
					t.Errorf("at %q there is data of its final name (%v)", step, err)
				}
			},
		}
		i := &initializing{
			log:      logr.Discard(),
			vol:      vol,
			data:     data,
			make:     mysqld,
			adoption: newTestAdoption(vol, data, func(authority.Event) {}),
			failures: &failpoints{},
		}
		if err := i.try(t.Context(), "first", mysqld.accounts); (err == nil) != (fails == "") {
			t.Errorf("failing at %q: %v", fails, err)
		}
		if id, _, err := vol.ReadIdentity(); err != nil || id != want {
			t.Errorf("failing at %q: the volume says %+v, %v", fails, id, err)
		}
	}
}

func TestNoTailIsTouchedThatMysqldMayHaveCommitted(t *testing.T) {
	for name, view := range map[string]authority.View{
		"mysqld was started":               {Serving: authority.Booting},
		"mysqld is up":                     {Serving: authority.Shut},
		"it was started since, and killed": {Serving: authority.Stopped, Durable: authority.Durable{TailCommitted: true}},
	} {
		state := newTestBoard()
		state.see(view)
		r := &rewinding{
			log:    logr.Discard(),
			vol:    volume.Open(t.TempDir(), ""),
			mysqld: &instance{},
			state:  state,
			post:   func(authority.Event) {},
		}
		err := r.try(t.Context(), tailOrder{keep: gtid.MustParse(ownUUID + ":1")})
		if err == nil || err.Error() != "mysqld was started meanwhile" {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestATailThatIsKeptIsPublishedWithItsTransactions(t *testing.T) {
	r := &rewinding{vol: volume.Open(t.TempDir(), "")}
	kept := gtid.MustParse(ownUUID + ":4-5")
	if got := r.refusalOf(keptTailError{tail: kept}, tailOrder{}); got.why == "" || got.kept.String() != kept.String() {
		t.Errorf("published %+v", got)
	}
	if got := r.refusalOf(context.DeadlineExceeded, tailOrder{}); got.why != "" || !got.kept.IsEmpty() {
		t.Errorf("an error that says nothing about the tail is published as %+v", got)
	}
	if got := r.refusalOf(nil, tailOrder{}); got.why != "" {
		t.Errorf("no error is published as %+v", got)
	}
}
