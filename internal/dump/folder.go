package dump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"regexp"
	"slices"
	"strings"
)

// Folder is a dump as mydumper writes it: a file for each part of it, in the order in which they are loaded.
type Folder struct {
	dir   fs.FS
	files []*part
	// starts are those of the files that the last reader of All has begun.
	starts []start
}

// partKind is what a file of a folder makes. Files are loaded in this order: rows before the triggers that they would
// fire, and views after the functions that they call.
type partKind int

const (
	partSchema partKind = iota
	partTable
	partRows
	partTriggers
	partRoutines
	partView
)

// part is one file of a folder.
type part struct {
	name  string
	bytes int64
	kind  partKind
	// schema as the file's name has it, and as the server does.
	schema     string
	realSchema string
	// table, or view, as the file's name has it; empty for a whole schema.
	table string
	// standIn: the file makes a table that stands for a view until the view is made.
	standIn bool
}

// metadataFile is written last by mydumper, or named so last.
const metadataFile = "metadata"

var (
	ofPartName     = regexp.MustCompile(`^(.+?)(-schema-create|-schema-post|-schema-triggers|-schema-view|-schema)?\.sql$`)
	ofChunk        = regexp.MustCompile(`\.\d+$`)
	ofComparison   = regexp.MustCompile(`-(metadata|checksum)$`)
	ofCreateSchema = regexp.MustCompile("(?i)^\\s*CREATE DATABASE\\s+(?:/\\*!\\d+\\s+)?(?:IF NOT EXISTS\\s*)?(?:\\*/\\s*)?`((?:[^`]|``)+)`")
	ofCreateTable  = regexp.MustCompile("(?im)^\\s*CREATE TABLE\\s+(?:IF NOT EXISTS\\s+)?`((?:[^`]|``)+)`")
)

// OpenFolder reads which files a folder of mydumper has. It fails where mydumper has not ended, and names files that
// cannot be loaded. It reads the small files that name schemas; it changes nothing.
func OpenFolder(dir fs.FS) (*Folder, error) {
	entries, err := fs.ReadDir(dir, ".")
	if err != nil {
		return nil, err
	}
	f := &Folder{dir: dir}
	if err := f.isWhole(entries); err != nil {
		return nil, err
	}
	var unsupported []string
	for _, entry := range entries {
		one, why, err := partOf(entry)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			unsupported = append(unsupported, entry.Name()+": "+why)
		case one != nil:
			f.files = append(f.files, one)
		}
	}
	if len(unsupported) > 0 {
		return nil, fmt.Errorf("files that import does not support: %s", listed(unsupported, "; "))
	}
	if err := f.arrange(); err != nil {
		return nil, err
	}
	return f, f.isComplete()
}

// isWhole fails where mydumper did not say that it has ended.
func (f *Folder) isWhole(entries []fs.DirEntry) error {
	has := func(name string) bool {
		return slices.ContainsFunc(entries, func(e fs.DirEntry) bool { return e.Name() == name })
	}
	switch {
	case !has(metadataFile) && has(metadataFile+".partial"):
		return fmt.Errorf("%w: it has metadata.partial and no metadata, so that mydumper did not end: dump again", ErrCutOff)
	case !has(metadataFile):
		return fmt.Errorf("%w: it has no file metadata: give the folder that mydumper wrote, with all of its files", ErrCutOff)
	}
	text, err := fs.ReadFile(f.dir, metadataFile)
	if err != nil {
		return err
	}
	if !bytes.Contains(text, []byte("Finished dump at")) {
		return fmt.Errorf("%w: its file metadata does not say \"Finished dump at\": dump again", ErrCutOff)
	}
	return nil
}

// partOf reads a file's name. It says why the file cannot be loaded; all is empty for a file that needs no loading.
func partOf(entry fs.DirEntry) (one *part, why string, err error) {
	name := entry.Name()
	if entry.IsDir() {
		return nil, "a folder in it: give the one with the files", nil
	}
	plain := strings.TrimSuffix(strings.TrimSuffix(name, ".gz"), ".zst")
	if plain == metadataFile || ofComparison.MatchString(plain) {
		return nil, "", nil
	}
	m := ofPartName.FindStringSubmatch(plain)
	if why := unsupportedPart(plain, m); why != "" {
		return nil, why, nil
	}
	info, err := entry.Info()
	if err != nil {
		return nil, "", err
	}
	kinds := map[string]partKind{
		"-schema-create":   partSchema,
		"-schema-post":     partRoutines,
		"-schema-triggers": partTriggers,
		"-schema-view":     partView,
		"-schema":          partTable,
		"":                 partRows,
	}
	return &part{
		name:   name,
		bytes:  info.Size(),
		kind:   kinds[m[2]],
		schema: m[1], // and the table, until the schemas are known
	}, "", nil
}

func unsupportedPart(plain string, m []string) string {
	switch {
	case m == nil && (strings.HasSuffix(plain, ".dat") || strings.HasSuffix(plain, ".csv")):
		return "rows for LOAD DATA: dump without --load-data and --csv"
	case m == nil && strings.Contains(plain, ".sql."):
		return "compressed by neither gzip nor zstd"
	case m == nil:
		return "not one of mydumper's"
	case strings.HasSuffix(m[1], "-schema-sequence"):
		return "a sequence, which MySQL does not have"
	case strings.HasSuffix(m[1], "-schema-create-tablespace"):
		return "a general tablespace: make it by hand, and dump without --all-tablespaces"
	}
	return ""
}

// arrange tells schemas and tables apart, which a dot in the file's name divides, and sorts the files.
func (f *Folder) arrange() error {
	realNames := map[string]string{}
	for _, one := range f.files {
		if one.kind != partSchema {
			continue
		}
		text, err := f.text(one)
		if err != nil {
			return err
		}
		realNames[one.schema] = one.schema
		if m := ofCreateSchema.FindSubmatch(text); m != nil {
			realNames[one.schema] = unquoted(m[1])
		}
	}
	views := map[string]bool{}
	for _, one := range f.files {
		one.divide(realNames)
		one.realSchema = one.schema
		if name, ok := realNames[one.schema]; ok {
			one.realSchema = name
		}
		if one.kind == partView {
			views[one.key()] = true
		}
	}
	for _, one := range f.files {
		one.standIn = one.kind == partTable && views[one.key()]
	}
	// Names are sorted already, so that the chunks of a table are in order.
	slices.SortStableFunc(f.files, func(a, b *part) int { return int(a.kind) - int(b.kind) })
	return nil
}

// divide parts a schema's name, which may have dots, from that of the table.
func (p *part) divide(schemas map[string]string) {
	whole := p.kind == partSchema || p.kind == partRoutines
	if _, known := schemas[p.schema]; whole || (known && p.kind == partTriggers) {
		return
	}
	at := strings.IndexByte(p.schema, '.')
	for name := range schemas {
		if strings.HasPrefix(p.schema, name+".") && len(name) > at {
			at = len(name)
		}
	}
	if at >= 0 {
		p.table = p.schema[at+1:]
		p.schema = p.schema[:at]
	}
}

func (p *part) key() string { return p.schema + "." + p.table }

// isComplete fails where rows have no table. A dump of rows alone has no tables at all.
func (f *Folder) isComplete() error {
	tables := map[string]bool{}
	for _, one := range f.files {
		if one.kind == partTable {
			tables[one.key()] = true
		}
	}
	if len(f.files) == 0 {
		return errors.New("it has no file to load beside metadata")
	}
	for _, one := range f.files {
		if one.kind == partRows && len(tables) > 0 && !ofKnownTable(one.key(), tables) {
			return fmt.Errorf("%w: %s has rows of a table of which no -schema.sql is there: copy all files of the dump, or dump again",
				ErrCutOff, one.name)
		}
	}
	return nil
}

// ofKnownTable: the numbers of chunks follow the table's name.
func ofKnownTable(key string, tables map[string]bool) bool {
	for {
		if tables[key] {
			return true
		}
		shorter := ofChunk.ReplaceAllString(key, "")
		if shorter == key {
			return false
		}
		key = shorter
	}
}

// Bytes of all files, as they are stored.
func (f *Folder) Bytes() int64 {
	var sum int64
	for _, one := range f.files {
		sum += one.bytes
	}
	return sum
}

// Schemas that the files are for, sorted, and those of them that no file makes.
func (f *Folder) Schemas() (all, notMade []string) {
	made := map[string]bool{}
	for _, one := range f.files {
		all = append(all, one.realSchema)
		if one.kind == partSchema {
			made[one.realSchema] = true
		}
	}
	slices.Sort(all)
	all = slices.Compact(all)
	for _, name := range all {
		if !made[name] {
			notMade = append(notMade, name)
		}
	}
	return all, notMade
}

// Tables and views that the files make, as "schema.table". It reads the files that make them.
func (f *Folder) Tables() ([]string, error) {
	var all []string
	for _, one := range f.files {
		if one.kind != partTable {
			continue
		}
		text, err := f.text(one)
		if err != nil {
			return nil, err
		}
		name := one.table
		if m := ofCreateTable.FindSubmatch(text); m != nil {
			name = unquoted(m[1])
		}
		all = append(all, one.realSchema+"."+name)
	}
	return all, nil
}

// text is a whole file, uncompressed: one without rows.
func (f *Folder) text(one *part) ([]byte, error) {
	in, err := f.dir.Open(one.name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	plain, err := Open(in)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one.name, err)
	}
	defer func() { _ = plain.Close() }()
	text, err := io.ReadAll(io.LimitReader(plain, heldMax+1))
	if err == nil && len(text) > heldMax {
		err = fmt.Errorf("it is longer than %d bytes, which only files with rows may be", heldMax)
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", one.name, err)
	}
	return text, nil
}

func unquoted(name []byte) string { return strings.ReplaceAll(string(name), "``", "`") }

// listed names the first ones and counts the others.
func listed(all []string, separator string) string {
	const most = 5
	if len(all) <= most {
		return strings.Join(all, separator)
	}
	return fmt.Sprintf("%s%sand %d more", strings.Join(all[:most], separator), separator, len(all)-most)
}
