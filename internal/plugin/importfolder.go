package plugin

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/dbpair/dbpair/internal/dump"
)

// folderSource is a dump in a folder that mydumper wrote.
type folderSource struct {
	path   string
	folder *dump.Folder
	read   atomic.Int64
}

func openFolder(path string) (*folderSource, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("--dir: %s is no folder: give a dump in one file with --file", path)
	}
	folder, err := dump.OpenFolder(os.DirFS(path))
	if err != nil {
		return nil, fmt.Errorf("--dir: %s: nothing was loaded: %w", path, err)
	}
	return &folderSource{path: path, folder: folder}, nil
}

func (f *folderSource) label() string { return f.path }

func (f *folderSource) close() error { return nil }

func (f *folderSource) place(line int) string { return f.folder.Place(line) }

func (f *folderSource) progress() (read, size int64) { return f.read.Load(), f.folder.Bytes() }

func (f *folderSource) findings(rules dump.Rules) ([]dump.FileFinding, error) {
	return f.folder.Check(rules)
}

func (f *folderSource) open() (io.ReadCloser, error) {
	f.read.Store(0)
	return f.folder.All(func(n int) { f.read.Add(int64(n)) }), nil
}

// folderFits fails where the server lacks a schema that no file makes, or has a table that a file makes: nothing that
// is there is overwritten.
func (c cluster) folderFits(ctx context.Context, primary string, folder *dump.Folder, server accepted) error {
	_, notMade := folder.Schemas()
	for _, schema := range notMade {
		if !slices.Contains(server.Schemas, schema) {
			return fmt.Errorf("--dir: the dump has no %s-schema-create.sql and the pair has no database %q: create it first", schema, schema)
		}
	}
	tables, err := folder.Tables()
	if err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	there, err := c.tablesAt(ctx, primary)
	if err != nil {
		return err
	}
	both := slices.DeleteFunc(tables, func(name string) bool { return !there[name] })
	if len(both) == 0 {
		return nil
	}
	return fmt.Errorf("--dir: nothing was loaded: %d tables or views of the dump are in the pair already, such as %s: "+
		"drop or rename them there first", len(both), strings.Join(both[:min(len(both), 3)], ", "))
}

const tablesQuery = "SELECT COALESCE(JSON_ARRAYAGG(CONCAT(TABLE_SCHEMA, '.', TABLE_NAME)), JSON_ARRAY()) FROM information_schema.TABLES" +
	" WHERE TABLE_SCHEMA NOT IN ('mysql', 'sys', 'information_schema', 'performance_schema')"

// tablesAt are the tables and views of a member, as "schema.table".
func (c cluster) tablesAt(ctx context.Context, primary string) (map[string]bool, error) {
	text, err := output(ctx, c.execer, podCommand{
		namespace: c.namespace,
		pod:       primary,
		argv:      append(asRoot(), "--batch", "--raw", "--skip-column-names", "--execute="+tablesQuery),
	})
	if err != nil {
		return nil, fmt.Errorf("ask mysqld of %s for its tables: %w", primary, err)
	}
	var names []string
	if err := json.Unmarshal(text, &names); err != nil {
		return nil, fmt.Errorf("the answer of mysqld of %s is not JSON: %w", primary, err)
	}
	there := map[string]bool{}
	for _, name := range names {
		there[name] = true
	}
	return there, nil
}

// lastWords passes on what the mysql client prints, and keeps the end of it.
type lastWords struct {
	to io.Writer

	mu   sync.Mutex
	last []byte
}

func (l *lastWords) Write(p []byte) (int, error) {
	const most = 4 << 10
	l.mu.Lock()
	l.last = append(l.last, p...)
	l.last = bytes.Clone(l.last[max(0, len(l.last)-most):])
	l.mu.Unlock()
	return l.to.Write(p)
}

var ofErrorLine = regexp.MustCompile(`ERROR \d+ \(\w+\) at line (\d+)`)

// where is the place in the dump of the last error that the mysql client printed; empty when it printed none.
func (l *lastWords) where(source importSource) string {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := ofErrorLine.FindAllSubmatch(l.last, -1)
	if len(all) == 0 {
		return ""
	}
	line, err := strconv.Atoi(string(all[len(all)-1][1]))
	if err != nil {
		return ""
	}
	return ": it failed at " + source.place(line)
}
