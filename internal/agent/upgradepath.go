package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// upgradeHistory is the file in which mysqld keeps the versions that its data directory was
// started with, the newest last. MySQL has it since 8.4.
const upgradeHistory = "mysql_upgrade_history"

// series is a release series of MySQL.
type series struct{ major, minor int }

func (s series) String() string { return fmt.Sprintf("%d.%d", s.major, s.minor) }

func (s series) olderThan(o series) bool {
	return s.major < o.major || (s.major == o.major && s.minor < o.minor)
}

// longTermSeries are those with long-term support, oldest first. An upgrade passes over none of them,
// and only within one is a release older than the data accepted. Later ones are not known here:
// mysqld itself judges those.
var longTermSeries = []series{{8, 4}, {9, 7}}

// release is a version of MySQL; patch is 0 when the text does not say it.
type release struct {
	series
	patch int
}

// releaseOf parses a version such as 9.7.4 or 8.4.6-6.1; false when it makes no sense.
func releaseOf(version string) (release, bool) {
	var r release
	n, _ := fmt.Sscanf(version, "%d.%d.%d", &r.major, &r.minor, &r.patch)
	return r, n >= 2
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

// checkData refuses a mysqld that MySQL does not let use the data, before it is started: it would end at
// once, after it has opened the files.
func (i *image) checkData(dataDir string) error {
	data, err := dataVersion(dataDir)
	if err != nil {
		i.state.problem(problemOfVolume(err), err.Error())
		return err
	}
	program := i.running.program()
	if err := refuseDowngrade(data, program); err != nil {
		i.state.problem(agentapi.ProblemMysqldTooOld, err.Error())
		return err
	}
	i.state.resolve(agentapi.ProblemMysqldTooOld)
	if err := refuseSkippedSeries(data, program); err != nil {
		i.state.problem(agentapi.ProblemUpgradePath, err.Error())
		return err
	}
	i.state.resolve(agentapi.ProblemUpgradePath)
	return nil
}

// refuseDowngrade says why this mysqld is too old for data of that version; nil when it is not, or
// when that is not known.
func refuseDowngrade(data, program string) error {
	had, ok := releaseOf(data)
	has, known := releaseOf(program)
	if !ok || !known {
		return nil
	}
	what := fmt.Sprintf("the data was used by MySQL %s and the image's mysqld is %s", data, program)
	innovation := had.olderThan(longTermSeries[len(longTermSeries)-1]) && !slices.Contains(longTermSeries, had.series)
	switch {
	case has.olderThan(had.series):
		return fmt.Errorf("%s: MySQL cannot go back to an older series; set spec.mysql.image to one with MySQL %s or newer", what, had.series)
	case has.series == had.series && has.patch < had.patch && innovation:
		return fmt.Errorf("%s: MySQL cannot go back within an innovation series; set spec.mysql.image to one with MySQL %s or newer", what, data)
	}
	return nil
}

// refuseSkippedSeries says why data of that version cannot be upgraded to this mysqld in one step; nil
// when it can, or when that is not known.
func refuseSkippedSeries(data, program string) error {
	had, ok := releaseOf(data)
	has, known := releaseOf(program)
	if !ok || !known {
		return nil
	}
	for _, stop := range longTermSeries {
		if had.olderThan(stop) && stop.olderThan(has.series) {
			return fmt.Errorf("the data was used by MySQL %s and the image's mysqld is %s: MySQL upgrades pass over no series with "+
				"long-term support; set spec.mysql.image to one with MySQL %s first, and to this one when the pair is ready", data, program, stop)
		}
	}
	return nil
}
