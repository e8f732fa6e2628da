package plugin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"sync/atomic"
	"time"

	"github.com/dbpair/dbpair/internal/dump"
)

// importSource is a dump that can be read more than once.
type importSource interface {
	label() string
	// findings reads all of it and names what must not be loaded.
	findings(rules dump.Rules) ([]dump.FileFinding, error)
	// open reads it from its beginning, uncompressed.
	open() (io.ReadCloser, error)
	// progress is how many bytes have been read since the last open, as they are stored, of how many.
	progress() (read, size int64)
	// place names a line of what was read.
	place(line int) string
	close() error
}

// dumpSource is a dump in one file.
type dumpSource struct {
	name  string
	file  *os.File
	start int64
	size  int64
	end   func() error
	// read counts the bytes of the file, as they are stored, since the last open.
	read atomic.Int64
}

func newDumpSource(name string, file *os.File, closeFile func() error) (*dumpSource, error) {
	source := &dumpSource{
		name: name,
		file: file,
		end:  closeFile,
	}
	info, err := file.Stat()
	if err == nil {
		source.size = info.Size()
		source.start, err = source.begin()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", name, err), closeFile())
	}
	return source, nil
}

// begin is where a file begins that the caller may have read in part; a temporary file was just
// written and begins at zero.
func (d *dumpSource) begin() (int64, error) {
	at, err := d.file.Seek(0, io.SeekCurrent)
	if at == d.size {
		return 0, err
	}
	return at, err
}

func (d *dumpSource) label() string { return d.name }

func (d *dumpSource) close() error { return d.end() }

func (d *dumpSource) place(line int) string { return fmt.Sprintf("line %d", line) }

func (d *dumpSource) progress() (read, size int64) { return d.read.Load(), d.size - d.start }

func (d *dumpSource) findings(rules dump.Rules) ([]dump.FileFinding, error) {
	in, err := d.open()
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	found, err := dump.Check(in, rules)
	var all []dump.FileFinding
	for _, f := range found {
		all = append(all, dump.FileFinding{Finding: f})
	}
	return all, err
}

func (d *dumpSource) open() (io.ReadCloser, error) {
	if _, err := d.file.Seek(d.start, io.SeekStart); err != nil {
		return nil, fmt.Errorf("read %s from its beginning: %w", d.name, err)
	}
	d.read.Store(0)
	in, err := dump.Open(counting{from: d.file, count: &d.read})
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", d.name, err)
	}
	return in, nil
}

// showProgress prints how far the dump is every two seconds until the function that it returns
// is called.
func showProgress(out io.Writer, source importSource) (end func()) {
	const every = 2 * time.Second
	stop := make(chan struct{})
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		ticker := time.NewTicker(every)
		defer ticker.Stop()
		began := time.Now()
		for {
			select {
			case <-stop:
				return
			case <-ticker.C:
				read, size := source.progress()
				_, _ = fmt.Fprintln(out, progressLine(read, size, time.Since(began)))
			}
		}
	}()
	return func() {
		close(stop)
		<-ended
	}
}

// progressLine says how much of a file is read and at which rate.
func progressLine(read, size int64, took time.Duration) string {
	const mib = 1 << 20
	percent := int64(100)
	if size > 0 {
		percent = read * 100 / size
	}
	return fmt.Sprintf("%.1f of %.1f MiB (%d %%), %.1f MiB/s", float64(read)/mib, float64(size)/mib, percent, float64(read)/mib/took.Seconds())
}

// counting counts what is read.
type counting struct {
	from  io.Reader
	count *atomic.Int64
}

func (c counting) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.count.Add(int64(n))
	return n, err
}
