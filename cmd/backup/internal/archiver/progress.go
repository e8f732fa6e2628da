package archiver

import (
	"time"

	"github.com/dbpair/dbpair/cmd/backup/internal/archive"
	"github.com/dbpair/dbpair/internal/gtid"
)

// Progress is how far an archive is. Its times are by the clock of the server that was read.
type Progress struct {
	// Archived is everything that is archived, was there before the archive began, or is missing.
	Archived gtid.Set
	// Until is the newest moment up to which nothing is missing, as an object says it; zero if
	// none does.
	Until time.Time
	// Current is the newest moment at which everything that the server had was in the store;
	// objects say so only from time to time. It is zero as long as this process has not seen one.
	Current time.Time
	// Written counts the objects that this process has written.
	Written int64
	// Member is the address of the server that is read; empty while none is.
	Member string
	// Problem is why the archive does not go on; nil while it does.
	Problem error
	// Gap is the last one that this process found; nil for none.
	Gap *archive.Gap
}

// tell has the caller of Run know how far the archive is.
func (r *runner) tell() {
	r.progress.Archived = r.log.All()
	r.progress.Until = r.log.Complete()
	if r.options.Progress != nil {
		r.options.Progress(r.progress)
	}
}

// fails notes why the archive does not go on.
func (r *runner) fails(err error) {
	r.progress.Problem = err
	r.tell()
}

// reads notes which server is read; empty for none.
func (r *runner) reads(member string) {
	r.progress.Member = member
	r.tell()
}

// wrote notes an object, and the moment up to which nothing is missing with it, if it is known.
func (r *runner) wrote(complete time.Time) {
	r.progress.Written++
	r.goesOn(complete)
}

// goesOn notes that the store has everything up to a moment, or zero.
func (r *runner) goesOn(complete time.Time) {
	if complete.After(r.progress.Current) {
		r.progress.Current = complete
	}
	r.progress.Problem = nil
	r.tell()
}
