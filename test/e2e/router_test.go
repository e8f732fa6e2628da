//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// readersLag is how long readers may be served by a member that has become the primary: until the router
// has asked it again, on a busy machine.
const readersLag = 3 * time.Second

// fewestReaders is how many readers the passive has to answer in a case.
const fewestReaders = 20

// readersServed is for how long the read-only port has to answer when the pair is ready again.
const readersServed = 5 * time.Second

// TestRouter: clients write through the router while roles change. Nothing else runs beside it, as a node is cut off.
func TestRouter(t *testing.T) {
	harness.NeedsLong(t)
	s := newScene(t, "router")
	p := cluster.Pair(s.namespace, "shop")
	p.ClientHost = p.Names().Router() + "." + s.namespace + ".svc"
	p.ReaderAddress = net.JoinHostPort(p.ClientHost, strconv.Itoa(resources.PortRouterRead))
	s.must(p.Apply(s.ctx, faultSpec, "router: {enabled: true}"))
	s.must(p.AwaitReady(s.ctx))
	s.must(p.Await(s.ctx, harness.Patience, harness.Want{Type: v1alpha1.ConditionRouterReady, Status: metav1.ConditionTrue}))
	st := newStage(s, p)
	for _, f := range []fault{
		{
			name:    "switchover, Demote",
			want:    failsOver,
			inject:  switchOver("Demote"),
			after:   readersAreServed,
			clients: readersAtThePassive,
		},
		{
			name:    "switchover, DeletePod",
			want:    failsOver,
			inject:  switchOver("DeletePod"),
			after:   readersAreServed,
			clients: readersAtThePassive,
		},
		{
			name:    "mysqld killed",
			want:    failsOver,
			inject:  signal(unix.SIGKILL, harness.RoleMysqld),
			after:   readersAreServed,
			clients: readersAtThePassive,
		},
		{
			name:    "node cut off the network",
			want:    failsOver,
			inject:  cutOffUnderAStatement,
			after:   readersAreServed,
			clients: readersAtThePassive,
		},
	} {
		if !t.Run(f.name, func(t *testing.T) { st.on(t).play(f) }) {
			return
		}
	}
	s.must(p.PatchSpec(s.ctx, "router: {enabled: false}"))
	s.must(harness.Eventually(s.ctx, harness.Patience, "end of the router", func(ctx context.Context) error {
		pods, err := routerPods(ctx, p)
		if err == nil && len(pods) > 0 {
			err = harness.NotYet("%d pods are left", len(pods))
		}
		return err
	}))
	s.must(p.AwaitReady(s.ctx))
}

// readersAreServed: with a passive that follows, the read-only port answers again and goes on to.
func readersAreServed(st *stage) error {
	const script = `MYSQL_PWD="$1" exec mysql --no-defaults --ssl-mode=REQUIRED -u"$0" -h"$2" -P"$3" -e "SELECT 1"`
	var app corev1.Secret
	if err := st.pair.Get(st.ctx, client.ObjectKey{Namespace: st.namespace, Name: st.pair.Names().App()}, &app); err != nil {
		return err
	}
	read := func(ctx context.Context) error {
		out, err := st.pair.Exec(ctx, st.namespace, st.passive, resources.ContainerMysqld, "sh", "-c", script,
			string(app.Data["username"]), string(app.Data["password"]), st.pair.ClientHost, strconv.Itoa(resources.PortRouterRead))
		if err != nil {
			return harness.NotYet("%v: %s", err, out)
		}
		return nil
	}
	if err := harness.Eventually(st.ctx, harness.Patience, "an answer of the read-only port", read); err != nil {
		return err
	}
	return harness.Consistently(st.ctx, readersServed, "answers of the read-only port", read)
}

// readersAtThePassive: the read-only port answered, and never from a primary but for a moment.
func readersAtThePassive(st *stage, report history.Report) error {
	router := st.pair.Names().Router()
	var samples []history.Sample
	answered := 0
	writable := 0
	for _, s := range report.Samples {
		if s.Member != router {
			continue
		}
		samples = append(samples, s)
		if !s.Failed {
			answered++
		}
		if s.Writable {
			writable++
		}
	}
	st.Logf("read-only port: %d answers of %d, %d from a member that had just become the primary", answered, len(samples), writable)
	var errs []error
	if answered-writable < fewestReaders {
		errs = append(errs, fmt.Errorf("the passive answered %d readers of %d", answered-writable, len(samples)))
	}
	for _, span := range history.WritableSpans(samples, readersLag) {
		if length := span.To.Sub(span.From); length > readersLag {
			errs = append(errs, fmt.Errorf("the read-only port led to a primary for %s", length))
		}
	}
	return errors.Join(errs...)
}

// cutOffUnderAStatement: a client without any limit of time waits for an answer of the primary when that vanishes, through a
// router's pod on another node.
func cutOffUnderAStatement(st *stage) (func(context.Context) error, error) {
	router, err := routerBeside(st, st.nodes[st.primary].Name)
	if err != nil {
		return nil, err
	}
	ended := make(chan error, 1)
	go func() {
		const script = `MYSQL_PWD="$1" exec mysql --no-defaults --ssl-mode=REQUIRED -u"$0" -h"$2" -e "SELECT SLEEP(3000)"`
		var app corev1.Secret
		err := st.pair.Get(st.ctx, client.ObjectKey{Namespace: st.namespace, Name: st.pair.Names().App()}, &app)
		if err == nil {
			_, err = st.pair.Exec(st.ctx, st.namespace, st.passive, resources.ContainerMysqld, "sh", "-c", script,
				string(app.Data["username"]), string(app.Data["password"]), router)
		}
		ended <- err
	}()
	const waiting = "SELECT 1 FROM performance_schema.processlist WHERE info = 'SELECT SLEEP(3000)'"
	if err := st.pair.AwaitRow(st.ctx, st.primary, waiting); err != nil {
		return nil, fmt.Errorf("the client's statement: %w", err)
	}
	heal, err := disconnect(st)
	if err != nil {
		return heal, err
	}
	begun := time.Now()
	select {
	case err := <-ended:
		st.Logf("the client without a limit of time was freed after %s: %v", time.Since(begun).Round(100*time.Millisecond), err)
		if err == nil || !strings.Contains(err.Error(), "2013") {
			return heal, fmt.Errorf("the client was not freed by the loss of its connection: %w", err)
		}
	case <-time.After(harness.Patience):
		return heal, errors.New("the client still waits for a primary that vanished")
	}
	return heal, nil
}

func routerPods(ctx context.Context, p *harness.Pair) ([]corev1.Pod, error) {
	var pods corev1.PodList
	err := p.List(ctx, &pods, client.InNamespace(p.Namespace), client.MatchingLabels{resources.LabelRouterOf: p.Name})
	return pods.Items, err
}

// routerBeside is the address of a router's pod that is on another node.
func routerBeside(st *stage, node string) (string, error) {
	pods, err := routerPods(st.ctx, st.pair)
	if err != nil {
		return "", err
	}
	for i := range pods {
		if pods[i].Spec.NodeName != node && pods[i].Status.PodIP != "" && pods[i].DeletionTimestamp == nil {
			return pods[i].Status.PodIP, nil
		}
	}
	return "", fmt.Errorf("every pod of the router is on %s", node)
}
