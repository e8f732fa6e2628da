package drill

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/dbpair/dbpair/internal/agent/volume"
)

// The files of the shared directory.
const (
	planFile   = "plan.json"
	stopFile   = "stop"
	reportFile = "report.json"

	// PasswordFile, CAFile, CertFile and KeyFile are written before the plan.
	PasswordFile = "password"
	CAFile       = "ca.crt"
	CertFile     = "tls.crt"
	KeyFile      = "tls.key"
)

// Plan is what is served, and what a copy of it has to be.
type Plan struct {
	// User is the account that is served.
	User string `json:"user"`
	// Bytes is the size of the backup's data.
	Bytes int64 `json:"bytes"`
	// GTIDBefore and GTIDAfter are what the backed up server had executed before and after: the copy stands for
	// a set between them.
	GTIDBefore string `json:"gtidBefore"`
	GTIDAfter  string `json:"gtidAfter"`
	// Port serves the backup on loopback; ReplayPort what was archived after it, 0 for nothing.
	Port       int `json:"port"`
	ReplayPort int `json:"replayPort,omitempty"`
}

// Step is a part of a drill.
type Step string

// The steps of Run, in their order.
const (
	// StepPrepare makes an empty data directory, and looks for room.
	StepPrepare Step = "Prepare"
	// StepCopy has mysqld copy the backup.
	StepCopy Step = "Copy"
	// StepOpen starts mysqld on the copy.
	StepOpen Step = "Open"
	// StepCompare compares its GTIDs with those of the backup.
	StepCompare Step = "Compare"
	// StepCheck checks every table.
	StepCheck Step = "Check"
	// StepReplay replays what was archived.
	StepReplay Step = "Replay"
)

// Report is how far Run is.
type Report struct {
	// Beat grows with every report.
	Beat int64 `json:"beat"`
	Step Step  `json:"step"`
	// Note is for people.
	Note string `json:"note,omitempty"`
	// Ended: Run has come to its end. Error says why the backup was not restored; empty if it was.
	Ended bool   `json:"ended,omitempty"`
	Error string `json:"error,omitempty"`
	// NoRoom: the volume is too small for the data, which says nothing of the backup.
	NoRoom bool `json:"noRoom,omitempty"`
	// ForGood: another attempt would end the same way.
	ForGood bool `json:"forGood,omitempty"`
	Found   `json:"found"`
}

// Found is what a drill has found so far. Durations are nanoseconds.
type Found struct {
	// Tables were checked by mysqld, those of the system included.
	Tables int `json:"tables,omitempty"`
	// Copied is gtid_executed of the copy, and Reached that after the replay; empty without one.
	Copied  string `json:"copied,omitempty"`
	Reached string `json:"reached,omitempty"`
	// Took are the times of the steps.
	Took map[Step]time.Duration `json:"took,omitempty"`
}

// RestoreTime is what a restore takes: every step but the check of the tables, which a restore leaves out.
func (f Found) RestoreTime() time.Duration {
	var all time.Duration
	for step, took := range f.Took {
		if step != StepCheck {
			all += took
		}
	}
	return all
}

// ofBoth is the mode of files that the other container reads, which may run as another user of the same group.
const ofBoth = 0o640

// Shared is the directory that the two containers share.
type Shared string

// File is the path of a file there.
func (d Shared) File(name string) string { return filepath.Join(string(d), name) }

// Write replaces a file for the other container.
func (d Shared) Write(name string, text []byte) error {
	if err := volume.WriteFile(d.File(name), text, ofBoth); err != nil {
		return fmt.Errorf("write %s of the drill: %w", name, err)
	}
	return nil
}

// Begin has Run begin: all other files are there.
func (d Shared) Begin(p Plan) error { return d.writeJSON(planFile, p) }

// Stop has Run end.
func (d Shared) Stop() error { return d.Write(stopFile, nil) }

// Report is what Run said last; false before its first word.
func (d Shared) Report() (Report, bool, error) {
	var out Report
	found, err := d.readJSON(reportFile, &out)
	return out, found, err
}

func (d Shared) plan() (Plan, bool, error) {
	var out Plan
	found, err := d.readJSON(planFile, &out)
	return out, found, err
}

func (d Shared) stopped() bool {
	_, err := os.Stat(d.File(stopFile))
	return err == nil
}

func (d Shared) writeJSON(name string, from any) error {
	text, err := json.Marshal(from)
	if err != nil {
		return fmt.Errorf("encode %s of the drill: %w", name, err)
	}
	return d.Write(name, text)
}

func (d Shared) readJSON(name string, into any) (bool, error) {
	text, err := os.ReadFile(d.File(name))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err == nil {
		err = json.Unmarshal(text, into)
	}
	if err != nil {
		return false, fmt.Errorf("read %s of the drill: %w", name, err)
	}
	return true, nil
}
