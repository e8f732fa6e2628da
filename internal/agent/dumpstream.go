package agent

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"time"

	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/dump"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// dumpSum identifies the contents of a file.
type dumpSum [sha256.Size]byte

// dumpStream is a dump as the Job sends it: the file's own bytes, which may be compressed. It keeps
// apart what is wrong with the connection and what is wrong with the file.
type dumpStream struct {
	from     io.Reader
	hash     hash.Hash
	read     int64
	size     int64 // -1 for unknown
	broken   error // of the connection
	progress func(read, size int64)
	reported authority.Instant
}

func newDumpStream(part dumpPart, progress func(read, size int64)) *dumpStream {
	return &dumpStream{
		from:     part.body,
		hash:     sha256.New(),
		size:     part.size,
		progress: progress,
	}
}

// progressEvery is the time between two reports of how far the stream is.
const progressEvery = time.Second

// Read implements io.Reader.
func (d *dumpStream) Read(p []byte) (int, error) {
	n, err := d.from.Read(p)
	_, _ = d.hash.Write(p[:n])
	d.read += int64(n)
	if err != nil && !errors.Is(err, io.EOF) {
		d.broken = err
	}
	if now := process.Now(); now.Sub(d.reported) >= progressEvery || err != nil {
		d.reported = now
		d.progress(d.read, d.size)
	}
	return n, err
}

// sum is that of what was read so far.
func (d *dumpStream) sum() dumpSum { return dumpSum(d.hash.Sum(nil)) }

// meaning gives an error of what was done with the dump its name.
func (d *dumpStream) meaning(err error) error {
	known := []error{dump.ErrCutOff, errDumpRefused, errDumpFailed, errDumpInterrupted}
	switch {
	case err == nil:
		return nil
	case d.broken != nil:
		return fmt.Errorf("%w: after %d of %d bytes: %w", errDumpInterrupted, d.read, d.size, d.broken)
	case errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the compressed file ends in its middle", dump.ErrCutOff)
	}
	for _, one := range known {
		if errors.Is(err, one) {
			return err
		}
	}
	return fmt.Errorf("%w: %w", errDumpUnreadable, err)
}

// newStage publishes a stage of a load that counts no bytes.
func newStage(state *board, from agentapi.Dump, stage string) {
	state.progress(&agentapi.SeedProgress{Donor: pair.MemberName(from.Name), Stage: stage})
}

// loading publishes the progress of a step.
func loading(state *board, from agentapi.Dump, step agentapi.DumpStep) func(read, size int64) {
	publish := copying(state, pair.MemberName(from.Name))
	return func(read, size int64) {
		publish(mysqlops.CloneProgress{
			Stage: string(step),
			Bytes: read,
			Total: max(size, 0),
		})
	}
}
