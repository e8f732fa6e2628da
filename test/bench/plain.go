package main

import (
	"bytes"
	"context"
	"crypto/rand"
	_ "embed"
	"errors"
	"fmt"
	"io"
	"text/template"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/harness"
)

//go:embed plain.yaml
var plainManifest string

// plain are two mysqlds of the same image and with the same durability as a pair's, without an operator.
// It has the names of a pair, and no DatabasePair, so that the same clients use it.
type plain struct {
	*harness.Pair
	password string
	members  [2]*plainMember
	primary  int
}

// newPlain makes them in a namespace, and has the second replicate from the first. It blocks until that
// works.
func newPlain(ctx context.Context, c *harness.Cluster, namespace string) (*plain, error) {
	p := &plain{
		Pair:     c.Pair(namespace, "plain"),
		password: rand.Text(),
	}
	objects, err := plainObjects(p.password)
	if err != nil {
		return nil, err
	}
	secrets, err := p.secrets()
	if err != nil {
		return nil, err
	}
	for _, object := range append(secrets, objects...) {
		object.SetNamespace(namespace)
		if err := c.Create(ctx, object); err != nil {
			return nil, fmt.Errorf("create %s: %w", object.GetName(), err)
		}
	}
	for i, name := range p.Members() {
		p.members[i] = &plainMember{plain: p, name: name}
		if err := p.members[i].connect(ctx); err != nil {
			return nil, err
		}
	}
	if err := p.label(ctx, p.members[0].name, "primary"); err != nil {
		return nil, err
	}
	return p, errors.Join(p.members[0].open(ctx), p.members[1].follow(ctx, p.members[0]), p.keepRoles(ctx), p.settled(ctx))
}

// plainObjects are those of plain.yaml.
func plainObjects(password string) ([]client.Object, error) {
	manifest, err := template.New("plain").Option("missingkey=error").Parse(plainManifest)
	if err != nil {
		return nil, err
	}
	var text bytes.Buffer
	if err := manifest.Execute(&text, map[string]string{"Password": password, "Image": harness.MySQLImage()}); err != nil {
		return nil, err
	}
	var objects []client.Object
	for decoder := yaml.NewYAMLOrJSONDecoder(&text, 4096); ; {
		object := &unstructured.Unstructured{}
		err := decoder.Decode(object)
		if errors.Is(err, io.EOF) {
			return objects, nil
		}
		if err != nil {
			return nil, fmt.Errorf("plain.yaml: %w", err)
		}
		objects = append(objects, object)
	}
}

// secrets are the members' certificate and what clients are given, by the names of a pair.
func (p *plain) secrets() ([]client.Object, error) {
	now := time.Now()
	authority, err := pki.NewAuthority(p.Name, now)
	if err != nil {
		return nil, err
	}
	leaf, err := authority.Issue(pki.Member(p.Names(), 0, p.Names().Host(pair.Ordinal(1))), now)
	if err != nil {
		return nil, err
	}
	ca := authority.Bundle(nil, now)
	secret := func(name string, data map[string][]byte) client.Object {
		return &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: name}, Data: data}
	}
	return []client.Object{
		secret("plain-tls", map[string][]byte{
			resources.KeyCA:         ca,
			corev1.TLSCertKey:       leaf.CertPEM,
			corev1.TLSPrivateKeyKey: leaf.KeyPEM,
		}),
		secret(p.Names().App(), map[string][]byte{
			"host":                []byte(p.Name + "." + p.Namespace + ".svc"),
			"port":                []byte("3306"),
			"database":            []byte("app"),
			resources.KeyUsername: []byte("app"),
			resources.KeyPassword: []byte(p.password),
			resources.KeyCA:       ca,
		}),
	}, nil
}

// label gives a member's pod its role, by which the Service leads to it, or takes it when role is empty.
func (p *plain) label(ctx context.Context, member, role string) error {
	value := "null"
	if role != "" {
		value = fmt.Sprintf("%q", role)
	}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: p.Namespace, Name: member}}
	patch := fmt.Appendf(nil, `{"metadata":{"labels":{"role":%s}}}`, value)
	return p.Patch(ctx, pod, client.RawPatch("application/merge-patch+json", patch))
}

// close ends the connections.
func (p *plain) close() {
	for _, m := range p.members {
		m.disconnect()
	}
}
