package plugin

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// recorded is a step that began so long after the operation.
func recorded(step string, after, took time.Duration, message string) v1alpha1.OperationEvent {
	return v1alpha1.OperationEvent{
		Step:    step,
		Time:    metav1.NewMicroTime(whyTime.Add(after)),
		Took:    &metav1.Duration{Duration: took},
		Message: message,
	}
}

func doneAt(status *v1alpha1.OperationStatus, took time.Duration) {
	begin := metav1.NewMicroTime(whyTime)
	end := metav1.NewMicroTime(whyTime.Add(took))
	status.StartTime = &begin
	status.CompletionTime = &end
}

func failoverOnRecord() *v1alpha1.DatabasePairOperation {
	const ms = time.Millisecond
	op := whyOperation("shop-failover-8", v1alpha1.OperationSucceeded, "HolderSilent", "shop-1 is the primary at epoch 9", 0)
	op.UID = "0b0c5a50-8a67-4a5c-9f0e-3f3d1f2e7c11"
	op.Spec.Type = v1alpha1.OperationFailover
	st := &op.Status
	doneAt(st, 3412*ms)
	st.Epoch = 7
	st.From = "shop-0"
	st.To = "shop-1"
	st.Proof = "AckFenced"
	st.WriteGap = &metav1.Duration{Duration: 1870 * ms}
	st.GTIDs = &v1alpha1.OperationGTIDs{
		Received: uuid0 + ":1-88123,\n" + uuid1 + ":1-4411",
		Executed: uuid0 + ":1-88120,\n" + uuid1 + ":1-4411",
		Promoted: uuid0 + ":1-88123,\n" + uuid1 + ":1-4411",
	}
	st.Timeline = []v1alpha1.OperationEvent{
		recorded("Revoke", 4*ms, 21*ms, "from shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de, epoch 8"),
		recorded("Fence", 27*ms, 1000*ms, "shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de: no answer: context deadline exceeded"),
		recorded("AckFence", 27*ms, 38*ms, "shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93"),
		recorded("ProvePod", 70*ms, 9*ms, "shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de: the container has not terminated"),
		recorded("Appoint", 1120*ms, 18*ms,
			"shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93, epoch 9, AckFenced of shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de at epoch 8"),
		recorded("DeletePod", 1141*ms, 12*ms, "shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
		recorded("LabelPod", 1730*ms, 8*ms, "shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93"),
		recorded("PointService", 1741*ms, 15*ms, "to mysqld of shop-1 at epoch 9"),
		recorded("ReleaseHeld", 1760*ms, 6*ms, "shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93"),
		recorded("RecordEnd", 3402*ms, 10*ms, "PodTerminated of shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
	}
	return op
}

func switchoverOnRecord() *v1alpha1.DatabasePairOperation {
	const ms = time.Millisecond
	op := whyOperation("shop-switchover-x2k9d", v1alpha1.OperationSucceeded, "DrainForSwitchover", "shop-1 is the primary", 0)
	op.Spec.Target = "shop-1"
	op.Spec.Reason = "kernel update of worker-1"
	st := &op.Status
	doneAt(st, 12*time.Second+240*ms)
	st.Epoch = 9
	st.From = "shop-0"
	st.To = "shop-1"
	st.Proof = "Demoted"
	st.WriteGap = &metav1.Duration{Duration: 143 * ms}
	st.Drain = &v1alpha1.OperationDrain{
		Closed:   118,
		Cut:      2,
		Sessions: []string{"4711 app@127.0.0.1: UPDATE orders, 31 s in its transaction", "4720 batch@127.0.0.1: LOCK TABLES"},
	}
	st.Held = &v1alpha1.OperationHeld{Clients: 37, Longest: metav1.Duration{Duration: 163 * ms}}
	st.Timeline = []v1alpha1.OperationEvent{
		recorded("Hold", 2*ms, 5*ms, "shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93"),
		recorded("Drain", 8*ms, 10*time.Second, "shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
		recorded("Revoke", 10031*ms, 19*ms, "from shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de, epoch 10"),
		recorded("Fence", 10052*ms, 61*ms, "shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
		recorded("Appoint", 10120*ms, 17*ms,
			"shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93, epoch 11, Demoted of shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
		recorded("DetachService", 10121*ms, 9*ms, "from shop-0/4f6a6f0e-0d0c-4c43-9a55-0a6f64a1c0de"),
		recorded("PointService", 10180*ms, 14*ms, "to mysqld of shop-1 at epoch 11"),
		recorded("ReleaseHeld", 10196*ms, 4*ms, "shop-1/77c1d1b4-52f3-4dd6-8f0b-6a0f5c1e2b93"),
		recorded("BeginJoining", 10900*ms, 16*ms, ""),
		recorded("ConcludeBoth", 12220*ms, 15*ms, ""),
	}
	return op
}

// drawn is the page that report --html writes for an operation.
func drawn(t *testing.T, op *v1alpha1.DatabasePairOperation) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "page.html")
	out, _, err := newWorld(t, op).call(t, "", "report", op.Name, "--html", "--output", file)
	if err != nil || out != "Wrote "+file+"\n" {
		t.Fatalf("%v, printed %q", err, out)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestTimelineOfAnOperation(t *testing.T) {
	running := switchoverOnRecord()
	running.Status.Phase = v1alpha1.OperationRunning
	running.Status.CompletionTime = nil
	running.Status.Drain = nil
	running.Status.Held = nil
	running.Status.WriteGap = nil
	running.Status.Proof = ""
	running.Status.To = ""
	running.Status.Message = ""
	running.Status.Timeline = running.Status.Timeline[:2]
	for name, op := range map[string]*v1alpha1.DatabasePairOperation{
		"timeline-failover":   failoverOnRecord(),
		"timeline-switchover": switchoverOnRecord(),
		"timeline-running":    running,
		"timeline-pending":    whyOperation("shop-next", "", "", "", 0),
	} {
		t.Run(name, func(t *testing.T) { golden(t, name+".html", drawn(t, op)) })
	}
}

// The page loads nothing, whatever an operation's texts are.
func TestTimelineInjectsNothing(t *testing.T) {
	const evil = `"><script src=https://example.org/x.js></script><img src=x onerror=alert(1)>' style='--x:url(https://example.org)`
	op := switchoverOnRecord()
	st := &op.Status
	op.Spec.Reason = evil
	op.Spec.Target = evil
	op.Spec.PairRef.Name = evil
	for _, text := range []*string{&st.Message, &st.Rule, &st.From, &st.To, &st.Proof, &st.Drain.Sessions[0]} {
		*text = evil
	}
	st.GTIDs = &v1alpha1.OperationGTIDs{Former: evil}
	st.Discarded = &v1alpha1.DiscardedTransactions{GTIDs: evil, Directory: evil}
	for i := range st.Timeline {
		st.Timeline[i].Step += evil
		st.Timeline[i].Message = evil
	}
	page := drawn(t, op)
	tag := regexp.MustCompile(`<[a-z!/][^>]*>`)
	value := regexp.MustCompile(`"[^"]*"`)
	style := regexp.MustCompile(` style="([^"]*)"`)
	place := regexp.MustCompile(`^left:[0-9.]+%(;width:[0-9.]+%)?$`)
	loads := regexp.MustCompile(`(?i)<(script|img|link|iframe|object|a)\b|\s(src|href|on[a-z]+)\s*=|@import|url\(`)
	for _, found := range tag.FindAllString(page, -1) {
		if loads.MatchString(value.ReplaceAllString(found, `""`)) {
			t.Errorf("the page has %s", found)
		}
		if m := style.FindStringSubmatch(found); m != nil && !place.MatchString(m[1]) {
			t.Errorf("the page has the style %q", m[1])
		}
	}
	sheet := page[strings.Index(page, "<style>"):strings.Index(page, "</style>")]
	if loads.MatchString(sheet) || strings.Contains(page, "<script") || strings.Count(page, "&lt;script") < 10 {
		t.Errorf("the page is:\n%s", page)
	}
}

func TestReportOfAnOperationRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"an unknown operation":        {[]string{"report", "shop-failover-9", "--html"}, "kubectl dbpair history PAIR"},
		"an operation without --html": {[]string{"report", "shop-failover-8"}, "add --html for its timeline, or name its pair, shop"},
		"no name":                     {[]string{"report"}, "name one pair"},
		"a folder that is not there": {
			[]string{"report", "shop-failover-8", "--html", "--output", "no-such-folder/x.html"},
			"--output no-such-folder/x.html",
		},
	} {
		out, _, err := newWorld(t, failoverOnRecord()).call(t, "", c.args...)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, printed %q", name, err, out)
		}
	}
}

// The axis has round marks and not too many of them, whatever the length.
func TestTicks(t *testing.T) {
	for whole := 3 * time.Microsecond; whole < 1000*time.Hour; whole = whole*13/10 + 1 {
		ticks := ticksOf(whole)
		if len(ticks) < 2 || len(ticks) > mostTicks+1 || ticks[0].At != 0 || ticks[len(ticks)-1].At > 100 {
			t.Errorf("%s: %v", whole, ticks)
		}
	}
	for d, want := range map[time.Duration][2]string{
		0:                       {"0", "0 ms"},
		412 * time.Microsecond:  {"412 µs", "0.4 ms"},
		1260 * time.Microsecond: {"1.26 ms", "1.3 ms"},
		412 * time.Millisecond:  {"412 ms", "412 ms"},
		2 * time.Second:         {"2 s", "2.000 s"},
		3412 * time.Millisecond: {"3.412 s", "3.412 s"},
		90 * time.Second:        {"1m30s", "1m30s"},
	} {
		if got := [2]string{short(d), aligned(d)}; got != want {
			t.Errorf("%d: %q, want %q", d, got, want)
		}
	}
}
