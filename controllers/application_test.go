package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/resources"
)

func TestWrongApplicationsAreRefusedByField(t *testing.T) {
	s := newScene(t)
	for name, c := range map[string]struct{ spec, says string }{
		"root":                   {"{user: root}", "spec.application.user must not be an account of MySQL"},
		"MySQL's own":            {"{user: mysql.sys}", "spec.application.user must not be an account of MySQL"},
		"one of the pair's":      {"{user: dbpair_repl}", "spec.application.user must not be an account of MySQL"},
		"a quote":                {"{user: \"o'neil\"}", "spec.application.user must begin with a letter"},
		"a long name":            {"{user: " + strings.Repeat("a", 33) + "}", "spec.application.user"},
		"a schema of MySQL":      {"{database: Performance_Schema}", "spec.application.database must not be a schema of MySQL"},
		"the pair's schema":      {"{database: dbpair}", "spec.application.database must not be a schema of MySQL"},
		"a pattern":              {"{database: \"a%\"}", "spec.application.database must have letters"},
		"a Secret without a key": {"{passwordSecretRef: {name: own}}", "spec.application.passwordSecretRef.key"},
		"an overlap of a year":   {"{passwordOverlap: 8760h}", "spec.application.passwordOverlap must be from 0s to 720h"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.pair("a", plain+"\napplication: "+c.spec)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	p, err := s.pair("shop", plain)
	s.must(err)
	for _, field := range []string{"user", "database"} {
		says := "spec.application." + field + " cannot be changed"
		patch := client.RawPatch(types.MergePatchType, []byte(`{"spec": {"application": {"`+field+`": "other"}}}`))
		if err := s.Patch(s.ctx, p.DeepCopy(), patch); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

// The owner brings name, schema and password, and changes the password later.
func TestAnApplicationWithAPasswordOfItsOwn(t *testing.T) {
	s := newScene(t)
	const first, second = `it's "a" \ 100% password`, "Zürich!"
	_, err := s.pair("shop", plain+"\napplication: {user: till-app, database: till, passwordSecretRef: {name: own, key: word}}")
	s.must(err)
	s.eventually("an event about the missing Secret", func() error { return s.event("ApplicationPasswordRefused", "no Secret own") })
	own := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{Name: "own", Namespace: s.namespace},
		Data:       map[string][]byte{"word": []byte(first)},
	}
	s.must(s.Create(s.ctx, own))
	app := func(password string) func() error {
		return func() error {
			var got corev1.Secret
			if err := s.Get(s.ctx, s.key("shop-app"), &got); err != nil {
				return err
			}
			if is := string(got.Data[resources.KeyPassword]); is != password {
				return fmt.Errorf("password %q, want %q", is, password)
			}
			if string(got.Data[resources.KeyUsername]) != "till-app" || string(got.Data["database"]) != "till" {
				return fmt.Errorf("account %s, schema %s", got.Data[resources.KeyUsername], got.Data["database"])
			}
			return nil
		}
	}
	s.eventually("the Secret has the password", app(first))
	own.Data["word"] = []byte("broken\n")
	s.must(s.Update(s.ctx, own))
	s.eventually("an event about the wrong password", func() error {
		return errors.Join(app(first)(), s.event("ApplicationPasswordRefused", "U+000A"))
	})
	own.Data["word"] = []byte(second)
	s.must(s.Update(s.ctx, own))
	s.eventually("the Secret has the next password", app(second))
	var config corev1.ConfigMap
	s.must(s.Get(s.ctx, s.key("shop-config"), &config))
	for _, part := range []string{`"appUser": "till-app"`, `"appSchema": "till"`} {
		if !strings.Contains(config.Data[agentapi.ConfigFile], part) {
			t.Errorf("the agents' configuration lacks %s", part)
		}
	}
}
