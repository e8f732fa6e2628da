package harness

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// baseSpec is small, and everything it does not name has its default.
const baseSpec = `
mysql:
  config: {innodb_buffer_pool_size: 64M}
storage: {size: 2Gi}
podTemplate:
  spec:
    resources:
      requests: {cpu: 20m, memory: 256Mi}
`

// Manifest is a pair as a person writes it. It is not the Go type, whose zero durations
// would be sent as such and keep the defaults away.
type Manifest map[string]any

// NewManifest is a spec made of the base and of YAML patches that are merged over it;
// null removes a field.
func NewManifest(patches ...string) (Manifest, error) {
	spec := Manifest{}
	for _, text := range append([]string{baseSpec, fmt.Sprintf("mysql: {image: %q}", MySQLImage())}, patches...) {
		var patch map[string]any
		if err := yaml.Unmarshal([]byte(text), &patch); err != nil {
			return nil, fmt.Errorf("manifest: %w: %s", err, text)
		}
		merge(spec, patch)
	}
	return spec, nil
}

func merge(into, patch map[string]any) {
	for k, v := range patch {
		if v == nil {
			delete(into, k)
			continue
		}
		inner, isMap := v.(map[string]any)
		old, wasMap := into[k].(map[string]any)
		if isMap && wasMap {
			merge(old, inner)
			continue
		}
		into[k] = v
	}
}

// Apply creates the pair from the base and the patches.
func (p *Pair) Apply(ctx context.Context, patches ...string) error {
	spec, err := NewManifest(patches...)
	if err != nil {
		return err
	}
	return p.create(ctx, spec)
}

// ApplyStrict creates a pair and refuses fields that the API does not know, as kubectl
// does.
func (p *Pair) ApplyStrict(ctx context.Context, spec Manifest) error {
	return p.create(ctx, spec, client.FieldValidation("Strict"))
}

func (p *Pair) create(ctx context.Context, spec Manifest, options ...client.CreateOption) error {
	object := &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "dbpair.io/v1alpha1",
		"kind":       "DatabasePair",
		"spec":       map[string]any(spec),
	}}
	object.SetNamespace(p.Namespace)
	object.SetName(p.Name)
	if err := p.Create(ctx, object, options...); err != nil {
		return fmt.Errorf("create pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// PatchSpec merges a YAML fragment into the spec of the pair that exists.
func (p *Pair) PatchSpec(ctx context.Context, fragment string) error {
	body, err := yaml.YAMLToJSON([]byte(fragment))
	if err != nil {
		return fmt.Errorf("patch: %w", err)
	}
	object := &unstructured.Unstructured{}
	object.SetAPIVersion("dbpair.io/v1alpha1")
	object.SetKind("DatabasePair")
	object.SetNamespace(p.Namespace)
	object.SetName(p.Name)
	patch := client.RawPatch("application/merge-patch+json", []byte(`{"spec":`+string(body)+`}`))
	if err := p.Patch(ctx, object, patch); err != nil {
		return fmt.Errorf("patch pair %s/%s: %w", p.Namespace, p.Name, err)
	}
	return nil
}

// Remove deletes the pair and waits for nothing.
func (p *Pair) Remove(ctx context.Context) error {
	object := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: p.Name}}
	return client.IgnoreNotFound(p.Delete(ctx, object))
}
