package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/test/e2e/history"
)

const clientPort = "8080"

// Clients is a pod with writers and a poller. It runs on the control plane node, which
// no fault of a member's node touches.
type Clients struct {
	pair *Pair
	pod  string
}

// StartClients makes the pod and waits until it answers.
func (p *Pair) StartClients(ctx context.Context) (*Clients, error) {
	c := &Clients{pair: p, pod: p.Name + "-clients"}
	if err := p.Create(ctx, p.clientPod(c.pod)); err != nil {
		return nil, fmt.Errorf("start clients: %w", err)
	}
	err := Eventually(ctx, Patience, "clients of "+p.Name, func(ctx context.Context) error {
		return c.call(ctx, "GET", "healthz", nil, nil)
	})
	return c, err
}

func (p *Pair) clientPod(name string) *corev1.Pod {
	names := p.Names()
	fromApp := func(env, key string) corev1.EnvVar {
		return corev1.EnvVar{Name: env, ValueFrom: &corev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{
			LocalObjectReference: corev1.LocalObjectReference{Name: names.App()}, Key: key,
		}}}
	}
	host := fromApp("DB_HOST", "host")
	if p.ClientHost != "" {
		host = corev1.EnvVar{Name: "DB_HOST", Value: p.ClientHost}
	}
	polled := names.Host(pair.Ordinal(0)) + "," + names.Host(pair.Ordinal(1))
	if p.ReaderAddress != "" {
		polled += "," + p.ReaderAddress
	}
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: p.Namespace,
			Name:      name,
			Labels:    map[string]string{LabelE2E: "clients"},
		},
		Spec: corev1.PodSpec{
			NodeSelector:                  map[string]string{"node-role.kubernetes.io/control-plane": ""},
			Tolerations:                   []corev1.Toleration{{Operator: corev1.TolerationOpExists}},
			TerminationGracePeriodSeconds: ptr.To[int64](0),
			AutomountServiceAccountToken:  ptr.To(false),
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot:   ptr.To(true),
				RunAsUser:      ptr.To[int64](65532),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Volumes: []corev1.Volume{{Name: "app", VolumeSource: corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: names.App()}}}},
			Containers: []corev1.Container{{
				Name:            "client",
				Image:           ClientImage(),
				ImagePullPolicy: corev1.PullIfNotPresent,
				Command:         []string{"/client"},
				Env: []corev1.EnvVar{
					host, fromApp("DB_PORT", "port"), fromApp("DB_USERNAME", "username"),
					fromApp("DB_PASSWORD", "password"), fromApp("DB_DATABASE", "database"),
					{Name: "DB_CA", Value: "/app/ca.crt"},
					{Name: "DB_MEMBERS", Value: polled},
				},
				VolumeMounts: []corev1.VolumeMount{{
					Name:      "app",
					MountPath: "/app",
					ReadOnly:  true,
				}},
				Resources: corev1.ResourceRequirements{Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m")}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: ptr.To(false),
					ReadOnlyRootFilesystem:   ptr.To(true),
					Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
		},
	}
}

// Write begins a run of writers, each pausing between two writes, and the poller. Runs
// add to one record. A node's proxy may follow the Service a moment after the pair says that
// it is Available; how long writers met silence is judged by what they themselves recorded.
func (c *Clients) Write(ctx context.Context, writers int, pause time.Duration) error {
	return Eventually(ctx, Patience, "writers of "+c.pair.Name, func(ctx context.Context) error {
		return c.call(ctx, "POST", "start", map[string]string{"writers": strconv.Itoa(writers), "pause": pause.String()}, nil)
	})
}

// Idle opens connections that are kept until Stop: sessions that ask for nothing, and mute ones, on
// which not even the login begins. It blocks until all are open.
func (c *Clients) Idle(ctx context.Context, sessions, mute int) error {
	params := map[string]string{"sessions": strconv.Itoa(sessions), "mute": strconv.Itoa(mute)}
	return c.call(ctx, "POST", "idle", params, nil)
}

// Stop ends the run and returns the record.
func (c *Clients) Stop(ctx context.Context) (history.Report, error) {
	var r history.Report
	err := c.call(ctx, "POST", "stop", nil, &r)
	for i := range r.Samples {
		r.Samples[i].Member, _, _ = strings.Cut(r.Samples[i].Member, ".")
	}
	return r, err
}

// Stats of the run so far.
func (c *Clients) Stats(ctx context.Context) (history.Stats, error) {
	var s history.Stats
	err := c.call(ctx, "GET", "stats", nil, &s)
	return s, err
}

// Rows that the client Service shows.
func (c *Clients) Rows(ctx context.Context) (map[history.Key]bool, error) {
	var keys []history.Key
	err := Eventually(ctx, Patience, "rows of "+c.pair.Name, func(ctx context.Context) error {
		return c.call(ctx, "GET", "rows", nil, &keys)
	})
	if err != nil {
		return nil, err
	}
	rows := make(map[history.Key]bool, len(keys))
	for _, k := range keys {
		rows[k] = true
	}
	return rows, nil
}

// Count of the rows that a member shows over its own address, verified TLS included.
func (c *Clients) Count(ctx context.Context, o pair.Ordinal) (int, error) {
	var n int
	err := c.call(ctx, "GET", "count", map[string]string{"host": c.pair.Names().Host(o)}, &n)
	return n, err
}

// Dial tries a TCP connect from the clients' pod.
func (c *Clients) Dial(ctx context.Context, address string) (history.Dialed, error) {
	var d history.Dialed
	err := c.call(ctx, "GET", "dial", map[string]string{"address": address}, &d)
	return d, err
}

// AwaitAcks waits until n more writes are acknowledged.
func (c *Clients) AwaitAcks(ctx context.Context, d time.Duration, n int) error {
	first := -1
	return Eventually(ctx, d, "acknowledged writes", func(ctx context.Context) error {
		s, err := c.Stats(ctx)
		if err != nil {
			return err
		}
		if first < 0 {
			first = s.Acknowledged
		}
		if s.Acknowledged < first+n {
			return NotYet("%d of %d, last error %q", s.Acknowledged-first, n, s.LastError)
		}
		return nil
	})
}

// call goes through the API server's proxy, so that this machine needs no way into the
// pod network.
func (c *Clients) call(ctx context.Context, verb, path string, params map[string]string, into any) error {
	request := c.pair.Clientset.CoreV1().RESTClient().Verb(verb).Namespace(c.pair.Namespace).
		Resource("pods").Name(c.pod + ":" + clientPort).SubResource("proxy").Suffix(path)
	for k, v := range params {
		request = request.Param(k, v)
	}
	result := request.Do(ctx)
	body, err := result.Raw()
	if err != nil {
		return fmt.Errorf("clients of %s: %s: %w: %s", c.pair.Name, path, err, body)
	}
	if into == nil {
		return nil
	}
	if err := json.Unmarshal(body, into); err != nil {
		return fmt.Errorf("clients of %s: %s: %w", c.pair.Name, path, err)
	}
	return nil
}
