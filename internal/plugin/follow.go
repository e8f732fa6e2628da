package plugin

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/vbauerster/mpb/v8"
	"github.com/vbauerster/mpb/v8/decor"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// followEvery is the time between two looks at an operation that is waited for.
const followEvery = time.Second

// follow shows how far an operation is until it has ended, and returns an error unless it
// came to the result that was hoped for. Anyone who interrupts it does not end the operation.
func (s *session) follow(ctx context.Context, c cluster, op *v1alpha1.DatabasePairOperation) error {
	show := s.newShow()
	ticks := time.NewTicker(followEvery)
	defer ticks.Stop()
	for {
		err := c.client.Get(ctx, client.ObjectKeyFromObject(op), op)
		switch {
		case ctx.Err() != nil:
			show.end()
			return fmt.Errorf("not waited for any more; operation %s goes on", op.Name)
		case client.IgnoreNotFound(err) == nil && err != nil:
			show.end()
			return fmt.Errorf("operation %s was deleted", op.Name)
		case err == nil && op.Status.Phase.Terminal():
			show.end()
			return s.tellEnd(op)
		case err == nil:
			show.look(&op.Status)
		}
		// Any other error may pass: the API server may be away for a while.
		select {
		case <-ctx.Done():
		case <-ticks.C:
		}
	}
}

// tellEnd prints the result.
func (s *session) tellEnd(op *v1alpha1.DatabasePairOperation) error {
	status := &op.Status
	out := &strings.Builder{}
	fmt.Fprintf(out, "%s: %s\n", status.Phase, status.Message)
	if r := status.Result; r != nil && r.Backup != nil {
		tellBackup(out, r)
	} else if r != nil && r.Expire != nil {
		fmt.Fprintf(out, "Removed: %s\n", cmp.Or(strings.Join(r.Expire.Removed, ", "), "none"))
	} else if r != nil && r.RestoreDrill != nil {
		tellRestoreDrill(out, r.RestoreDrill)
	} else if r != nil {
		fmt.Fprintf(out, "%d rows of %d tables in %s (%d rows/s), longest lock %s\n",
			r.Rows, r.Tables, duration(r.Duration), r.RowsPerSecond, duration(r.LongestLock))
		for _, one := range r.Differing {
			fmt.Fprintf(out, "  differs: %s, %d rows\n", one.Table, one.Rows)
		}
		for _, why := range r.Skipped {
			fmt.Fprintf(out, "  skipped: %s\n", why)
		}
		if r.Report != "" {
			fmt.Fprintf(out, "Report: kubectl get configmap %s -n %s -o jsonpath='{.data.report\\.json}'\n", r.Report, op.Namespace)
		}
	}
	if _, err := io.WriteString(s.streams.Out, out.String()); err != nil {
		return err
	}
	switch {
	case status.Phase != v1alpha1.OperationSucceeded:
		return fmt.Errorf("operation %s: %s", op.Name, status.Phase)
	case op.Spec.Type == v1alpha1.OperationChecksum && status.Result.Drift() > 0:
		return errors.New("the members differ")
	}
	return nil
}

func duration(d *metav1.Duration) string {
	if d == nil {
		return "-"
	}
	return d.Duration.String()
}

// show tells how far an operation is.
type show interface {
	look(s *v1alpha1.OperationStatus)
	end()
}

func (s *session) newShow() show {
	if isTerminal(s.streams.ErrOut) {
		return newBar(s.streams.ErrOut)
	}
	return &lines{out: s.streams.ErrOut}
}

// lines is for a log: one line for each change that is worth one.
type lines struct {
	out  io.Writer
	last string
}

func (l *lines) look(s *v1alpha1.OperationStatus) {
	line := headline(s)
	if p := s.Progress; p != nil && p.TablesTotal > 0 {
		line = fmt.Sprintf("%s, %d of %d tables", line, p.TablesDone, p.TablesTotal)
	}
	if line != l.last {
		l.last = line
		_, _ = fmt.Fprintln(l.out, line)
	}
}

func (l *lines) end() {}

// headline is what is done now, or waited for.
func headline(s *v1alpha1.OperationStatus) string {
	switch p := s.Progress; {
	case (s.Phase != v1alpha1.OperationRunning || p == nil) && s.Message != "":
		return s.Message
	case p == nil:
		return "begins"
	case p.Note != "" && p.Table != "":
		return p.Table + " (" + p.Note + ")"
	case p.Note != "":
		return p.Note
	case p.Table != "":
		return p.Table
	}
	return "compares"
}

// bar is for people before a terminal.
type bar struct {
	progress *mpb.Progress
	bar      *mpb.Bar
	status   chan *v1alpha1.OperationStatus
	now      v1alpha1.OperationStatus
}

func newBar(out io.Writer) *bar {
	b := &bar{progress: mpb.New(mpb.WithOutput(out), mpb.WithWidth(40)), status: make(chan *v1alpha1.OperationStatus, 1)}
	// The bar is drawn beside this goroutine: it takes what is newest from the channel.
	newest := func() *v1alpha1.OperationStatus {
		select {
		case s := <-b.status:
			b.now = *s
		default:
		}
		return &b.now
	}
	b.bar = b.progress.AddBar(0,
		mpb.BarRemoveOnComplete(),
		mpb.PrependDecorators(decor.Any(func(decor.Statistics) string { return clip(headline(newest()), 40) + " " })),
		mpb.AppendDecorators(decor.Any(func(decor.Statistics) string { return figures(b.now.Progress) })),
	)
	return b
}

// figures are the numbers behind the bar.
func figures(p *v1alpha1.OperationProgress) string {
	if p == nil {
		return ""
	}
	if p.Bytes > 0 {
		return " " + mebibytes(p.Bytes) + " stored"
	}
	out := fmt.Sprintf(" %d/%d tables, %d rows", p.TablesDone, p.TablesTotal, p.Rows)
	if p.RowsPerSecond > 0 {
		out += fmt.Sprintf(", %d/s", p.RowsPerSecond)
	}
	if p.Remaining != nil {
		out += ", " + p.Remaining.Duration.String() + " left"
	}
	if p.DifferingRows > 0 {
		out += fmt.Sprintf(", %d differ", p.DifferingRows)
	}
	return out
}

func (b *bar) look(s *v1alpha1.OperationStatus) {
	select {
	case <-b.status:
	default:
	}
	b.status <- s.DeepCopy()
	if p := s.Progress; p != nil {
		// An estimate may be short of what is there; the bar must not be full before the end.
		b.bar.SetTotal(max(p.RowsTotal, p.Rows+1), false)
		b.bar.SetCurrent(p.Rows)
	}
}

func (b *bar) end() {
	b.bar.Abort(true)
	b.progress.Wait()
}

func clip(text string, limit int) string {
	if r := []rune(text); len(r) > limit {
		return string(r[:limit-1]) + "…"
	}
	return text
}
