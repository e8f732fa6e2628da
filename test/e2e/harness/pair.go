package harness

import (
	"context"
	"fmt"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// Pair is a handle on one pair.
type Pair struct {
	*Cluster
	Namespace string
	Name      string
	// ClientHost is where clients write, and ReaderAddress is host:port that the poller asks beside the members. Empty: the
	// pair's Service, and nothing.
	ClientHost, ReaderAddress string
}

// Pair is a handle on a pair that exists or will exist.
func (c *Cluster) Pair(namespace, name string) *Pair {
	return &Pair{
		Cluster:   c,
		Namespace: namespace,
		Name:      name,
	}
}

// Names of the pair's objects.
func (p *Pair) Names() resources.Names { return resources.Names{Pair: p.Name, Namespace: p.Namespace} }

// Members are the names of both members.
func (p *Pair) Members() [2]string {
	m := pair.Members(p.Name)
	return [2]string{string(m[0]), string(m[1])}
}

// Peer of a member.
func (p *Pair) Peer(member string) string {
	m := p.Members()
	if m[0] == member {
		return m[1]
	}
	return m[0]
}

func (p *Pair) key(name string) types.NamespacedName {
	return types.NamespacedName{Namespace: p.Namespace, Name: name}
}

// Object is the pair as the API server has it.
func (p *Pair) Object(ctx context.Context) (*v1alpha1.DatabasePair, error) {
	var out v1alpha1.DatabasePair
	if err := p.Get(ctx, p.key(p.Name), &out); err != nil {
		return nil, fmt.Errorf("get pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	return &out, nil
}

// Pod of a member.
func (p *Pair) Pod(ctx context.Context, member string) (*corev1.Pod, error) {
	var out corev1.Pod
	if err := p.Get(ctx, p.key(member), &out); err != nil {
		return nil, fmt.Errorf("get pod %s/%s: %w", p.Namespace, member, err)
	}
	return &out, nil
}

// Primary is the member that the status names, an error if there is none.
func (p *Pair) Primary(ctx context.Context) (string, error) {
	object, err := p.Object(ctx)
	if err != nil {
		return "", err
	}
	if object.Status.Primary == "" {
		return "", NotYet("pair %s/%s has no primary: %s", p.Namespace, p.Name, Conditions(object))
	}
	return object.Status.Primary, nil
}

// Conditions of a pair in one line.
func Conditions(object *v1alpha1.DatabasePair) string {
	parts := make([]string, 0, len(object.Status.Conditions))
	for _, c := range object.Status.Conditions {
		parts = append(parts, fmt.Sprintf("%s=%s (%s: %s)", c.Type, c.Status, c.Reason, c.Message))
	}
	if len(parts) == 0 {
		return "no conditions"
	}
	return strings.Join(parts, "; ")
}

// Want is a condition that is waited for, of the spec as it is now. An empty Reason or
// Message is not looked at; the message must contain Message.
type Want struct {
	Type    string
	Status  metav1.ConditionStatus
	Reason  string
	Message string
}

// True waits until conditions are true.
func True(conditionTypes ...string) []Want {
	wants := make([]Want, 0, len(conditionTypes))
	for _, t := range conditionTypes {
		wants = append(wants, Want{Type: t, Status: metav1.ConditionTrue})
	}
	return wants
}

func (w Want) met(object *v1alpha1.DatabasePair) bool {
	c := meta.FindStatusCondition(object.Status.Conditions, w.Type)
	return c != nil && c.ObservedGeneration == object.Generation && c.Status == w.Status && (w.Reason == "" || c.Reason == w.Reason) && strings.Contains(c.Message, w.Message)
}

// Await waits until the pair has all the wanted conditions at once.
func (p *Pair) Await(ctx context.Context, d time.Duration, wants ...Want) error {
	return Eventually(ctx, d, fmt.Sprintf("pair %s/%s", p.Namespace, p.Name), func(ctx context.Context) error {
		object, err := p.Object(ctx)
		if err != nil {
			return err
		}
		for _, w := range wants {
			if !w.met(object) {
				return NotYet("want %+v, have %s", w, Conditions(object))
			}
		}
		return nil
	})
}

// AwaitReady waits until the pair is Available and FailoverReady.
func (p *Pair) AwaitReady(ctx context.Context) error {
	return p.Await(ctx, Patience, True(v1alpha1.ConditionAvailable, v1alpha1.ConditionFailoverReady)...)
}

// Operations of the pair, oldest first as the API server lists them.
func (p *Pair) Operations(ctx context.Context) ([]v1alpha1.DatabasePairOperation, error) {
	var list v1alpha1.DatabasePairOperationList
	if err := p.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return nil, fmt.Errorf("list operations in %s: %w", p.Namespace, err)
	}
	var own []v1alpha1.DatabasePairOperation
	for _, o := range list.Items {
		if o.Spec.PairRef.Name == p.Name {
			own = append(own, o)
		}
	}
	return own, nil
}

// SQL runs statements as root on a member, over its socket, and returns the rows,
// tab-separated. It is the person with a shell that no policy stops.
func (p *Pair) SQL(ctx context.Context, member, statements string) (string, error) {
	script := fmt.Sprintf(`MYSQL_PWD="$(cat %s/%s)" exec mysql --no-defaults -uroot -S %s/mysqld.sock -N -B -e "$0"`,
		agentapi.InternalDir, agentapi.PasswordFileRoot, agentapi.RunDir)
	out, err := p.Exec(ctx, p.Namespace, member, resources.ContainerMysqld, "sh", "-c", script, statements)
	return strings.TrimSpace(out), err
}

// AwaitRow asks a member, about every ten milliseconds and from inside its pod, until the
// query returns a row.
func (p *Pair) AwaitRow(ctx context.Context, member, query string) error {
	ctx, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	script := fmt.Sprintf(`export MYSQL_PWD="$(cat %s/%s)"
while [ -z "$(mysql --no-defaults -uroot -S %s/mysqld.sock -N -B -e "$0" 2>/dev/null)" ]; do sleep 0.01; done`,
		agentapi.InternalDir, agentapi.PasswordFileRoot, agentapi.RunDir)
	if _, err := p.Exec(ctx, p.Namespace, member, resources.ContainerMysqld, "sh", "-c", script, query); err != nil {
		return fmt.Errorf("await a row of %q on %s: %w", query, member, err)
	}
	return nil
}

// Events of the pair and of its pods whose reason is the one given.
func (p *Pair) Events(ctx context.Context, reason string) ([]corev1.Event, error) {
	var list corev1.EventList
	if err := p.List(ctx, &list, client.InNamespace(p.Namespace)); err != nil {
		return nil, fmt.Errorf("list events in %s: %w", p.Namespace, err)
	}
	var found []corev1.Event
	for _, e := range list.Items {
		if e.Reason == reason && (e.InvolvedObject.Name == p.Name || strings.HasPrefix(e.InvolvedObject.Name, p.Name+"-")) {
			found = append(found, e)
		}
	}
	return found, nil
}
