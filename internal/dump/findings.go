package dump

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Kind says what is wrong with a statement of a dump.
type Kind string

// The kinds of findings.
const (
	// Bypass: the statement keeps what follows out of the binary log, or changes what the
	// server takes for executed. What is loaded would be on one member only. Strip takes
	// these out.
	Bypass Kind = "bypasses the binary log"
	// Replication: the statement changes the pair's replication or throws binary logs away.
	Replication Kind = "changes replication"
	// System: the statement writes into a schema of the server's own, where the pair's
	// accounts are.
	System Kind = "writes into a system schema"
	// Engine: the table's storage engine is disabled on the pair.
	Engine Kind = "uses a storage engine that is disabled"
	// Definer: the account of a view, routine, trigger or event does not exist, so that it
	// fails when it is used.
	Definer Kind = "names a definer that does not exist"
)

// Finding is one kind of statement with one subject, however often it occurs.
type Finding struct {
	Kind Kind
	// Subject is the variable, schema, engine or account.
	Subject string
	// Line is the first one, counted from 1.
	Line int
	// Count is how often it occurs.
	Count int
}

func (f Finding) String() string {
	more := ""
	if f.Count > 1 {
		more = fmt.Sprintf(" and %d more", f.Count-1)
	}
	return fmt.Sprintf("line %d%s: %s: %s", f.Line, more, f.Kind, f.Subject)
}

// Rules is what the server accepts.
type Rules struct {
	// DisabledEngines are compared without case.
	DisabledEngines []string
	// Accounts are "user@host", without quotes.
	Accounts []string
}

// Check reads a whole dump and names what must not be loaded, in the order of the lines. It
// changes nothing. It fails with ErrCutOff when the dump ends in the middle of a statement, or
// lacks the last line that mysqldump writes.
func Check(in io.Reader, rules Rules) ([]Finding, error) {
	c := &checker{rules: rules, found: map[Finding]*Finding{}}
	s := newScanner(in, c.judge, func([]byte) error { return nil })
	s.comment = c.seeComment
	if err := s.run(); err != nil {
		return nil, err
	}
	if c.begun && !c.completed {
		return nil, fmt.Errorf("%w: its last line is not \"-- Dump completed\"", ErrCutOff)
	}
	var all []Finding
	for _, f := range c.found {
		all = append(all, *f)
	}
	slices.SortFunc(all, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Kind, b.Kind), cmp.Compare(a.Subject, b.Subject))
	})
	return all, nil
}

// Strip copies a dump without the statements of the kind Bypass. Lines keep their numbers. It
// blocks as long as in and out do.
func Strip(in io.Reader, out io.Writer) error {
	s := newScanner(in,
		func(one statement) bool { return bypasses(one.code) != "" },
		func(text []byte) error {
			_, err := out.Write(text)
			return err
		})
	err := s.run()
	if errors.Is(err, ErrCutOff) {
		return errors.Join(err, s.flush())
	}
	return err
}

type checker struct {
	rules     Rules
	found     map[Finding]*Finding
	begun     bool
	completed bool
}

func (c *checker) seeComment(text []byte) {
	switch {
	case bytes.HasPrefix(text, []byte("-- MySQL dump ")), bytes.HasPrefix(text, []byte("-- MariaDB dump ")):
		c.begun = true
	case bytes.HasPrefix(text, []byte("-- Dump completed")):
		c.completed = true
	}
}

func (c *checker) judge(one statement) bool {
	if subject := bypasses(one.code); subject != "" {
		c.note(one, Bypass, subject)
	}
	if subject := replicates(one.code); subject != "" {
		c.note(one, Replication, subject)
	}
	if subject := systemSchema(one.code); subject != "" {
		c.note(one, System, subject)
	}
	if isDefinition(one.code) {
		c.judgeDefinition(one)
	}
	return false
}

func (c *checker) note(one statement, kind Kind, subject string) {
	key := Finding{Kind: kind, Subject: subject}
	f := c.found[key]
	if f == nil {
		f = &Finding{
			Kind:    kind,
			Subject: subject,
			Line:    one.line,
		}
		c.found[key] = f
	}
	f.Count++
}

var (
	ofEngine  = regexp.MustCompile(`(?i)\bENGINE ?=? ?([A-Za-z_]+)`)
	ofTable   = regexp.MustCompile(`(?i)^CREATE (TEMPORARY )?TABLE `)
	ofDefiner = regexp.MustCompile("(?i)\\bDEFINER ?= ?(?:`([^`]*)`|([\\w.$-]+)) ?@ ?(?:`([^`]*)`|([\\w.%-]+))")
	ofSchema  = regexp.MustCompile("(?i)^(?:USE|CREATE (?:DATABASE|SCHEMA)(?: IF NOT EXISTS)?|DROP (?:DATABASE|SCHEMA)(?: IF EXISTS)?)" +
		" `?(mysql|sys|information_schema|performance_schema)`?(?: |$)")
	ofSystemTable = regexp.MustCompile("(?i)^(?:INSERT (?:IGNORE )?INTO|REPLACE INTO|UPDATE|DELETE FROM|TRUNCATE(?: TABLE)?|" +
		"DROP TABLE(?: IF EXISTS)?|ALTER TABLE|CREATE TABLE(?: IF NOT EXISTS)?) `?(mysql|sys)`? ?\\.")
	ofReplication = regexp.MustCompile(`(?i)^((?:CHANGE|START|STOP|RESET) (?:MASTER|SLAVE|REPLICA|REPLICATION|GROUP_REPLICATION|` +
		`BINARY LOGS)|PURGE (?:BINARY|MASTER) LOGS)(?: |$)`)
	ofBypass = regexp.MustCompile(`(?i)^SET (?:@@)?(?:(?:SESSION|GLOBAL|LOCAL|PERSIST)[. ] ?)?(SQL_LOG_BIN|GTID_PURGED|GTID_NEXT)\b`)
)

// bypasses names the variable by which a SET statement bypasses the binary log; empty for none.
func bypasses(code []byte) string {
	for _, assignment := range assignments(code) {
		if m := ofBypass.FindSubmatch(assignment); m != nil {
			return strings.ToLower(string(m[1]))
		}
	}
	return ""
}

// assignments are the parts of a SET statement, each with the word SET before it.
func assignments(code []byte) [][]byte {
	if !bytes.EqualFold(code[:min(4, len(code))], []byte("SET ")) {
		return nil
	}
	var all [][]byte
	for part := range bytes.SplitSeq(code[4:], []byte(",")) {
		all = append(all, append([]byte("SET "), bytes.TrimSpace(part)...))
	}
	return all
}

func replicates(code []byte) string {
	if m := ofReplication.FindSubmatch(code); m != nil {
		return strings.ToUpper(string(m[1]))
	}
	return ""
}

func systemSchema(code []byte) string {
	for _, of := range []*regexp.Regexp{ofSchema, ofSystemTable} {
		if m := of.FindSubmatch(code); m != nil {
			return strings.ToLower(string(m[1]))
		}
	}
	return ""
}

func (c *checker) judgeDefinition(one statement) {
	if ofTable.Match(one.code) {
		for _, m := range ofEngine.FindAllSubmatch(one.code, -1) {
			engine := string(m[1])
			if slices.ContainsFunc(c.rules.DisabledEngines, func(e string) bool { return strings.EqualFold(e, engine) }) {
				c.note(one, Engine, engine)
			}
		}
		return
	}
	if m := ofDefiner.FindSubmatch(one.code); m != nil {
		account := string(m[1]) + string(m[2]) + "@" + string(m[3]) + string(m[4])
		if !slices.Contains(c.rules.Accounts, account) {
			c.note(one, Definer, account)
		}
	}
}
