package plugin

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"k8s.io/cli-runtime/pkg/genericiooptions"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/quarantine"
)

// quarantine runs "agent quarantine" as the pod of a member would.
func (f *fakeExecer) quarantine(volume string, args []string, streams genericiooptions.IOStreams) error {
	if volume == "old" {
		fmt.Fprintln(streams.ErrOut, "agent: usage: agent run | deadman | state")
		return errors.New("command terminated with exit code 1")
	}
	var out bytes.Buffer
	err := quarantine.Run(append([]string{args[0], "--data-dir", volume}, args[1:]...), &out)
	text := out.Bytes()
	if f.damage != nil {
		text = f.damage(text)
	}
	if _, err := streams.Out.Write(text); err != nil {
		return err
	}
	if err != nil {
		fmt.Fprintln(streams.ErrOut, "agent:", err)
		return errors.New("command terminated with exit code 1")
	}
	return nil
}

// quarantined is a pair of which one member has something in its quarantine.
func quarantined(t *testing.T, files map[string]string) *world {
	t.Helper()
	w := newWorld(t, healthy())
	w.execer.volumes = map[string]string{"shop-0": t.TempDir(), "shop-1": t.TempDir()}
	for name, text := range files {
		path := filepath.Join(w.execer.volumes["shop-1"], "dbpair", "quarantine", name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o700), os.WriteFile(path, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	return w
}

const (
	savedRepair = "repairs/op-3.jsonl"
	savedRow    = `{"table":{"schema":"app","name":"t"},"passive":{"id":"1"}}` + "\n"
)

func TestQuarantineIsListed(t *testing.T) {
	w := quarantined(t, map[string]string{
		savedRepair:            savedRow,
		"data-2/binlog.000001": "\xfdbin encrypted",
		"data-2/keep":          "",
		"binlog.000002.tail-9": "",
		"binlog.000003.tail-9": "",

		"binlog.000002.tail-9.json": `{"errant":"` + uuid1 + `:7-9"}`,
		"binlog.000003.tail-9.json": `{"errant":"` + uuid1 + `:3"}`,
	})
	w.execer.states["shop-0"] = agentapi.State{Server: &agentapi.Server{GTIDExecuted: uuid0 + ":1-5,\n" + uuid1 + ":1-7"}}
	out, _, err := w.call(t, "", "quarantine", "shop")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"shop-0: nothing is in quarantine\n", "written over by a repair (op-3)", "given up for a copy", "at least until 20",
		"always, it is marked", "  data-2: binlog.000001: it is encrypted\n",
		"  binlog.000002.tail-9: the primary lacks " + uuid1 + ":8-9\n",
		"  binlog.000003.tail-9: the primary has all of these transactions\n",
	} {
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
	}
	out, _, err = w.call(t, "", "quarantine", "shop", "shop-1", "-o", "json")
	if err != nil || !strings.Contains(out, `"name": "data-2"`) || strings.Contains(out, "shop-0") {
		t.Errorf("%s, %v", out, err)
	}
	w.execer.volumes["shop-0"] = "old"
	out, _, err = w.call(t, "", "quarantine", "shop")
	if err == nil || !strings.Contains(err.Error(), "shop-0: its agent is older") || !strings.Contains(out, "data-2") {
		t.Errorf("with an old agent: %s, %v", out, err)
	}
}

func TestAnEntryIsShown(t *testing.T) {
	w := quarantined(t, map[string]string{
		savedRepair:            savedRow + savedRow,
		"data-2/binlog.000001": "\xfebin\x00\x00\x00",
	})
	out, _, err := w.call(t, "", "quarantine", "shop", "shop-1", savedRepair, "--rows", "--max-rows", "1")
	want := "-- without GTID (op-3.jsonl, byte 0)\n--   app.t: 2 deleted\n-- " + strings.TrimSpace(savedRow) + "\n" +
		"-- all 1 transactions: -\n--   app.t: 2 deleted\n-- 1 rows are not shown: see --max-rows and --gtids; mysqlbinlog --verbose shows all after --extract\n"
	if diff := cmp.Diff(want, out); diff != "" || err != nil {
		t.Errorf("%v (-want +got):\n%s", err, diff)
	}
	out, _, err = w.call(t, "", "quarantine", "shop", "shop-1", "data-2")
	if err == nil || !strings.Contains(err.Error(), "binlog.000001") || !strings.Contains(out, "could not be read from byte 4 on: it ends in the middle") {
		t.Errorf("a cut log: %s, %v", out, err)
	}
	w.execer.damage = func(text []byte) []byte { return text[:strings.Index(string(text), "\n")+1] }
	if _, _, err = w.call(t, "", "quarantine", "shop", "shop-1", savedRepair); err == nil || !strings.Contains(err.Error(), "cut off") {
		t.Errorf("an answer without its end: %v", err)
	}
}

func TestAnEntryIsExtracted(t *testing.T) {
	files := map[string]string{"data-2/binlog.000001": strings.Repeat("\x00\xff\n", 5000), "data-2/binlog.index": "x"}
	w := quarantined(t, files)
	dir := filepath.Join(t.TempDir(), "saved")
	extract := []string{"quarantine", "shop", "shop-1", "data-2", "--extract", dir}
	for name, damage := range map[string]func([]byte) []byte{
		"bytes came where it has": func(text []byte) []byte {
			if text[0] == '{' {
				return text
			}
			return text[:len(text)-1]
		},
		"its checksum is": func(text []byte) []byte { return bytes.Replace(text, []byte("\x00\xff"), []byte("\x00\xfe"), 1) },
		"may lead out":    func(text []byte) []byte { return bytes.Replace(text, []byte("binlog.index"), []byte("../.bashrc"), 1) },
		"nothing was copied: the name": func(text []byte) []byte {
			return bytes.Replace(text, []byte("binlog.index"), []byte("/etc/passwd"), 1)
		},
	} {
		w.execer.damage = damage
		if _, _, err := w.call(t, "", extract...); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s: %v", name, err)
		}
		if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
			t.Fatalf("%s: left %v, %v", name, left, err)
		}
	}
	w.execer.damage = nil
	if out, _, err := w.call(t, "", extract...); err != nil || !strings.Contains(out, "2 files were copied and verified") {
		t.Fatalf("%s, %v", out, err)
	}
	for name, text := range files {
		if got, err := os.ReadFile(filepath.Join(dir, filepath.Base(name))); err != nil || string(got) != text {
			t.Errorf("%s: %d bytes, %v", name, len(got), err)
		}
	}
	if _, _, err := w.call(t, "", extract...); err == nil || !strings.Contains(err.Error(), "is there already") {
		t.Errorf("a second time: %v", err)
	}
}

func TestQuarantineRefuses(t *testing.T) {
	w := quarantined(t, map[string]string{savedRepair: savedRow})
	for want, args := range map[string][]string{
		"name the pair":                        {},
		"shop-2\" is no member":                {"shop", "shop-2"},
		"has no entry \"../../epoch.json\"":    {"shop", "shop-1", "../../epoch.json"},
		"has no entry \"--data-dir=/etc\"":     {"shop", "shop-1", "--", "--data-dir=/etc"},
		"--rows is about one entry":            {"shop", "shop-1", "--rows"},
		"leave out --rows":                     {"shop", "shop-1", savedRepair, "--rows", "--extract", "x"},
		"-o is for the list":                   {"shop", "shop-1", savedRepair, "-o", "json"},
		"add --rows":                           {"shop", "shop-1", savedRepair, "--max-rows", "3"},
		"it takes 0 to 10000":                  {"shop", "shop-1", savedRepair, "--rows", "--max-rows", "10001"},
		"--gtids: ":                            {"shop", "shop-1", savedRepair, "--gtids", "x"},
		"no DatabasePair \"other\"":            {"other"},
		"-o xml is unknown: use json or yaml":  {"shop", "-o", "xml"},
		"it takes a number of transactions, 0": {"shop", "shop-1", savedRepair, "--limit", "-1"},
	} {
		if out, _, err := w.call(t, "", append([]string{"quarantine"}, args...)...); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %s, %v", args, out, err)
		}
	}
}
