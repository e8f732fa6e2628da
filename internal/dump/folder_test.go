package dump

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-cmp/cmp"
)

const finished = "Started dump at: 2026-01-01 00:00:00\nFinished dump at: 2026-01-01 00:00:01\n"

// folderOf is a folder with these files and a metadata file that says that mydumper has ended.
func folderOf(files map[string]string) fstest.MapFS {
	folder := fstest.MapFS{"metadata": {Data: []byte(finished)}}
	for name, text := range files {
		folder[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return folder
}

func gzipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, err := w.Write([]byte(text))
	if err := errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// whole is all of a folder as one dump, without what is set for each file.
func whole(t *testing.T, dir fs.FS) string {
	t.Helper()
	folder, err := OpenFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(folder.All(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	for line := range strings.Lines(string(all)) {
		if !strings.HasPrefix(line, "SET NAMES utf8mb4; SET SESSION ") {
			out.WriteString(line)
		} else if _, schema, ok := strings.Cut(line, "USE "); ok {
			out.WriteString("-- " + schema)
		}
	}
	return out.String()
}

// The order is that in which everything is there when it is needed, whatever the files are called.
func TestAFolderIsReadInTheOrderOfWhatNeedsWhat(t *testing.T) {
	got := whole(t, folderOf(map[string]string{
		"app-schema-create.sql":        "CREATE DATABASE `app`;\n",
		"app-schema-post.sql":          "CREATE PROCEDURE p() BEGIN\n  SELECT 1; \nEND;\n",
		"app.a-schema-triggers.sql":    "CREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n  SET @a = '$$'; \nEND;\n",
		"app.a-schema.sql":             "CREATE TABLE `a` (id INT)ENGINE=InnoDB;",
		"app.a.00001.sql.gz":           gzipped(t, "INSERT INTO `a` VALUES (2);\n"),
		"app.a.00000.sql":              "INSERT INTO `a` VALUES (1);\n",
		"app.v-schema-view.sql":        "DROP TABLE IF EXISTS `v`;\nCREATE VIEW `v` AS SELECT 1;\n",
		"app.v-schema.sql":             "CREATE TABLE `v`(\n`id` int\n)ENGINE=MyISAM;\n",
		"app.a-metadata":               "2",
		"app.two-schema-create.sql":    "CREATE DATABASE /*!32312 IF NOT EXISTS*/ `app.two`;\n",
		"app.two.b-schema.sql":         "CREATE TABLE `b` (id INT);\n",
		"mydumper_0-schema-create.sql": "CREATE DATABASE IF NOT EXISTS `a``b`;\n",
		"mydumper_0.c-schema.sql":      "CREATE TABLE IF NOT EXISTS `c` (id INT);\n",
	}))
	want := "CREATE DATABASE IF NOT EXISTS `app`;\n" +
		"CREATE DATABASE /*!32312 IF NOT EXISTS*/ `app.two`;\n" +
		"CREATE DATABASE IF NOT EXISTS `a``b`;\n" +
		"-- `app`;\nCREATE TABLE `a` (id INT)ENGINE=InnoDB;\n" +
		"-- `app.two`;\nCREATE TABLE `b` (id INT);\n" +
		"-- `app`;\nCREATE TABLE `v`(\n`id` int\n)ENGINE=InnoDB;\n" +
		"-- `a``b`;\nCREATE TABLE IF NOT EXISTS `c` (id INT);\n" +
		"-- `app`;\nINSERT INTO `a` VALUES (1);\n" +
		"-- `app`;\nINSERT INTO `a` VALUES (2);\n" +
		"-- `app`;\nDELIMITER $$$\nCREATE TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n  SET @a = '$$';\nEND$$$\nDELIMITER ;\n" +
		"-- `app`;\nDELIMITER $$\nCREATE PROCEDURE p() BEGIN\n  SELECT 1;\nEND$$\nDELIMITER ;\n" +
		"-- `app`;\nDROP TABLE IF EXISTS `v`;\nCREATE VIEW `v` AS SELECT 1;\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFolderThatCannotBeLoadedIsRefused(t *testing.T) {
	const table, rows = "CREATE TABLE `a` (id INT);\n", "INSERT INTO `a` VALUES (1);\n"
	for name, tt := range map[string]struct {
		dir  fstest.MapFS
		want string
		is   error
	}{
		"no metadata": {
			dir:  fstest.MapFS{"app.a-schema.sql": {Data: []byte(table)}},
			want: "it has no file metadata",
			is:   ErrCutOff,
		},
		"mydumper did not end": {
			dir:  fstest.MapFS{"metadata.partial": {}, "app.a-schema.sql": {Data: []byte(table)}},
			want: "metadata.partial",
			is:   ErrCutOff,
		},
		"metadata without an end": {
			dir:  fstest.MapFS{"metadata": {Data: []byte("Started dump at: 2026-01-01\n")}},
			want: `does not say "Finished dump at"`,
			is:   ErrCutOff,
		},
		"nothing in it":             {dir: folderOf(nil), want: "no file to load"},
		"rows without a table":      {dir: folderOf(map[string]string{"app.a-schema.sql": table, "app.b.sql": rows}), want: "app.b.sql", is: ErrCutOff},
		"rows for LOAD DATA":        {dir: folderOf(map[string]string{"app.a.00000.dat": "1"}), want: "app.a.00000.dat: rows for LOAD DATA"},
		"compressed by others":      {dir: folderOf(map[string]string{"app.a.sql.lz4": ""}), want: "app.a.sql.lz4: compressed by neither"},
		"a sequence":                {dir: folderOf(map[string]string{"app.s-schema-sequence.sql": ""}), want: "a sequence"},
		"a file of another program": {dir: folderOf(map[string]string{"notes.txt": ""}), want: "notes.txt: not one of mydumper's"},
		"a folder of snapshots":     {dir: folderOf(map[string]string{"0/app.a.sql": rows}), want: "0: a folder in it"},
		"many of them": {
			dir:  folderOf(map[string]string{"1.txt": "", "2.txt": "", "3.txt": "", "4.txt": "", "5.txt": "", "6.txt": ""}),
			want: "5.txt: not one of mydumper's; and 1 more",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := OpenFolder(tt.dir)
			if err == nil || !strings.Contains(err.Error(), tt.want) || (tt.is != nil && !errors.Is(err, tt.is)) {
				t.Errorf("error %v, want %q", err, tt.want)
			}
		})
	}
}

func TestCheckOfAFolderNamesFilesAndLines(t *testing.T) {
	folder, err := OpenFolder(folderOf(map[string]string{
		"app-schema-create.sql":     "CREATE DATABASE `app`;\n",
		"app.a-schema.sql":          "\nCREATE TABLE `a` (id INT) ENGINE=MyISAM;\n",
		"app.b-schema.sql":          "CREATE TABLE `b` (id INT) ENGINE=MyISAM;\n",
		"app.b.sql":                 "SET sql_log_bin = 0;\nINSERT INTO `b` VALUES (1);\n",
		"app.a-schema-triggers.sql": "CREATE DEFINER=`gone`@`%` TRIGGER t BEFORE INSERT ON a FOR EACH ROW BEGIN\n  SET @a = 1; \nEND;\n",
		"mysql-schema-create.sql":   "CREATE DATABASE `mysql`;\n",
		"mysql.user-schema.sql":     "CREATE TABLE `user` (id INT);\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	found, err := folder.Check(testRules)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range found {
		got = append(got, f.String())
	}
	want := []string{
		"app.b.sql: line 1: bypasses the binary log: sql_log_bin",
		"app.a-schema-triggers.sql: line 1: names a definer that does not exist: gone@%",
		"app.a-schema.sql: line 2 and 1 more: uses a storage engine that is disabled: MyISAM",
		"mysql-schema-create.sql: line 1 and 1 more: writes into a system schema: mysql",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestAFileOfAFolderThatIsCutOffIsNamed(t *testing.T) {
	stored := gzipped(t, "INSERT INTO `a` VALUES (1);\n")
	for name, text := range map[string]string{
		"app.a.sql":    "INSERT INTO `a` VALUES\n(1),\n(2",
		"app.a.sql.gz": stored[:len(stored)-6],
	} {
		folder, err := OpenFolder(folderOf(map[string]string{"app.a-schema.sql": "CREATE TABLE `a` (id INT);\n", name: text}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := folder.Check(testRules); err == nil || !strings.HasPrefix(err.Error(), name+": ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

// mydumper 0.10 shifts the columns of a routine of MySQL 8.0 by one.
func TestShiftedCharacterSetsAreRepaired(t *testing.T) {
	got := whole(t, folderOf(map[string]string{
		"app-schema-post.sql": "SET character_set_client = ;\nSET character_set_results = ;\nSET collation_connection = latin1;\nDROP FUNCTION IF EXISTS `f`;\n",
	}))
	want := "-- `app`;\nDELIMITER $$\n\n\nSET NAMES latin1$$\nDROP FUNCTION IF EXISTS `f`$$\nDELIMITER ;\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

func TestPlaceNamesTheFileOfALine(t *testing.T) {
	folder, err := OpenFolder(folderOf(map[string]string{
		"app-schema-create.sql": "CREATE DATABASE `app`;",
		"app.a-schema.sql":      "CREATE TABLE `a` (\nid INT\n);\n",
		"app-schema-post.sql":   "CREATE PROCEDURE p() BEGIN\n  SELECT 1; \nEND;\nSELECT wrong;\n",
	}))
	if err != nil {
		t.Fatal(err)
	}
	all, err := io.ReadAll(folder.All(func(int) {}))
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string]string{
		"CREATE DATABASE":  "line 1 of app-schema-create.sql",
		"USE `app`":        "line 1 of app.a-schema.sql",
		"CREATE TABLE":     "line 1 of app.a-schema.sql",
		"id INT":           "line 2 of app.a-schema.sql",
		"CREATE PROCEDURE": "line 1 of app-schema-post.sql",
		"SELECT wrong":     "line 4 of app-schema-post.sql",
	} {
		before, _, _ := strings.Cut(string(all), text)
		if got := folder.Place(1 + strings.Count(before, "\n")); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
