package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// upgradeHistory is the file in which mysqld keeps the versions that its data directory was
// started with, the newest last. MySQL has it since 8.4.
const upgradeHistory = "mysql_upgrade_history"

// series is a release series of MySQL; data can be used by the series that made it and by newer ones.
type series struct{ major, minor int }

func (s series) olderThan(o series) bool {
	return s.major < o.major || (s.major == o.major && s.minor < o.minor)
}

func seriesOf(version string) (series, bool) {
	var s series
	if n, err := fmt.Sscanf(version, "%d.%d", &s.major, &s.minor); err != nil || n != 2 {
		return series{}, false
	}
	return s, true
}

// dataVersion is the version of mysqld that a data directory was started with last; empty when
// it does not say so. mysqld itself judges such a directory.
func dataVersion(dataDir string) (string, error) {
	text, err := os.ReadFile(filepath.Join(dataDir, upgradeHistory))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read the versions of the data directory: %w", err)
	}
	var history struct {
		Entries []struct {
			Version string `json:"version"`
		} `json:"upgrade_history"`
	}
	if err := json.Unmarshal(text, &history); err != nil || len(history.Entries) == 0 {
		return "", nil //nolint:nilerr // a format that is not known says nothing
	}
	return history.Entries[len(history.Entries)-1].Version, nil
}

// checkData refuses a mysqld that is older than the data, before it is started: it would end at once,
// after it has opened the files. Within a series MySQL allows it.
func (i *image) checkData(dataDir string) error {
	data, err := dataVersion(dataDir)
	if err != nil {
		i.state.problem(problemOfVolume(err), err.Error())
		return err
	}
	if err := refuseDowngrade(data, i.running.program()); err != nil {
		i.state.problem(agentapi.ProblemMysqldTooOld, err.Error())
		return err
	}
	i.state.resolve(agentapi.ProblemMysqldTooOld)
	return nil
}

// refuseDowngrade says why this mysqld cannot use data of that version; nil when it can, or when
// that is not known.
func refuseDowngrade(data, program string) error {
	had, ok := seriesOf(data)
	has, known := seriesOf(program)
	if !ok || !known || !has.olderThan(had) {
		return nil
	}
	return fmt.Errorf("the data was used by MySQL %s and the image's mysqld is %s: MySQL cannot go back to an older series; "+
		"set spec.mysql.image to one with MySQL %d.%d or newer",
		data, program, had.major, had.minor)
}
