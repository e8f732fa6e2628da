package plugin

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/apiutil"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// wanted are the objects of one kind that belong to a pair.
type wanted struct {
	file string
	list client.ObjectList
	// each finds some of them.
	each []client.ListOption
	// one is an object of the kind, and names those that are looked for also by name: an object
	// that lost its label is what a report may be about.
	one   client.Object
	names []string
}

// wantedOf are the objects of a pair, Secrets, operations and events aside.
func wantedOf(n resources.Names) []wanted {
	return append(aboutMembers(n), aboutServices(n)...)
}

// byPair finds what has the label of a pair, and byJob what has that of its Jobs.
func byPair(n resources.Names) client.ListOption {
	return client.MatchingLabels{resources.LabelPair: n.Pair}
}

func byJob(n resources.Names) client.ListOption {
	return client.MatchingLabels{resources.LabelJobOf: n.Pair}
}

// aboutMembers are the objects that run members and Jobs.
func aboutMembers(n resources.Names) []wanted {
	var members, claims []string
	for _, o := range []pair.Ordinal{0, 1} {
		members = append(members, string(o.Member(n.Pair)))
		claims = append(claims, n.Claim(o), n.BinlogClaim(o))
	}
	return []wanted{
		{
			file:  "statefulset",
			list:  &appsv1.StatefulSetList{},
			each:  []client.ListOption{byPair(n)},
			one:   &appsv1.StatefulSet{},
			names: []string{n.Pair},
		},
		{
			file:  "pods",
			list:  &corev1.PodList{},
			each:  []client.ListOption{byPair(n), byJob(n)},
			one:   &corev1.Pod{},
			names: members,
		},
		{
			file:  "claims",
			list:  &corev1.PersistentVolumeClaimList{},
			each:  []client.ListOption{byPair(n)},
			one:   &corev1.PersistentVolumeClaim{},
			names: claims,
		},
		{
			file: "jobs",
			list: &batchv1.JobList{},
			each: []client.ListOption{byJob(n)},
		},
		{
			file:  "configmaps",
			list:  &corev1.ConfigMapList{},
			each:  []client.ListOption{byPair(n), byJob(n)},
			one:   &corev1.ConfigMap{},
			names: resources.ConfigMapNames(n),
		},
	}
}

// aboutServices are the objects that lead clients to members and protect them.
func aboutServices(n resources.Names) []wanted {
	services := []string{n.Pair, n.Passive(), n.Pods()}
	var byService []client.ListOption
	for _, service := range services {
		byService = append(byService, client.MatchingLabels{discoveryv1.LabelServiceName: service})
	}
	return []wanted{
		{
			file:  "services",
			list:  &corev1.ServiceList{},
			each:  []client.ListOption{byPair(n)},
			one:   &corev1.Service{},
			names: services,
		},
		{
			file: "endpointslices",
			list: &discoveryv1.EndpointSliceList{},
			each: byService,
		},
		{
			file:  "lease",
			list:  &coordinationv1.LeaseList{},
			each:  []client.ListOption{byPair(n)},
			one:   &coordinationv1.Lease{},
			names: []string{n.Pair},
		},
		{
			file:  "networkpolicies",
			list:  &networkingv1.NetworkPolicyList{},
			each:  []client.ListOption{byPair(n)},
			one:   &networkingv1.NetworkPolicy{},
			names: []string{n.Pair},
		},
		{
			file:  "poddisruptionbudget",
			list:  &policyv1.PodDisruptionBudgetList{},
			each:  []client.ListOption{byPair(n)},
			one:   &policyv1.PodDisruptionBudget{},
			names: []string{n.Pair},
		},
	}
}

// objects adds the pair and what belongs to it.
func (b *bundle) objects(ctx context.Context) {
	n := resources.NamesOf(b.pair)
	b.write("objects/pair.yaml", []client.Object{b.pair.DeepCopy()})
	uids := map[types.UID]bool{b.pair.UID: true}
	for _, w := range wantedOf(n) {
		found := b.find(ctx, w)
		for _, o := range found {
			uids[o.GetUID()] = true
			if pod, ok := o.(*corev1.Pod); ok {
				b.pods = append(b.pods, *pod.DeepCopy())
			}
		}
		b.write("objects/"+w.file+".yaml", found)
	}
	b.addEvents(ctx, n, uids)
}

// find reads the objects of one kind.
func (b *bundle) find(ctx context.Context, w wanted) []client.Object {
	var found []client.Object
	has := map[string]bool{}
	for _, by := range w.each {
		list := w.list.DeepCopyObject().(client.ObjectList)
		err := b.cluster.client.List(ctx, list, client.InNamespace(b.pair.Namespace), by)
		if err != nil {
			b.missing(fmt.Sprintf("list of %s", w.file), err)
			break
		}
		_ = meta.EachListItem(list, func(item runtime.Object) error {
			if o, ok := item.(client.Object); ok && !has[o.GetName()] {
				has[o.GetName()] = true
				found = append(found, o)
			}
			return nil
		})
	}
	for _, name := range w.names {
		if has[name] {
			continue
		}
		o := w.one.DeepCopyObject().(client.Object)
		err := b.cluster.client.Get(ctx, client.ObjectKey{Namespace: b.pair.Namespace, Name: name}, o)
		switch {
		case err == nil:
			found = append(found, o)
		case !apierrors.IsNotFound(err):
			b.missing(fmt.Sprintf("%s of %s", name, w.file), err)
		}
	}
	slices.SortFunc(found, func(a, c client.Object) int { return strings.Compare(a.GetName(), c.GetName()) })
	return found
}

// write adds objects as one YAML file, without what says nothing to a reader.
func (b *bundle) write(file string, objects []client.Object) {
	var out strings.Builder
	for _, o := range objects {
		if gvk, err := apiutil.GVKForObject(o, b.cluster.client.Scheme()); err == nil {
			o.GetObjectKind().SetGroupVersionKind(gvk)
		}
		tidy(o)
		content, err := b.conceal(o)
		if err != nil {
			b.missing(file, err)
			return
		}
		text, err := yaml.Marshal(content)
		if err != nil {
			b.missing(file, err)
			return
		}
		fmt.Fprintf(&out, "---\n%s", text)
	}
	if out.Len() > 0 {
		b.add(file, out.String())
	}
}

// tidy takes off an object who manages which field, the copy that kubectl apply keeps of it, and
// values of the environment that their names call secret.
func tidy(o client.Object) {
	o.SetManagedFields(nil)
	if notes := o.GetAnnotations(); notes[corev1.LastAppliedConfigAnnotation] != "" {
		delete(notes, corev1.LastAppliedConfigAnnotation)
		o.SetAnnotations(notes)
	}
	switch o := o.(type) {
	case *corev1.Pod:
		tidyPod(&o.Spec)
	case *appsv1.StatefulSet:
		tidyPod(&o.Spec.Template.Spec)
	case *batchv1.Job:
		tidyPod(&o.Spec.Template.Spec)
	}
}

var secretName = regexp.MustCompile(`(?i)passw|pwd|secret|token|credential|api_?key|access_?key|private_?key|dsn`)

func tidyPod(spec *corev1.PodSpec) {
	for _, containers := range [][]corev1.Container{spec.InitContainers, spec.Containers} {
		for i := range containers {
			env := containers[i].Env
			for k := range env {
				if env[k].Value != "" && secretName.MatchString(env[k].Name) {
					env[k].Value = hidden
				}
			}
		}
	}
}

// secretSummary is all that a bundle says of a Secret.
type secretSummary struct {
	Name    string            `json:"name"`
	Type    corev1.SecretType `json:"type,omitempty"`
	Created metav1.Time       `json:"created"`
	Keys    []string          `json:"keys"`
}

// addSecrets adds names and keys of the pair's Secrets, and keeps their values to be replaced
// wherever else they stand.
func (b *bundle) addSecrets(ctx context.Context) {
	n := resources.NamesOf(b.pair)
	found := b.find(ctx, wanted{
		file:  "secrets",
		list:  &corev1.SecretList{},
		each:  []client.ListOption{client.MatchingLabels{resources.LabelPair: n.Pair}},
		one:   &corev1.Secret{},
		names: resources.SecretNames(n),
	})
	values := secretValues{}
	var all []secretSummary
	for _, o := range found {
		s, ok := o.(*corev1.Secret)
		if !ok {
			continue
		}
		values.add(s)
		summary := secretSummary{
			Name:    s.Name,
			Type:    s.Type,
			Created: s.CreationTimestamp,
		}
		for key := range s.Data {
			summary.Keys = append(summary.Keys, key)
		}
		slices.Sort(summary.Keys)
		all = append(all, summary)
	}
	b.hide = values.replacer()
	if len(all) == 0 {
		return
	}
	text, err := yaml.Marshal(all)
	b.print("objects/secrets.yaml", string(text), err)
}

// addEvents adds the events about the objects of the bundle, also about those of the same name
// that are gone by now, oldest first.
func (b *bundle) addEvents(ctx context.Context, n resources.Names, uids map[types.UID]bool) {
	names := map[string]bool{n.Pair: true}
	for _, w := range wantedOf(n) {
		for _, name := range w.names {
			names[name] = true
		}
	}
	for _, op := range b.done {
		names[op] = true
	}
	var list corev1.EventList
	if err := b.cluster.client.List(ctx, &list, client.InNamespace(b.pair.Namespace)); err != nil {
		b.missing("list of events", err)
		return
	}
	slices.SortStableFunc(list.Items, func(a, c corev1.Event) int {
		return lastSeen(&a).Compare(lastSeen(&c).Time)
	})
	var found []client.Object
	for i := range list.Items {
		about := list.Items[i].InvolvedObject
		if names[about.Name] || (about.UID != "" && uids[about.UID]) {
			found = append(found, &list.Items[i])
		}
	}
	b.write("objects/events.yaml", found)
}
