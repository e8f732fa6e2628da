package job

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/checksum"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/repair"
)

// stage is a Job's ConfigMap in an API server that is not there.
func stage(t *testing.T) (board, func() *corev1.ConfigMap) {
	t.Helper()
	api := fake.NewClientset(&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "j", Namespace: "ns"}}).CoreV1().ConfigMaps("ns")
	return board{api: api, name: "j"}, func() *corev1.ConfigMap {
		m, err := api.Get(context.Background(), "j", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return m
	}
}

func TestWhatIsWrittenDownIsReadAgain(t *testing.T) {
	b, _ := stage(t)
	state := checksum.State{TablesTotal: 7, Current: []checksum.Position{{After: []string{"12"}, Definition: "d"}}}
	for _, c := range []change{
		{
			progress: &jobapi.Progress{Beat: 3, OperationProgress: v1alpha1.OperationProgress{Attempts: 1, Rows: 5}},
			state:    state,
		},
		{progress: &jobapi.Progress{Beat: 9, OperationProgress: v1alpha1.OperationProgress{Attempts: 2}}},
	} {
		if err := b.write(t.Context(), c); err != nil {
			t.Fatal(err)
		}
	}
	got, err := b.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var again checksum.State
	if err := json.Unmarshal(got.state, &again); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(state, again); diff != "" {
		t.Errorf("state (-written +read):\n%s", diff)
	}
	if got.done || got.progress.Beat != 9 {
		t.Errorf("done %t, progress %+v", got.done, got.progress)
	}
}

func TestALargeReportIsCompressedAndAHugeOneLeftOut(t *testing.T) {
	random := func(n int) string { // does not compress
		var out strings.Builder
		for i, x := 0, uint64(88172645463325252); i < n; i++ {
			x ^= x << 13
			x ^= x >> 7
			x ^= x << 17
			out.WriteByte("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/"[x%64])
		}
		return out.String()
	}
	for name, c := range map[string]struct {
		report any
		key    string
		holds  string
	}{
		"small": {map[string]string{"a": "b"}, jobapi.KeyReport, `"a": "b"`},
		"large": {map[string]string{"a": strings.Repeat("b", maxPlainReport)}, jobapi.KeyReportCompressed, "bbbb"},
		"huge":  {map[string]string{"a": random(maxReport * 3)}, jobapi.KeyReport, "tooLarge"},
	} {
		t.Run(name, func(t *testing.T) {
			b, read := stage(t)
			if err := b.write(t.Context(), change{report: c.report}); err != nil {
				t.Fatal(err)
			}
			m := read()
			text := m.Data[c.key]
			if packed := m.BinaryData[c.key]; len(packed) > 0 {
				whole, err := unpack(packed)
				if err != nil {
					t.Fatal(err)
				}
				text = string(whole)
			}
			if !strings.Contains(text, c.holds) {
				t.Errorf("%s holds %.100q, want %q", c.key, text, c.holds)
			}
		})
	}
}

func TestAJobThatCannotBeDoneSaysSoAndIsNotTriedAgain(t *testing.T) {
	for name, request := range map[string]jobapi.Request{
		"a kind of a later version": {Kind: "Defragment"},
		"a repair of nothing":       {Kind: jobapi.Repair},
	} {
		t.Run(name, func(t *testing.T) {
			b, read := stage(t)
			o := Options{
				ConfigMaps: b.api,
				Name:       "j",
				Request:    request,
				Log:        logr.Discard(),
				Every:      time.Millisecond,
			}
			if err := Run(t.Context(), o); !errors.Is(err, ErrPermanent) {
				t.Errorf("ended with %v, want ErrPermanent", err)
			}
			var result jobapi.Result
			if err := json.Unmarshal([]byte(read().Data[jobapi.KeyResult]), &result); err != nil || result.Outcome != jobapi.Failed || result.Message == "" {
				t.Errorf("result %+v, %v", result, err)
			}
			// With a result there is nothing left to do.
			if err := Run(t.Context(), o); err != nil {
				t.Errorf("again: %v", err)
			}
		})
	}
	b, read := stage(t)
	err := Run(t.Context(), Options{
		ConfigMaps: b.api,
		Name:       "j",
		Request:    jobapi.Request{Kind: jobapi.Checksum, Primary: "shop-0", Passive: "shop-1"},
		Log:        logr.Discard(),
		Dirs:       Dirs{TLS: t.TempDir(), Passwords: t.TempDir()},
	})
	if err == nil || errors.Is(err, ErrPermanent) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without its certificate: %v, want an error that another pod may not have", err)
	}
	if m := read(); m.Data[jobapi.KeyResult] != "" || !strings.Contains(m.Data[jobapi.KeyProgress], "certificate") {
		t.Errorf("it is not told: %v", m.Data)
	}
}

// What the operator writes into a request (TestTheRequestHoldsAllOfTheSpec in controllers
// writes this very text) is what the comparison is run with.
func TestARequestIsRunAsItIsWritten(t *testing.T) {
	text, err := os.ReadFile("../jobapi/testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := mysqldtest.WriteCerts(dir); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, agentapi.PasswordFileChecksum), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	var request jobapi.Request
	if err := json.Unmarshal(text, &request); err != nil {
		t.Fatal(err)
	}
	o := Options{Dirs: Dirs{TLS: dir, Passwords: dir}}.withDefaults()
	w := &work{Options: o, request: request, members: members{
		request: request,
		dir:     o.Dirs,
		port:    o.AdminPort,
		agent:   o.AgentPort,
	}}
	got, err := w.options()
	if err != nil {
		t.Fatal(err)
	}
	want := checksum.Options{
		Primary:     checksum.Endpoint{Member: "shop-0", Addr: "shop-0.shop-pods.ns.svc:33062", User: mysqlops.UserChecksum},
		Passive:     checksum.Endpoint{Member: "shop-1", Addr: "shop-1.shop-pods.ns.svc:33062", User: mysqlops.UserChecksum},
		Include:     []string{"app.*", "web"},
		Exclude:     []string{"*.*_log"},
		Parallelism: 3,
		MaxLockTime: 120 * time.Millisecond,
		Throttle:    checksum.Throttle{MaxLag: 7 * time.Second, BusyShare: 25},
	}
	if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(checksum.Options{}, "Save", "Now", "Log"), cmpopts.IgnoreFields(checksum.Endpoint{}, "Password", "TLS")); diff != "" {
		t.Errorf("the comparison (-want +got):\n%s", diff)
	}
}

func table(name string, state checksum.TableState, missing int64) checksum.TableReport {
	return checksum.TableReport{
		Table:   checksum.TableName{Schema: "a", Name: name},
		State:   state,
		Rows:    10,
		Missing: missing,
		Reason:  "why " + name,
	}
}

func TestResults(t *testing.T) {
	report := checksum.Report{SchemaDriftCount: 2, Tables: []checksum.TableReport{
		table("t", checksum.Different, 3), table("u", checksum.Consistent, 0), table("v", checksum.Different, 9), table("w", checksum.Skipped, 0),
	}}
	got := checksumResult(report)
	want := jobapi.Result{
		Outcome: jobapi.Done,
		Message: "12 rows of 2 tables and 2 definitions differ; 1 tables were skipped: a.w: why w",
		OperationResult: v1alpha1.OperationResult{
			Tables:            3,
			TablesSkipped:     1,
			Rows:              40,
			Duration:          &metav1.Duration{},
			LongestLock:       &metav1.Duration{},
			DifferingRows:     12,
			SchemaDifferences: 2,
			Differing:         []v1alpha1.TableDrift{{Table: "a.v", Rows: 9}, {Table: "a.t", Rows: 3}},
			Skipped:           []string{"a.w: why w"},
		},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("comparison (-want +got):\n%s", diff)
	}
	after := table("t", checksum.Different, 1)
	for name, c := range map[string]struct {
		report  repair.Report
		outcome jobapi.Outcome
		rows    int64
		says    string
	}{
		"repaired":  {repair.Report{Result: repair.Repaired, Missing: 3, Written: 3}, jobapi.Done, 0, "is equal now"},
		"equal":     {repair.Report{Result: repair.NothingToDo}, jobapi.Done, 0, "nothing to do"},
		"planned":   {repair.Report{Result: repair.Planned, Missing: 1, Extra: 2}, jobapi.Done, 3, "would write 3 rows"},
		"refused":   {repair.Report{Result: repair.Refused, Reasons: []string{"it has a trigger"}}, jobapi.Refused, 0, "it has a trigger"},
		"different": {repair.Report{Result: repair.StillDifferent, Missing: 3, After: &after}, jobapi.Failed, 1, "still differs in 1 rows"},
	} {
		got := repairResult(c.report, time.Second)
		if got.Outcome != c.outcome || got.DifferingRows != c.rows || !strings.Contains(got.Message, c.says) || (c.rows > 0) != (len(got.Differing) > 0) {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

func TestPace(t *testing.T) {
	begin := time.Unix(1000, 0)
	p := pace{began: begin, rows: 100}
	for _, c := range []struct {
		after       time.Duration
		done, total int64
		want        string
	}{
		{time.Millisecond, 200, 1000, "0 0s"}, {10 * time.Second, 100, 1000, "0 0s"}, {10 * time.Second, 1100, 3100, "100 20s"},
		{10 * time.Second, 1100, 500, "100 0s"},
	} {
		rate, left := p.of(begin.Add(c.after), c.done, c.total)
		if got := fmt.Sprintf("%d %s", rate, left); got != c.want {
			t.Errorf("after %s, %d of %d: %s, want %s", c.after, c.done, c.total, got, c.want)
		}
	}
}
