package agent

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/dump"
	"github.com/dbpair/dbpair/internal/mycnf"
)

const soundDump = "-- MySQL dump 10.13\nCREATE TABLE t (id INT) ENGINE=InnoDB;\nINSERT INTO t VALUES (1), (2), (3);\n-- Dump completed\n"

func zipped(t *testing.T, text string) string {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func packed(t *testing.T, text string) string {
	t.Helper()
	w, err := zstd.NewWriter(nil)
	if err != nil {
		t.Fatal(err)
	}
	return string(w.EncodeAll([]byte(text), nil))
}

// Each thing that is wrong with a dump has its name before anything is loaded.
func TestADumpIsCheckedBeforeItIsLoaded(t *testing.T) {
	const bypass = "SET @@SESSION.SQL_LOG_BIN= 0;\nSET @@GLOBAL.GTID_PURGED='3e11:1-5';\n"
	const definer = "CREATE DEFINER=`gone`@`%` VIEW v AS SELECT 1;\n"
	rules := dump.Rules{DisabledEngines: strings.Split(mycnf.DisabledEngines, ","), Accounts: []string{"app@%"}}
	for name, tc := range map[string]struct {
		dump  string
		how   agentapi.Dump
		cause error
		says  []string
	}{
		"sound":                    {dump: soundDump},
		"sound, by gzip":           {dump: zipped(t, soundDump)},
		"sound, by zstd":           {dump: packed(t, soundDump)},
		"empty":                    {dump: ""},
		"cut in a statement":       {dump: soundDump[:60], cause: dump.ErrCutOff, says: []string{"in the middle of a statement"}},
		"without its last line":    {dump: strings.Replace(soundDump, "-- Dump completed\n", "", 1), cause: dump.ErrCutOff, says: []string{"Dump completed"}},
		"gzip cut in its middle":   {dump: zipped(t, soundDump)[:50], cause: dump.ErrCutOff, says: []string{"compressed file ends"}},
		"gzip without its sum":     {dump: strings.TrimSuffix(zipped(t, soundDump), zipped(t, soundDump)[len(zipped(t, soundDump))-4:]), cause: dump.ErrCutOff},
		"zstd cut in its middle":   {dump: packed(t, soundDump)[:40], cause: dump.ErrCutOff, says: []string{"compressed file ends"}},
		"gzip that is damaged":     {dump: zipped(t, soundDump)[:20] + "xxxx" + zipped(t, soundDump)[24:], cause: errDumpUnreadable},
		"past the binary log":      {dump: bypass + soundDump, cause: errDumpRefused, says: []string{"line 1: bypasses the binary log: sql_log_bin", "line 2", "spec.bootstrap.dump.strip: true"}},
		"taken out":                {dump: bypass + soundDump, how: agentapi.Dump{Strip: true}},
		"an unknown definer":       {dump: definer, cause: errDumpRefused, says: []string{"gone@%", "allowMissingDefiners: true"}},
		"that is allowed":          {dump: definer, how: agentapi.Dump{AllowMissingDefiners: true}},
		"a definer that is there":  {dump: "CREATE DEFINER=`app`@`%` VIEW v AS SELECT 1;\n"},
		"a disabled engine":        {dump: "CREATE TABLE m (id INT) ENGINE=MyISAM;\n", how: agentapi.Dump{Strip: true}, cause: errDumpRefused, says: []string{"MyISAM", "ENGINE=InnoDB"}},
		"the pair's own accounts":  {dump: "USE `mysql`;\n", cause: errDumpRefused, says: []string{"mysqldump --databases app"}},
		"statements of a replica":  {dump: "STOP REPLICA;\n", cause: errDumpRefused, says: []string{"statements about replication"}},
		"many kinds are not named": {dump: strings.Repeat("CREATE DEFINER=`a`@`b` VIEW v AS SELECT 1;\n", 3), cause: errDumpRefused, says: []string{"line 1 and 2 more"}},
	} {
		t.Run(name, func(t *testing.T) {
			in := newDumpStream(dumpPart{body: strings.NewReader(tc.dump), size: int64(len(tc.dump))}, func(int64, int64) {})
			sum, err := checkDump(in, rules, tc.how)
			err = in.meaning(err)
			if !errors.Is(err, tc.cause) {
				t.Fatalf("error %v, want %v", err, tc.cause)
			}
			for _, says := range tc.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q is not in %q", says, err)
				}
			}
			if err == nil && (sum == dumpSum{} || in.read != int64(len(tc.dump))) {
				t.Errorf("%d of %d bytes were read", in.read, len(tc.dump))
			}
		})
	}
}

// A connection that breaks is no damage of the file, however the file is stored.
func TestABrokenConnectionIsNoDumpThatIsCutOff(t *testing.T) {
	for name, text := range map[string]string{"plain": soundDump, "gzip": zipped(t, soundDump), "zstd": packed(t, soundDump)} {
		body := io.MultiReader(strings.NewReader(text[:40]), iotest.ErrReader(io.ErrUnexpectedEOF))
		in := newDumpStream(dumpPart{body: body, size: int64(len(text))}, func(int64, int64) {})
		_, err := checkDump(in, dump.Rules{}, agentapi.Dump{})
		if err = in.meaning(err); !errors.Is(err, errDumpInterrupted) || errors.Is(err, dump.ErrCutOff) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The client's complaint is published without what may be the contents of a row.
func TestAComplaintOfTheClientHoldsNoRows(t *testing.T) {
	for said, want := range map[string]string{
		"mysql: [Warning] x\nERROR 1146 (42S02) at line 12: Table 'app.t' doesn't exist":  "ERROR 1146 (42S02) at line 12: Table 'app.t' doesn't exist",
		"ERROR 1062 (23000) at line 5: Duplicate entry 'ann@example.com' for key 't.e'":   "ERROR 1062 (23000) at line 5: Duplicate entry '…'",
		"ERROR 1064 (42000) at line 2: You have an error near 'INSERT\nsecret' at line 1": "ERROR 1064 (42000) at line 2: You have an error near '…'",
		"": "exit status 1",
	} {
		if got := clientError(said, errors.New("exit status 1")); got != want {
			t.Errorf("%q is published as %q, want %q", said, got, want)
		}
	}
}

// A Job that comes with another step than the one that is wanted changes nothing.
func TestOnlyTheStepThatIsWantedIsTaken(t *testing.T) {
	has := false
	in := newDumpIntake(entrance{}, func() bool { return has })
	if got := in.wanted(); got != agentapi.DumpNothing {
		t.Errorf("before anything: %s", got)
	}
	taken := make(chan dumpPart, 1)
	go func() {
		part, err := in.await(t.Context(), agentapi.DumpCheck, time.Minute)
		if err != nil {
			t.Error(err)
		}
		taken <- part
	}()
	in.parts <- dumpPart{step: agentapi.DumpCheck}
	if part := <-taken; part.step != agentapi.DumpCheck {
		t.Errorf("taken %+v", part)
	}
	if _, err := in.await(t.Context(), agentapi.DumpLoad, time.Millisecond); !errors.Is(err, errDumpAbsent) {
		t.Errorf("nobody came: %v", err)
	}
	has = true
	if got := in.wanted(); got != agentapi.DumpDone {
		t.Errorf("with data: %s", got)
	}
}
