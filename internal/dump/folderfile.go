package dump

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// sessionOf is what the session has to be set to for a file: mydumper's own files set the rest. Rows are written for
// the default quotes and may have a zero in an AUTO_INCREMENT column. What has code of its own was written for the
// sql_mode and time zone of its server, which older versions of mydumper do not record: this server's take their place.
func sessionOf(kind partKind) string {
	const common = "SET NAMES utf8mb4; SET SESSION foreign_key_checks = 0, unique_checks = 0, "
	switch kind {
	case partTriggers, partRoutines, partView:
		return common + "time_zone = @@GLOBAL.time_zone, sql_mode = @@GLOBAL.sql_mode;"
	case partSchema, partTable, partRows:
	}
	return common + "time_zone = '+00:00', sql_mode = 'NO_AUTO_VALUE_ON_ZERO';"
}

// open reads a file as the mysql client can load it, and says how many lines were put before its own.
func (f *Folder) open(one *part, read func(int)) (in io.ReadCloser, before int, err error) {
	head := sessionOf(one.kind)
	if one.kind != partSchema {
		head += fmt.Sprintf(" USE `%s`;", strings.ReplaceAll(one.realSchema, "`", "``"))
	}
	head += "\n"
	if one.kind == partRows {
		return f.openRows(one, head, read)
	}
	text, err := f.text(one)
	if err != nil {
		return nil, 0, err
	}
	read(int(one.bytes))
	switch one.kind {
	case partSchema:
		text = ifNotExists(text)
	case partTable:
		if one.standIn {
			text = ofStandInEngine.ReplaceAll(text, []byte(")ENGINE=InnoDB;"))
		}
	case partTriggers, partRoutines:
		if text, err = delimited(repairCharacterSets(text)); err != nil {
			return nil, 0, err
		}
		before = 1
	case partRows, partView:
	}
	return io.NopCloser(io.MultiReader(strings.NewReader(head), bytes.NewReader(text))), before + 1, nil
}

func (f *Folder) openRows(one *part, head string, read func(int)) (in io.ReadCloser, before int, err error) {
	file, err := f.dir.Open(one.name)
	if err != nil {
		return nil, 0, err
	}
	plain, err := Open(counted{from: file, read: read})
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return readCloser{
		Reader: io.MultiReader(strings.NewReader(head), plain),
		close:  func() error { return errors.Join(plain.Close(), file.Close()) },
	}, 1, nil
}

// counted tells how much is read.
type counted struct {
	from io.Reader
	read func(int)
}

func (c counted) Read(p []byte) (int, error) {
	n, err := c.from.Read(p)
	c.read(n)
	return n, err
}

// ofStandInEngine is the end of a table that stands for a view: an engine that a pair does not have.
var ofStandInEngine = regexp.MustCompile(`(?i)\)\s*ENGINE\s*=\s*\w+;`)

var ofBareCreate = regexp.MustCompile("(?i)^(\\s*CREATE DATABASE\\s+)`")

// ifNotExists keeps a schema that is there already, such as the application's.
func ifNotExists(text []byte) []byte {
	return ofBareCreate.ReplaceAll(text, []byte("${1}IF NOT EXISTS `"))
}

// ofShiftedSets are the lines that mydumper 0.10 writes for a routine of MySQL 8.0 and newer: each value stands one
// column too far on, so that the first two are empty and the collation has the character set.
var ofShiftedSets = regexp.MustCompile(
	`(?m)^SET character_set_client = ;\nSET character_set_results = ;\nSET collation_connection = (\w+);$`)

func repairCharacterSets(text []byte) []byte {
	return ofShiftedSets.ReplaceAll(text, []byte("\n\nSET NAMES $1;"))
}

// delimited gives each statement an end that the mysql client does not mistake for the end of a statement in the body
// of a routine. In mydumper's files a statement ends where a line ends in a semicolon; in bodies it puts a space there,
// which is taken out again.
func delimited(text []byte) ([]byte, error) {
	const longest = 15 // of the mysql client
	delimiter := []byte("$$")
	for bytes.Contains(text, delimiter) {
		if delimiter = append(delimiter, '$'); len(delimiter) > longest {
			return nil, fmt.Errorf("it has %d dollar signs in a row, more than the mysql client can tell from an end", longest)
		}
	}
	var out bytes.Buffer
	fmt.Fprintf(&out, "DELIMITER %s\n", delimiter)
	for line := range bytes.Lines(text) {
		body := bytes.TrimSuffix(line, []byte("\n"))
		statement, ended := bytes.CutSuffix(body, []byte(";"))
		switch {
		case ended:
			out.Write(statement)
			out.Write(delimiter)
		case bytes.HasSuffix(body, []byte("; ")):
			out.Write(body[:len(body)-1])
		default:
			out.Write(body)
		}
		out.WriteByte('\n')
	}
	out.WriteString("DELIMITER ;\n")
	return out.Bytes(), nil
}
