package recovery_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/cmd/backup/internal/binlogtest"
	"github.com/dbpair/dbpair/cmd/backup/internal/blobstore"
	"github.com/dbpair/dbpair/cmd/backup/internal/recovery"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/gtid"
)

const server = gtid.ServerUUID("0000000a-0000-0000-0000-00000000abcd")

var start = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

// second is n seconds after the start of the test's history, when transaction n is committed.
func second(n int) time.Time { return start.Add(time.Duration(n) * time.Second) }

func set(last int) gtid.Set {
	if last < 1 {
		return gtid.Set{}
	}
	return gtid.MustParse(fmt.Sprintf("%s:1-%d", server, last))
}

// taken is a backup of a server that wrote transaction most at its end.
func taken(least, most int) backup.Manifest {
	return backup.Manifest{
		ID:         fmt.Sprintf("20260101T12%04dZ-00000000", least),
		Started:    second(least),
		Finished:   second(most),
		GTIDBefore: set(least).String(),
		GTIDAfter:  set(most).String(),
	}
}

// archived is an archive of the transactions first to last, without those between two of them that
// are named as a gap.
func archived(t *testing.T, first, last int, gaps ...[2]int) *archive.Archive {
	t.Helper()
	objects, err := blobstore.Open(t.Context(), "mem://")
	if err != nil {
		t.Fatal(err)
	}
	log, err := archive.Resume(t.Context(), objects, "pair")
	if err != nil {
		t.Fatal(err)
	}
	builder, err := archive.NewBuilder(nil, func(d archive.Draft) error { return log.Append(t.Context(), d, server, time.Time{}) })
	if err != nil {
		t.Fatal(err)
	}
	scanner := binlog.NewScanner(builder)
	write := func(event []byte) {
		if _, err := scanner.Write(event); err != nil {
			t.Fatal(err)
		}
	}
	write(binlogtest.Format("9.7.4"))
	log.Start(set(first - 1))
	for n := first; n <= last; n++ {
		for _, gap := range gaps {
			if n != gap[0] {
				continue
			}
			missing := set(gap[1]).Subtract(set(gap[0] - 1))
			if _, err := log.Gap(t.Context(), missing, server); err != nil {
				t.Fatal(err)
			}
			n = gap[1] + 1
		}
		id := gtid.GTID{
			Server: server,
			Number: int64(n),
		}
		write(binlogtest.Transaction(id, second(n), 5))
		if err := builder.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	opened, err := archive.Open(t.Context(), objects, nil)
	if err != nil {
		t.Fatal(err)
	}
	return opened
}

func target(t *testing.T, moment, id, before string) archive.Target {
	t.Helper()
	parsed, err := archive.ParseTarget(moment, id, before)
	if err != nil {
		t.Fatal(err)
	}
	return parsed
}

func at(n int) string { return second(n).Format(time.RFC3339) }

func numbered(n int) string { return fmt.Sprintf("%s:%d", server, n) }

func TestChoose(t *testing.T) {
	whole := archived(t, 10, 50)
	broken := archived(t, 10, 50, [2]int{26, 29})
	backups := []backup.Manifest{taken(5, 6), taken(12, 14), taken(20, 24), taken(40, 45)}
	early, late := backups[1], backups[3]
	for name, c := range map[string]struct {
		archive *archive.Archive
		backups []backup.Manifest
		target  archive.Target
		begins  backup.Manifest
		// through is the last transaction in the end.
		through int
		says    string
	}{
		"a time":                       {whole, backups, target(t, at(30), "", ""), backups[2], 30, ""},
		"the end of a backup":          {whole, backups, target(t, at(24), "", ""), backups[2], 24, ""},
		"the middle of a backup":       {whole, backups, target(t, at(23), "", ""), early, 23, ""},
		"up to a set":                  {whole, backups, target(t, "", numbered(30)+":33", ""), backups[2], 33, ""},
		"a backup has the set":         {whole, backups, target(t, "", numbered(21), ""), early, 21, ""},
		"before a transaction":         {whole, backups, target(t, "", "", numbered(46)), late, 45, ""},
		"the end":                      {whole, backups, archive.Target{}, late, 50, ""},
		"the end behind a gap":         {broken, backups, archive.Target{}, late, 50, ""},
		"a time behind a gap":          {broken, backups, target(t, at(48), "", ""), late, 48, ""},
		"a time before a gap":          {broken, backups, target(t, at(25), "", ""), backups[2], 25, ""},
		"the archive ends before":      {archived(t, 10, 30), backups, archive.Target{}, late, 0, "does not go on from the last backup, " + late.ID},
		"the end of no archive":        {archived(t, 1, 0), backups, archive.Target{}, late, 0, "no archive"},
		"no archive":                   {archived(t, 1, 0), backups, target(t, at(30), "", ""), late, 0, "no archive"},
		"before every backup":          {whole, backups, target(t, at(13), "", ""), late, 0, "no backup was complete before it"},
		"before the archive":           {whole, backups, target(t, at(7), "", ""), late, 0, at(14) + " until " + at(50)},
		"after the archive":            {whole, backups, target(t, at(60), "", ""), late, 0, "complete up to an earlier time"},
		"the future":                   {whole, backups, target(t, at(200), "", ""), late, 0, "in the future"},
		"inside a gap":                 {broken, backups, target(t, at(27), "", ""), late, 0, "inside a gap"},
		"a transaction of a gap":       {broken, backups, target(t, "", numbered(27), ""), late, 0, at(14) + " until " + at(25) + ", and " + at(45)},
		"behind a gap without backup":  {broken, backups, target(t, at(35), "", ""), late, 0, "no backup was complete before it"},
		"the end without its backup":   {broken, backups[:3], archive.Target{}, late, 0, "does not go on from the last backup, " + backups[2].ID},
		"an archive that is too young": {archived(t, 48, 50), backups, target(t, at(49), "", ""), late, 0, "those of the backups alone"},
	} {
		t.Run(name, func(t *testing.T) {
			plan, err := recovery.Choose(t.Context(), c.archive, c.backups, c.target, second(100))
			if c.says != "" {
				if err == nil || !strings.Contains(err.Error(), c.says) {
					t.Errorf("got %v, want %q", err, c.says)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if plan.Backup.ID != c.begins.ID {
				t.Errorf("it begins with %s", plan.Backup.ID)
			}
			if !plan.Cut.Through.Equal(set(c.through)) {
				t.Errorf("it ends with %s, want %d", plan.Cut.Through, c.through)
			}
		})
	}
	if _, err := recovery.Choose(t.Context(), archived(t, 1, 0), backups, target(t, at(30), "", ""), second(100)); !errors.Is(err, recovery.ErrNoArchive) {
		t.Errorf("without an archive: %v", err)
	}
}

func TestWindows(t *testing.T) {
	a := archived(t, 10, 50, [2]int{26, 29})
	got, err := recovery.Windows(a.Catalog(), []backup.Manifest{taken(5, 6), taken(12, 14), taken(20, 24), taken(40, 45)})
	want := []recovery.Window{
		{From: second(14), Until: second(25), Backup: taken(12, 14).ID},
		{From: second(45), Until: second(50), Backup: taken(40, 45).ID},
	}
	if diff := cmp.Diff(want, got); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
}
