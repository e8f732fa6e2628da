package recovery

import (
	"strings"
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/backup"
)

// Window is a time of which every moment can be restored.
type Window struct {
	// From is when the oldest backup that leads into it was complete, and Until up to when
	// nothing is missing in the archive, both in whole microseconds.
	From  time.Time `json:"from"`
	Until time.Time `json:"until"`
	// Backup is the ID of that backup.
	Backup string `json:"backup"`
}

func (w Window) String() string {
	const layout = "2006-01-02T15:04:05.999999Z07:00"
	return w.From.UTC().Format(layout) + " until " + w.Until.UTC().Format(layout)
}

// Windows are the times that can be restored with some backups, the oldest of which comes first:
// at most one for each part of the archive in which nothing is missing. It is pure.
func Windows(c archive.Catalog, backups []backup.Manifest) ([]Window, error) {
	var windows []Window
	for _, run := range c.Runs {
		_, until, ok := run.Window()
		if !ok {
			continue
		}
		until = until.Truncate(time.Microsecond)
		end := run.End()
		for _, m := range backups {
			has, err := contentsOf(m)
			if err != nil {
				return nil, err
			}
			// The archive's times are of commits: a backup has all that were before its end.
			from := m.Finished.Add(time.Microsecond - 1).Truncate(time.Microsecond)
			if !has.reaches(run.Base, end) || from.After(until) {
				continue
			}
			windows = append(windows, Window{
				From:   from,
				Until:  until,
				Backup: m.ID,
			})
			break
		}
	}
	return windows, nil
}

// TargetError is a target that no backup and archive lead to.
type TargetError struct {
	// Reason says why.
	Reason string
	// Windows are what can be restored.
	Windows []Window
}

func (e *TargetError) Error() string {
	if len(e.Windows) == 0 {
		return e.Reason + "; no moment can be restored yet but those of the backups alone"
	}
	each := make([]string, len(e.Windows))
	for i, w := range e.Windows {
		each[i] = w.String()
	}
	return e.Reason + "; what can be restored is " + strings.Join(each, ", and ")
}
