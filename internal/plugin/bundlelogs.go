package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	corev1 "k8s.io/api/core/v1"
	typedv1 "k8s.io/client-go/kubernetes/typed/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/resources"
)

// The newest lines of one container's log that are read, and the newest bytes of them that a
// bundle has.
const (
	logLines = 20000
	logBytes = 2 << 20
)

// logTimeout bounds how long one log is waited for: a lost node must not keep the rest.
const logTimeout = 30 * time.Second

// labelsOfOperators are on the operator's pods, by the chart and by config/manager.
var labelsOfOperators = client.MatchingLabels{
	resources.LabelName:           resources.Product,
	"app.kubernetes.io/component": "manager",
}

// containerLog names the log of a container, or of the one before it in the same pod.
type containerLog struct {
	namespace string
	pod       string
	container string
	previous  bool
}

// logReader reads logs of containers.
type logReader interface {
	// open gives the newest lines of a log, at most that many. The caller closes it.
	open(ctx context.Context, l containerLog, lines int64) (io.ReadCloser, error)
}

// open implements logReader. It blocks until the API server answers.
func (r remote) open(ctx context.Context, l containerLog, lines int64) (io.ReadCloser, error) {
	core, err := typedv1.NewForConfig(r.config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	return core.Pods(l.namespace).GetLogs(l.pod, &corev1.PodLogOptions{
		Container: l.container,
		Previous:  l.previous,
		TailLines: &lines,
	}).Stream(ctx)
}

// logs adds the logs of the pair's pods and of the operators that may be read.
func (b *bundle) logs(ctx context.Context, operatorNamespace string) {
	for i := range b.pods {
		b.podLogs(ctx, &b.pods[i], "logs")
	}
	var list corev1.PodList
	if err := b.cluster.client.List(ctx, &list, client.InNamespace(operatorNamespace), labelsOfOperators); err != nil {
		b.missing("the operator's pods and logs (--operator-namespace says where to look)", err)
		return
	}
	if len(list.Items) == 0 {
		b.missing("the operator's logs", errors.New("no pod of an operator was found"))
	}
	var pods []client.Object
	for i := range list.Items {
		b.podLogs(ctx, &list.Items[i], "operator")
		pods = append(pods, &list.Items[i])
	}
	b.write("operator/pods.yaml", pods)
}

// podLogs adds the log of each container that has run, and of the one before it when it was
// started again.
func (b *bundle) podLogs(ctx context.Context, pod *corev1.Pod, directory string) {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for _, s := range statuses {
			l := containerLog{
				namespace: pod.Namespace,
				pod:       pod.Name,
				container: s.Name,
			}
			if s.State.Waiting == nil {
				b.addLog(ctx, l, fmt.Sprintf("%s/%s.%s.log", directory, pod.Name, s.Name))
			}
			if s.LastTerminationState.Terminated != nil || s.RestartCount > 0 {
				l.previous = true
				b.addLog(ctx, l, fmt.Sprintf("%s/%s.%s.previous.log", directory, pod.Name, s.Name))
			}
		}
	}
}

func (b *bundle) addLog(ctx context.Context, l containerLog, file string) {
	ctx, cancel := context.WithTimeout(ctx, logTimeout)
	defer cancel()
	in, err := b.cluster.logs.open(ctx, l, logLines)
	if err != nil {
		b.missing(file, err)
		return
	}
	defer func() { _ = in.Close() }()
	newest := tail{limit: logBytes}
	// What came before an interruption is worth as much as a whole log.
	if _, err := io.Copy(&newest, in); err != nil {
		b.missing(file+", from some line on", err)
	}
	b.add(file, newest.text())
}

// tail keeps the newest bytes of what is written to it.
type tail struct {
	limit int
	kept  []byte
	lost  bool
}

// Write implements io.Writer; it never fails.
func (t *tail) Write(p []byte) (int, error) {
	t.kept = append(t.kept, p...)
	if len(t.kept) > 2*t.limit {
		t.cut()
	}
	return len(p), nil
}

func (t *tail) cut() {
	if over := len(t.kept) - t.limit; over > 0 {
		t.kept = append(t.kept[:0], t.kept[over:]...)
		t.lost = true
	}
}

// text is what was kept, from the first whole line on.
func (t *tail) text() string {
	t.cut()
	if !t.lost {
		return string(t.kept)
	}
	_, whole, _ := bytes.Cut(t.kept, []byte("\n"))
	return "[older lines are left out]\n" + string(whole)
}
