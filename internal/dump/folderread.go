package dump

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
)

// FileFinding is a finding of one file of a folder.
type FileFinding struct {
	// File is the first one in which it occurs; its lines are counted. It is empty in a dump of one file.
	File string
	Finding
}

func (f FileFinding) String() string {
	if f.File == "" {
		return f.Finding.String()
	}
	return f.File + ": " + f.Finding.String()
}

// Check reads all files as Check does one dump. A finding that several files have is named once.
func (f *Folder) Check(rules Rules) ([]FileFinding, error) {
	found := map[Finding]*FileFinding{}
	for _, one := range f.files {
		if err := f.checkPart(one, rules, found); err != nil {
			return nil, fmt.Errorf("%s: %w", one.name, err)
		}
	}
	var all []FileFinding
	for _, one := range found {
		all = append(all, *one)
	}
	slices.SortFunc(all, func(a, b FileFinding) int {
		return cmp.Or(cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Subject, b.Subject))
	})
	return all, nil
}

func (f *Folder) checkPart(one *part, rules Rules, found map[Finding]*FileFinding) error {
	in, before, err := f.open(one, func(int) {})
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	got, err := Check(in, rules)
	if err != nil {
		return err
	}
	for _, finding := range got {
		key := Finding{Kind: finding.Kind, Subject: finding.Subject}
		if known := found[key]; known != nil {
			known.Count += finding.Count
			continue
		}
		// The line that was put before the file is none of its own; it holds the schema's name.
		finding.Line = max(1, finding.Line-before)
		found[key] = &FileFinding{
			File:    one.name,
			Finding: finding,
		}
	}
	return nil
}

// All reads all files as one dump, which the mysql client can load in one session. It calls read with the number of
// bytes of the files, as they are stored, that it has read since the last call. Place names a line of what was read.
func (f *Folder) All(read func(bytes int)) io.ReadCloser {
	f.starts = nil
	return &folderReader{
		folder: f,
		read:   read,
		line:   1,
	}
}

// Place is the file, and the line in it, of a line of the last reader of All that was read already.
func (f *Folder) Place(line int) string {
	for i, begins := range slices.Backward(f.starts) {
		if line >= begins.head {
			return fmt.Sprintf("line %d of %s", max(1, line-begins.first+1), f.files[i].name)
		}
	}
	return fmt.Sprintf("line %d", line)
}

// start is where a file begins in the whole: the line that is put before it, and its own first one.
type start struct {
	head  int
	first int
}

// folderReader reads one file after the other.
type folderReader struct {
	folder *Folder
	read   func(int)
	next   int
	line   int
	in     io.ReadCloser
	// ended: the last byte was a line break.
	ended bool
}

func (r *folderReader) Read(p []byte) (int, error) {
	for {
		if r.in == nil {
			if r.next == len(r.folder.files) {
				return 0, io.EOF
			}
			if err := r.begin(); err != nil {
				return 0, err
			}
		}
		n, err := r.in.Read(p)
		if n > 0 {
			r.line += bytes.Count(p[:n], []byte("\n"))
			r.ended = p[n-1] == '\n'
			return n, nil
		}
		if err == nil {
			continue
		}
		if !errors.Is(err, io.EOF) {
			return 0, fmt.Errorf("%s: %w", r.folder.files[r.next-1].name, err)
		}
		if err := r.Close(); err != nil {
			return 0, err
		}
	}
}

// begin opens the next file, on a line of its own.
func (r *folderReader) begin() error {
	one := r.folder.files[r.next]
	in, before, err := r.folder.open(one, r.read)
	if err != nil {
		return fmt.Errorf("%s: %w", one.name, err)
	}
	r.next++
	r.in = in
	head := r.line
	if r.next > 1 && !r.ended {
		r.in = readCloser{
			Reader: io.MultiReader(strings.NewReader("\n"), in),
			close:  in.Close,
		}
		head++
	}
	r.folder.starts = append(r.folder.starts, start{head: head, first: head + before})
	return nil
}

// Close ends the file that is being read.
func (r *folderReader) Close() error {
	if r.in == nil {
		return nil
	}
	in := r.in
	r.in = nil
	return in.Close()
}

// readCloser reads from one thing and closes others.
type readCloser struct {
	io.Reader
	close func() error
}

func (r readCloser) Close() error { return r.close() }
