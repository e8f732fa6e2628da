package plugin

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/internal/agentapi"
)

const plainDump = "CREATE TABLE t (id INT) ENGINE=InnoDB;\nINSERT INTO t VALUES (1);\n"

// unreplicated is a dump of a server with GTIDs.
const unreplicated = "SET @@SESSION.SQL_LOG_BIN= 0;\nSET @@GLOBAL.GTID_PURGED='3e11fa47-71ca-11e1-9e33-c80aa9429562:1-500';\n" + plainDump

func TestImport(t *testing.T) {
	zipped := func(text string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, _ = w.Write([]byte(text))
		_ = w.Close()
		return b.String()
	}
	packed := func(text string) string {
		w, err := zstd.NewWriter(nil)
		if err != nil {
			t.Fatal(err)
		}
		return string(w.EncodeAll([]byte(text), nil))
	}
	for name, tt := range map[string]struct {
		dump   string
		args   []string
		loaded string
		says   string
		errs   []string
	}{
		"a dump is loaded as it is":      {dump: plainDump, loaded: plainDump},
		"also by gzip":                   {dump: zipped(plainDump), loaded: plainDump},
		"also by zstd":                   {dump: packed(plainDump), loaded: plainDump},
		"and with --dry-run not at all":  {dump: plainDump, args: []string{"--dry-run"}, says: "can be loaded into pair shop"},
		"what bypasses the log is taken": {dump: unreplicated, args: []string{"--strip"}, loaded: "\n\n" + plainDump},
		"and refused without --strip": {
			dump: unreplicated,
			errs: []string{
				"line 1: bypasses the binary log: sql_log_bin",
				"line 2: bypasses the binary log: gtid_purged",
				"nothing was loaded",
				"--strip leaves out",
			},
		},
		"a disabled engine is refused": {
			dump: "CREATE TABLE t (id INT) ENGINE=MyISAM;\n",
			args: []string{"--strip"},
			errs: []string{"line 1: uses a storage engine that is disabled: MyISAM", "ENGINE=InnoDB"},
		},
		"a missing definer is refused": {
			dump: "CREATE DEFINER=`old`@`%` VIEW v AS SELECT 1;\n",
			errs: []string{"names a definer that does not exist: old@%", "--allow-missing-definers"},
		},
		"or allowed": {
			dump:   "CREATE DEFINER=`old`@`%` VIEW v AS SELECT 1;\n",
			args:   []string{"--allow-missing-definers"},
			loaded: "CREATE DEFINER=`old`@`%` VIEW v AS SELECT 1;\n",
		},
		"a dump that is cut off is refused": {
			dump: "INSERT INTO t VALUES ('a",
			errs: []string{"nothing was loaded", "in the middle of a string that begins in line 1"},
		},
		"so is a file that is cut off": {
			dump: zipped(plainDump)[:40],
			errs: []string{"nothing was loaded", "unexpected EOF"},
		},
		"a database that is not there": {
			dump: plainDump,
			args: []string{"--database", "other"},
			errs: []string{`--database: pair "shop" has no database "other". Command: kubectl dbpair mysql shop -n default --root -- -e 'CREATE DATABASE`},
		},
	} {
		t.Run(name, func(t *testing.T) {
			w := importWorld(t)
			out, errOut, err := w.call(t, tt.dump, append([]string{"import", "shop"}, tt.args...)...)
			said := errOut
			if err != nil {
				said += err.Error()
			}
			if (err != nil) != (len(tt.errs) > 0) {
				t.Fatalf("error %v", err)
			}
			for _, want := range tt.errs {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
			if w.execer.read != tt.loaded {
				t.Errorf("loaded %q, want %q", w.execer.read, tt.loaded)
			}
			if !strings.Contains(out, tt.says) {
				t.Errorf("printed %q, want %q", out, tt.says)
			}
			if tt.loaded != "" && (w.execer.ran.pod != "shop-0" || !slices.Contains(w.execer.ran.argv, "--database=app")) {
				t.Errorf("ran %+v", w.execer.ran)
			}
		})
	}
}

// TestImportReadsAFile: also one that has already been opened as standard input.
func TestImportReadsAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dump.sql")
	if err := os.WriteFile(path, []byte(plainDump), 0o600); err != nil {
		t.Fatal(err)
	}
	w := importWorld(t)
	if _, _, err := w.call(t, "", "import", "shop", "--file", path); err != nil {
		t.Fatal(err)
	}
	if w.execer.read != plainDump {
		t.Errorf("loaded %q", w.execer.read)
	}
	if _, _, err := w.call(t, "", "import", "shop", "--file", path+".gone"); err == nil || !strings.Contains(err.Error(), "--file: open") {
		t.Errorf("error %v", err)
	}
}

// TestAnImportThatWasNotReadToItsEndFails: the client ends well, and had only a part of the dump.
func TestAnImportThatWasNotReadToItsEndFails(t *testing.T) {
	for _, args := range [][]string{{"import", "shop"}, {"import", "shop", "--strip"}} {
		w := importWorld(t)
		w.execer.reads = 10
		out, _, err := w.call(t, plainDump, args...)
		if err == nil || !strings.Contains(err.Error(), "not loaded to its end") {
			t.Errorf("%v: error %v, printed %q", args, err, out)
		}
	}
}

// importWorld is a healthy pair whose primary answers what may be loaded.
func importWorld(t *testing.T) *world {
	t.Helper()
	config, err := json.Marshal(agentapi.Config{AppUser: "app", AppSchema: "app"})
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, healthy(), &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "shop-config", Namespace: "default"},
		Data:       map[string]string{agentapi.ConfigFile: string(config)},
	})
	w.execer.server = &accepted{
		Schemas:  []string{"app", "mysql"},
		Accounts: []string{"app@%", "root@localhost"},
		Engines:  "MyISAM,MEMORY",
	}
	return w
}

// TestImportOfAFolder: every file of it is checked before any is loaded, and nothing that is there is overwritten.
func TestImportOfAFolder(t *testing.T) {
	whole := map[string]string{
		"metadata":              "Finished dump at: 2026-01-01 00:00:00\n",
		"app-schema-create.sql": "CREATE DATABASE `app`;\n",
		"app.t-schema.sql":      "CREATE TABLE `t` (id INT);\n",
		"app.t.sql":             "INSERT INTO `t` VALUES (1);\n",
	}
	with := func(name, text string) map[string]string {
		files := maps.Clone(whole)
		files[name] = text
		return files
	}
	without := func(name string) map[string]string {
		files := maps.Clone(whole)
		delete(files, name)
		return files
	}
	for name, tt := range map[string]struct {
		files map[string]string
		args  []string
		// tables are in the pair.
		tables []string
		loads  []string
		errs   []string
	}{
		"is loaded file by file": {
			files: whole,
			loads: []string{"CREATE DATABASE IF NOT EXISTS `app`;\n", "CREATE TABLE `t`", "INSERT INTO `t`"},
		},
		"and without what bypasses the log": {
			files: with("app.t.sql", "SET sql_log_bin = 0;\nINSERT INTO `t` VALUES (1);\n"),
			args:  []string{"--strip"},
			loads: []string{"USE `app`;\n\nINSERT INTO `t`"},
		},
		"which is named": {
			files: with("app.t.sql", "SET sql_log_bin = 0;\nINSERT INTO `t` VALUES (1);\n"),
			errs:  []string{"app.t.sql: line 1: bypasses the binary log: sql_log_bin", "nothing was loaded", "--strip"},
		},
		"a table that is there": {
			files:  whole,
			tables: []string{"app.s", "app.t"},
			errs:   []string{"nothing was loaded: 1 tables or views of the dump are in the pair already, such as app.t"},
		},
		"a database that is nowhere": {
			files: map[string]string{"metadata": whole["metadata"], "other.t-schema.sql": whole["app.t-schema.sql"]},
			errs:  []string{`has no other-schema-create.sql and the pair has no database "other"`},
		},
		"a dump that did not end":   {files: without("metadata"), errs: []string{"nothing was loaded", "the dump is cut off"}},
		"a file that is cut off":    {files: with("app.t.sql", "INSERT INTO `t` VALUES ("), errs: []string{"nothing was loaded", "app.t.sql: the dump is cut off"}},
		"a file of another program": {files: with("app.t.00000.dat", "1"), errs: []string{"nothing was loaded", "app.t.00000.dat: rows for LOAD DATA"}},
		"together with a database": {
			files: whole,
			args:  []string{"--database", "app"},
			errs:  []string{"[database dir] were all set"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			for file, text := range tt.files {
				if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
					t.Fatal(err)
				}
			}
			w := importWorld(t)
			w.execer.tables = tt.tables
			_, said, err := w.call(t, "", append([]string{"import", "shop", "--dir", dir}, tt.args...)...)
			if (err != nil) != (len(tt.errs) > 0) {
				t.Fatalf("error %v", err)
			}
			if err != nil {
				said += err.Error()
			}
			for _, want := range tt.errs {
				if !strings.Contains(said, want) {
					t.Errorf("%q is not in\n%s", want, said)
				}
			}
			rest := w.execer.read
			for _, want := range tt.loads {
				_, after, found := strings.Cut(rest, want)
				if !found {
					t.Errorf("%q is not in its turn in\n%s", want, w.execer.read)
				}
				rest = after
			}
			if len(tt.loads) == 0 && rest != "" {
				t.Errorf("loaded %q", rest)
			}
		})
	}
}
