package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const reportLong = `Write a support bundle of a pair, or with --html the timeline of one of its operations as a page.

The bundle is a tar.gz with the pair, its operations, the objects that the operator made for it and their events as YAML,
the newest logs of its pods and of the operator, and what status and why print. Of Secrets it has names and the names of
keys, never a value; values of the pair's Secrets that stand elsewhere, such as in a log, are replaced, provided that you
may read those Secrets. What could not be read is listed in the bundle's unread.txt and is no error. Logs may name hosts,
accounts and schemas, and those of the operator other pairs: look at the bundle before you pass it on.

The page of an operation needs nothing but a browser: no script, no network. kubectl dbpair history PAIR lists the operations.`

// reportOptions are the flags of report.
type reportOptions struct {
	html   bool
	output string
	// operators is the namespace in which operators are looked for; empty: all.
	operators string
}

func (s *session) reportCommand(version string) *cobra.Command {
	var o reportOptions
	cmd := &cobra.Command{
		Use:     "report PAIR | report OPERATION --html",
		GroupID: "look",
		Short:   "Write a support bundle of a pair without secrets, or the timeline of an operation as a page",
		Long:    reportLong,
		Example: "  kubectl dbpair report shop\n  kubectl dbpair report shop --output shop.tar.gz\n" +
			"  kubectl dbpair report shop-failover-8 --html",
		Args: oneReported,
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := s.connect()
			if err != nil {
				return err
			}
			if o.html {
				return s.reportOperation(cmd.Context(), c, args[0], o)
			}
			return s.reportPair(cmd.Context(), c, args[0], version, o)
		},
	}
	cmd.Flags().BoolVar(&o.html, "html", false, "draw the timeline of the operation as one HTML page")
	cmd.Flags().StringVar(&o.output, "output", "",
		"the file to write, - for standard output (default PAIR-report-TIME.tar.gz or OPERATION.html)")
	cmd.Flags().StringVar(&o.operators, "operator-namespace", "", "where the operator runs, when you may not list pods in all namespaces")
	return cmd
}

// oneReported accepts exactly one name.
func oneReported(_ *cobra.Command, args []string) error {
	if len(args) != 1 {
		return errors.New("name one pair, or with --html one operation: `kubectl get dbp` and `kubectl get dbpo` list them")
	}
	return nil
}

// reportPair writes the support bundle of a pair.
func (s *session) reportPair(ctx context.Context, c cluster, name, version string, o reportOptions) error {
	p, err := c.pair(ctx, name)
	if err != nil {
		return c.withHint(ctx, name, err)
	}
	made := time.Now().UTC()
	b := &bundle{
		cluster: c,
		pair:    p,
	}
	b.collect(ctx, o.operators)
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("the report was interrupted: %w", err)
	}
	b.add("about.txt", fmt.Sprintf("Support bundle of DatabasePair %s in namespace %s\nMade at %s by kubectl dbpair %s\n",
		p.Name, p.Namespace, at(made), version))
	var out bytes.Buffer
	if err := b.archive(&out, p.Name+"-report", made); err != nil {
		return err
	}
	file := o.output
	if file == "" {
		file = fmt.Sprintf("%s-report-%s.tar.gz", p.Name, made.Format("20060102T150405Z"))
	}
	if err := s.deliver(file, out.Bytes()); err != nil {
		return err
	}
	if n := len(b.unread); n > 0 {
		_, err = fmt.Fprintf(s.streams.ErrOut, "Could not be read, and is listed in unread.txt: %d\n", n)
	}
	return err
}

// withHint says --html to one who asks for the report of an operation without it.
func (c cluster) withHint(ctx context.Context, name string, err error) error {
	op := &v1alpha1.DatabasePairOperation{}
	if c.client.Get(ctx, client.ObjectKey{Namespace: c.namespace, Name: name}, op) != nil {
		return err
	}
	return fmt.Errorf("%s is an operation, not a pair: add --html for its timeline, or name its pair, %s", name, op.Spec.PairRef.Name)
}

// deliver writes a report to a file that only its owner may read, whole or not at all, or to
// standard output when file is "-". A file of that name is replaced.
func (s *session) deliver(file string, text []byte) (err error) {
	if file == "-" {
		_, err = s.streams.Out.Write(text)
		return err
	}
	temp, err := os.CreateTemp(filepath.Dir(file), ".dbpair-report-*")
	if err != nil {
		return fmt.Errorf("--output %s: %w", file, err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(temp.Name())
		}
	}()
	_, err = temp.Write(text)
	if err = errors.Join(err, temp.Close()); err != nil {
		return fmt.Errorf("--output %s: %w", file, err)
	}
	if err = os.Rename(temp.Name(), file); err != nil {
		return fmt.Errorf("--output %s: %w", file, err)
	}
	_, err = fmt.Fprintf(s.streams.Out, "Wrote %s\n", file)
	return err
}

// bundle gathers the files of a support bundle.
type bundle struct {
	cluster cluster
	pair    *v1alpha1.DatabasePair
	files   []bundleFile
	// unread says what could not be read, and why.
	unread []string
	// hide replaces the values that must not be in any file.
	hide *strings.Replacer
	// done are the names of the operations, and pods those of members and Jobs.
	done []string
	pods []corev1.Pod
}

type bundleFile struct{ name, text string }

func (b *bundle) add(name, text string) {
	b.files = append(b.files, bundleFile{name: name, text: text})
}

// missing notes what could not be read.
func (b *bundle) missing(what string, err error) {
	b.unread = append(b.unread, what+": "+firstLine(err.Error()))
}

// collect reads all that a bundle has. What cannot be read is noted.
func (b *bundle) collect(ctx context.Context, operatorNamespace string) {
	// The Secrets come first: what is encoded further down has no value of theirs any more.
	b.addSecrets(ctx)
	b.said(ctx)
	b.operations(ctx)
	b.objects(ctx)
	b.logs(ctx, operatorNamespace)
}

// said adds what status and why print.
func (b *bundle) said(ctx context.Context) {
	var out strings.Builder
	r, err := b.cluster.report(ctx, b.pair.Name)
	if err == nil {
		err = render(&out, r, paint(false), true)
	}
	b.print("status.txt", out.String(), err)
	out.Reset()
	w, err := b.cluster.why(ctx, b.pair.Name)
	if err == nil {
		err = renderWhy(&out, w, paint(false))
	}
	b.print("why.txt", out.String(), err)
}

func (b *bundle) print(name, text string, err error) {
	if err != nil {
		b.missing(name, err)
		return
	}
	b.add(name, text)
}

// operations adds the operations as YAML, and the timeline of each as a page.
func (b *bundle) operations(ctx context.Context) {
	all, err := b.cluster.operations(ctx, b.pair)
	if err != nil {
		b.missing("operations", err)
		return
	}
	var objects []client.Object
	for i := range all {
		objects = append(objects, &all[i])
		b.done = append(b.done, all[i].Name)
		page, err := b.page(&all[i])
		b.print("timelines/"+all[i].Name+".html", page, err)
	}
	b.write("objects/operations.yaml", objects)
}

// page is the timeline of an operation without values of Secrets.
func (b *bundle) page(op *v1alpha1.DatabasePairOperation) (string, error) {
	content, err := b.conceal(op)
	if err != nil {
		return "", err
	}
	shown := &v1alpha1.DatabasePairOperation{}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, shown); err != nil {
		return "", fmt.Errorf("replace values of Secrets in operation %s: %w", op.Name, err)
	}
	var page strings.Builder
	err = renderTimeline(&page, shown)
	return page.String(), err
}

// unreadText is the content of unread.txt.
func (b *bundle) unreadText() string {
	if len(b.unread) == 0 {
		return "All was read.\n"
	}
	return strings.Join(b.unread, "\n") + "\n"
}
