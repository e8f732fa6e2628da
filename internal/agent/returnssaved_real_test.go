package agent_test

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// binlogs are the bytes of the binary logs of a member whose mysqld does not run.
func (r *returns) binlogs(m *member) map[string][]byte {
	r.t.Helper()
	files, err := filepath.Glob(filepath.Join(m.path("data"), "*", "binlog.[0-9]*"))
	if err != nil || len(files) == 0 {
		r.t.Fatalf("binary logs of %s: %q, %v", m.name, files, err)
	}
	out := map[string][]byte{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			r.t.Fatal(err)
		}
		out[filepath.Base(file)] = text
	}
	return out
}

// checkSaved: an entry of the quarantine has what was given up, decoded and as it was in the binary
// logs.
func (r *returns) checkSaved(m *member, before map[string][]byte, given gtid.Set) {
	t := r.t
	t.Helper()
	var list agentapi.QuarantineList
	r.decode(m, &list, "list")
	var entry agentapi.QuarantineEntry
	for _, one := range list.Entries {
		if one.Problem == "" && gtid.MustParse(one.GTIDs).Covers(given) && one.SavedAt.After(entry.SavedAt) {
			entry = one
		}
	}
	if entry.Name == "" {
		t.Fatalf("no entry of the quarantine has %s: %+v", given, list.Entries)
	}
	shown := r.shown(m, entry.Name, given)
	if !shown.Equal(given) {
		t.Errorf("%s shows %s of %s", entry.Name, shown, given)
	}
	same := 0
	for _, file := range entry.Files {
		text := r.quarantined(m, "cat", entry.Name, file.Name)
		switch entry.Kind {
		case agentapi.QuarantineData:
			if was, ok := before[filepath.Base(file.Name)]; ok {
				same++
				if !bytes.Equal(text, was) {
					t.Errorf("%s of %s is not what the binary log was", file.Name, entry.Name)
				}
			}
		case agentapi.QuarantineTail:
			same += r.checkTail(m, before, text)
		case agentapi.QuarantineRelayLog:
		}
	}
	if entry.Kind == agentapi.QuarantineData {
		r.checkNoted(m, given)
	}
	if same == 0 || (entry.Kind == agentapi.QuarantineData && same != len(before)) {
		t.Errorf("%d files of %s are those of %d binary logs", same, entry.Name, len(before))
	}
}

// checkNoted: a member that was copied publishes what that gave up.
func (r *returns) checkNoted(m *member, given gtid.Set) {
	r.t.Helper()
	d := m.now().Discarded
	if d == nil || !gtid.MustParse(d.GTIDs).Equal(given) || d.Transactions != given.Count() || d.NotSaved != "" || d.Problem != "" {
		r.t.Errorf("%s says that it gave up %+v, want %s", m.name, d, given)
		return
	}
	if len(d.List) != min(int(given.Count()), agentapi.MostGivenUp) {
		r.t.Errorf("%d of %d transactions are listed", len(d.List), given.Count())
	}
	for _, one := range d.List {
		if len(one.Tables) == 0 && len(one.Statements) == 0 {
			r.t.Errorf("%s has no table", one.GTID)
		}
	}
}

// checkTail counts the binary logs that were cut and whose end is the end of what was saved.
func (r *returns) checkTail(m *member, before map[string][]byte, saved []byte) int {
	r.t.Helper()
	same := 0
	for name, now := range r.binlogs(m) {
		was, ok := before[name]
		if ok && len(now) < len(was) && bytes.HasSuffix(saved, was[len(now):]) {
			same++
		}
	}
	return same
}

// shown are the transactions that the quarantine decodes.
func (r *returns) shown(m *member, entry string, given gtid.Set) gtid.Set {
	r.t.Helper()
	decoder := json.NewDecoder(bytes.NewReader(r.quarantined(m, "show", "--gtids", given.String(), entry)))
	for {
		var one agentapi.QuarantineRecord
		if err := decoder.Decode(&one); err != nil {
			r.t.Fatalf("%s has no summary: %v", entry, err)
		}
		if one.Summary != nil {
			return gtid.MustParse(one.Summary.GTIDs)
		}
	}
}

func (r *returns) decode(m *member, into any, args ...string) {
	r.t.Helper()
	if err := json.Unmarshal(r.quarantined(m, args...), into); err != nil {
		r.t.Fatal(err)
	}
}

// quarantined is what "agent quarantine" prints.
func (r *returns) quarantined(m *member, args ...string) []byte {
	r.t.Helper()
	var out bytes.Buffer
	all := append([]string{args[0], "--data-dir", m.path("data")}, args[1:]...)
	if err := quarantine.Run(all, &out); err != nil {
		r.t.Fatalf("quarantine %q: %v", args, err)
	}
	return out.Bytes()
}
