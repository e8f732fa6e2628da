package plugin

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func (w *world) operations(t *testing.T) []v1alpha1.DatabasePairOperation {
	t.Helper()
	var list v1alpha1.DatabasePairOperationList
	if err := w.client.List(t.Context(), &list); err != nil {
		t.Fatal(err)
	}
	return list.Items
}

func TestChecksumAndRepairMakeOperations(t *testing.T) {
	shop := v1alpha1.PairReference{Name: "shop"}
	for name, c := range map[string]struct {
		args, typed string
		want        *v1alpha1.OperationSpec // nil for none
		says        string
	}{
		"all tables": {args: "checksum shop", want: &v1alpha1.OperationSpec{PairRef: shop, Type: v1alpha1.OperationChecksum}, says: "kubectl get dbpo"},
		"one table with values": {args: "checksum shop --table app.t --values --reason why", want: &v1alpha1.OperationSpec{
			PairRef:  shop,
			Type:     v1alpha1.OperationChecksum,
			Reason:   "why",
			Checksum: &v1alpha1.ChecksumParameters{Table: "app.t", WithValues: true},
		}},
		"a dry run asks nothing": {args: "repair shop --table app.t --dry-run", want: &v1alpha1.OperationSpec{
			PairRef: shop, Type: v1alpha1.OperationRepair, Repair: &v1alpha1.RepairParameters{Table: "app.t", DryRun: true}}},
		"a repair, typed": {
			args:  "repair shop --table app.t",
			typed: "shop/12\n",
			says:  "written over",
			want: &v1alpha1.OperationSpec{
				PairRef: shop,
				Type:    v1alpha1.OperationRepair,
				Confirm: "shop/12",
				Repair:  &v1alpha1.RepairParameters{Table: "app.t"},
			},
		},
		"a repair, by a script": {args: "repair shop --table app.t --confirm shop/12", want: &v1alpha1.OperationSpec{
			PairRef: shop,
			Type:    v1alpha1.OperationRepair,
			Confirm: "shop/12",
			Repair:  &v1alpha1.RepairParameters{Table: "app.t"},
		}},
		"a repair, not confirmed":   {args: "repair shop --table app.t", typed: "yes\n", says: "not confirmed"},
		"a repair at another epoch": {args: "repair shop --table app.t --confirm shop/11", says: "the pair is at shop/12"},
		"a repair of nothing":       {args: "repair shop", says: "name the table"},
		"a repair without a schema": {args: "repair shop --table t", says: "name the table"},
		"a comparison of a schema":  {args: "checksum shop --table app", says: "whole schemas are compared by spec.checksum.include"},
		"a comparison of a pattern": {args: "checksum shop --table app.*", says: "is a pattern"},
		"a comparison of nothing":   {args: "checksum shop --table=", says: "name the table"},
		"a table without its flag":  {args: "checksum shop app.orders", says: "name one pair"},
		"a repair of a quoted table": {args: "repair shop --dry-run --table `app`.`t`", want: &v1alpha1.OperationSpec{
			PairRef: shop, Type: v1alpha1.OperationRepair, Repair: &v1alpha1.RepairParameters{Table: "app.t", DryRun: true}}},
		"a comparison of an unknown one": {args: "checksum web", says: "no DatabasePair"},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy())
			out, errOut, err := w.call(t, c.typed, strings.Fields(c.args)...)
			all := out + errOut
			if err != nil {
				all += err.Error()
			}
			if (err == nil) != (c.want != nil) || !strings.Contains(all, c.says) {
				t.Fatalf("says %q, want %q", all, c.says)
			}
			made := w.operations(t)
			if c.want == nil {
				if len(made) > 0 {
					t.Errorf("made %+v", made)
				}
				return
			}
			if len(made) != 1 {
				t.Fatalf("made %d operations", len(made))
			}
			if diff := cmp.Diff(*c.want, made[0].Spec); diff != "" {
				t.Errorf("made (-want +got):\n%s", diff)
			}
		})
	}
}

// What people type for a table, and what comes of it: the table, or an error that says what
// to type instead.
func TestTablesAsTheyAreTyped(t *testing.T) {
	for typed, c := range map[string]struct{ want, says string }{
		"app.orders":           {want: "app.orders"},
		" app.orders ":         {want: "app.orders"},
		"`app`.`orders`":       {want: "app.orders"},
		"app.`orders`":         {want: "app.orders"},
		"`a``b`.`c d`":         {want: "a`b.c d"},
		"app.`with.dot`":       {want: "app.with.dot"},
		"app.`a*?,;'`":         {want: "app.a*?,;'"},
		"":                     {says: "name the table: --table takes one table, <schema>.<table>"},
		"   ":                  {says: "name the table"},
		"orders":               {says: "name the table with its schema"},
		"`orders`":             {says: "whole schemas are compared by spec.checksum.include"},
		".orders":              {says: "the schema is missing"},
		"app.":                 {says: "the table's name is missing"},
		"`app`.":               {says: "the table's name is missing"},
		"app.orders.id":        {says: `".id" follows the table's name`},
		"app.orders.":          {says: "follows the table's name"},
		"`app`.`orders`x":      {says: `"x" follows the table's name`},
		"`app`x.orders":        {says: `".orders" follows the table`},
		"app.*":                {says: "is a pattern: spec.checksum.include takes those"},
		"app.order?":           {says: "is a pattern"},
		"*.orders":             {says: "is a pattern"},
		"app.orders,app.lines": {says: "takes one table"},
		"app.orders app.lines": {says: "takes one table"},
		"app.orders;":          {says: "takes one table"},
		"'app.orders'":         {says: "goes in backquotes"},
		`"app"."orders"`:       {says: "goes in backquotes"},
		"`app.orders`":         {says: "name the table with its schema"},
		"`app.v2`.orders":      {says: "a schema with a dot"},
		"`app.orders":          {says: "a backquote is not closed"},
		"app.`orders":          {says: "a backquote is not closed"},
	} {
		got, err := parseTable(typed)
		if c.says == "" {
			if err != nil || got != c.want {
				t.Errorf("%q: %q, %v; want %q", typed, got, err, c.want)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), c.says) || (!strings.Contains(err.Error(), "spec.checksum.include") && !strings.Contains(err.Error(), "app.orders")) {
			t.Errorf("%q: %q, %v; want an error that says %q and what to type", typed, got, err, c.says)
		}
	}
}

// finish ends the operation that the plugin makes as the operator would.
func (w *world) finish(t *testing.T, change func(*v1alpha1.OperationStatus)) {
	t.Helper()
	go func() {
		for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(20 * time.Millisecond) {
			var list v1alpha1.DatabasePairOperationList
			if w.client.List(context.Background(), &list) != nil || len(list.Items) == 0 {
				continue
			}
			op := &list.Items[0]
			base := op.DeepCopy()
			change(&op.Status)
			if w.client.Patch(context.Background(), op, client.MergeFrom(base)) == nil {
				return
			}
		}
	}()
}

func TestWaitingForAComparison(t *testing.T) {
	result := &v1alpha1.OperationResult{
		Tables:        3,
		Rows:          1000,
		Duration:      &metav1.Duration{Duration: 2 * time.Second},
		RowsPerSecond: 500,
		LongestLock:   &metav1.Duration{Duration: 3 * time.Millisecond},
		Report:        "shop-job-1",
	}
	drifted := result.DeepCopy()
	drifted.DifferingRows = 2
	drifted.Differing = []v1alpha1.TableDrift{{Table: "app.t", Rows: 2}}
	for name, c := range map[string]struct {
		change func(*v1alpha1.OperationStatus)
		fails  string
		says   []string
	}{
		"equal": {func(s *v1alpha1.OperationStatus) {
			s.Phase = v1alpha1.OperationSucceeded
			s.Message = "all is equal"
			s.Result = result
		}, "", []string{"Succeeded: all is equal", "1000 rows of 3 tables in 2s (500 rows/s), longest lock 3ms", "configmap shop-job-1"}},
		"different": {func(s *v1alpha1.OperationStatus) {
			s.Phase = v1alpha1.OperationSucceeded
			s.Result = drifted
		},
			"the members differ", []string{"differs: app.t, 2 rows"}},
		"abandoned": {func(s *v1alpha1.OperationStatus) {
			s.Phase = v1alpha1.OperationAbandoned
			s.Message = "the roles changed"
		},
			"Abandoned", []string{"the roles changed"}},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, healthy())
			w.finish(t, c.change)
			out, _, err := w.call(t, "", "checksum", "shop", "--wait")
			if (err == nil) != (c.fails == "") || (err != nil && !strings.Contains(err.Error(), c.fails)) {
				t.Errorf("ended with %v, want %q", err, c.fails)
			}
			for _, says := range c.says {
				if !strings.Contains(out, says) {
					t.Errorf("says %q, not %q", out, says)
				}
			}
		})
	}
}

func TestProgressInWords(t *testing.T) {
	running := func(p *v1alpha1.OperationProgress) *v1alpha1.OperationStatus {
		return &v1alpha1.OperationStatus{Phase: v1alpha1.OperationRunning, Progress: p}
	}
	var out strings.Builder
	l := &lines{out: &out}
	p := &v1alpha1.OperationProgress{
		Table:         "app.t",
		TablesDone:    1,
		TablesTotal:   4,
		Rows:          10,
		RowsPerSecond: 5,
		DifferingRows: 2,
		Remaining:     &metav1.Duration{Duration: time.Minute},
	}
	for _, s := range []*v1alpha1.OperationStatus{
		{Phase: v1alpha1.OperationPending, Message: "waits until the pair is Available"}, running(nil), running(p), running(p),
		running(&v1alpha1.OperationProgress{
			Table:       "app.t",
			Note:        "the passive lags",
			TablesDone:  1,
			TablesTotal: 4,
		}),
	} {
		l.look(s)
	}
	want := "waits until the pair is Available\nbegins\napp.t, 1 of 4 tables\napp.t (the passive lags), 1 of 4 tables\n"
	if diff := cmp.Diff(want, out.String()); diff != "" {
		t.Errorf("lines (-want +got):\n%s", diff)
	}
	if got := figures(p); got != " 1/4 tables, 10 rows, 5/s, 1m0s left, 2 differ" {
		t.Errorf("figures %q", got)
	}
	var drawn strings.Builder
	b := newBar(&drawn)
	b.look(running(p))
	b.end()
}
