package controllers_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/resources"
)

// user makes a DatabasePairUser as a person would, from YAML.
func (s *scene) user(name, spec string) (*v1alpha1.DatabasePairUser, error) {
	s.Helper()
	o := &unstructured.Unstructured{}
	text := "apiVersion: dbpair.io/v1alpha1\nkind: DatabasePairUser\n" +
		"metadata: {name: " + name + ", namespace: " + s.namespace + "}\nspec: " + spec
	if err := yaml.Unmarshal([]byte(text), &o.Object); err != nil {
		s.Fatalf("%v in\n%s", err, text)
	}
	if err := s.Create(s.ctx, o); err != nil {
		return nil, err
	}
	u := &v1alpha1.DatabasePairUser{}
	return u, s.Get(s.ctx, s.key(name), u)
}

// userSays waits until the condition Ready of a user has a reason and a message with these words.
func (s *scene) userSays(name, reason, words string) {
	s.Helper()
	s.eventually("Ready of user "+name, func() error {
		u := &v1alpha1.DatabasePairUser{}
		if err := s.Get(s.ctx, s.key(name), u); err != nil {
			return err
		}
		c := meta.FindStatusCondition(u.Status.Conditions, v1alpha1.ConditionReady)
		if c == nil || c.Reason != reason || !strings.Contains(c.Message, words) || c.ObservedGeneration != u.Generation ||
			u.Status.ObservedGeneration != u.Generation {
			return fmt.Errorf("Ready = %+v, want %s with %q", c, reason, words)
		}
		return nil
	})
}

func TestWrongUsersAreRefusedByField(t *testing.T) {
	s := newScene(t)
	for name, c := range map[string]struct{ spec, says string }{
		"no pair":           {"{user: a}", "spec.pairRef"},
		"no user":           {"{pairRef: {name: shop}}", "spec.user"},
		"root":              {"{pairRef: {name: shop}, user: root}", "spec.user must not be an account of MySQL"},
		"MySQL's own":       {"{pairRef: {name: shop}, user: mysql.session}", "spec.user must not be an account of MySQL"},
		"one of the pair's": {"{pairRef: {name: shop}, user: dbpair_clone}", "spec.user must not be an account of MySQL"},
		"a quote":           {"{pairRef: {name: shop}, user: \"a'b\"}", "spec.user must begin with a letter"},
		"a schema of MySQL": {"{pairRef: {name: shop}, user: a, databases: [till, sys]}", "spec.databases must not have a schema of MySQL"},
		"the pair's schema": {"{pairRef: {name: shop}, user: a, databases: [DBPair]}", "spec.databases must not have a schema of MySQL"},
		"a pattern":         {"{pairRef: {name: shop}, user: a, databases: [\"%\"]}", "spec.databases must have letters"},
		"SUPER":             {"{pairRef: {name: shop}, user: a, grants: [SELECT, SUPER]}", `spec.grants[1]: Unsupported value: "SUPER"`},
		"REPLICATION SLAVE": {"{pairRef: {name: shop}, user: a, grants: [REPLICATION SLAVE]}", `Unsupported value: "REPLICATION SLAVE"`},
		"GRANT OPTION":      {"{pairRef: {name: shop}, user: a, grants: [GRANT OPTION]}", `Unsupported value: "GRANT OPTION"`},
		"a reader that writes": {
			"{pairRef: {name: shop}, user: a, replication: true, grants: [SELECT, INSERT]}", "spec.grants must be SELECT and SHOW VIEW only",
		},
		"a reader that locks": {
			"{pairRef: {name: shop}, user: a, replication: true, grants: [LOCK TABLES]}", "spec.grants must be SELECT and SHOW VIEW only",
		},
		"less than none":    {"{pairRef: {name: shop}, user: a, maxConnections: -1}", "spec.maxConnections"},
		"an unknown policy": {"{pairRef: {name: shop}, user: a, deletionPolicy: Keep}", "spec.deletionPolicy"},
		"a Secret, no key":  {"{pairRef: {name: shop}, user: a, passwordSecretRef: {name: own}}", "spec.passwordSecretRef.key"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := s.user("a", c.spec)
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("got %v, want %q", err, c.says)
			}
		})
	}
	u, err := s.user("fine", "{pairRef: {name: shop}, user: reporter}")
	s.must(err)
	if u.Spec.Replication || u.Spec.RequireTLS == nil || !*u.Spec.RequireTLS || u.Spec.DeletionPolicy != v1alpha1.RetainUser {
		t.Errorf("defaults %+v", u.Spec)
	}
	for says, patch := range map[string]string{
		"spec.user cannot be changed":    `{"spec": {"user": "other"}}`,
		"spec.pairRef cannot be changed": `{"spec": {"pairRef": {"name": "other"}}}`,

		"spec.replication cannot be changed": `{"spec": {"replication": true}}`,
	} {
		err := s.Patch(s.ctx, u.DeepCopy(), client.RawPatch(types.MergePatchType, []byte(patch)))
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want %q", err, says)
		}
	}
}

func TestAUserHasItsSecretAndSaysWhatItWaitsFor(t *testing.T) {
	s := newScene(t)
	_, err := s.user("early", "{pairRef: {name: shop}, user: early}")
	s.must(err)
	s.userSays("early", "PairNotFound", "no pair shop")
	_, err = s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	s.userSays("early", "NoPrimary", "no member accepts writes")

	_, err = s.user("reporter", "{pairRef: {name: shop}, user: reporter, databases: [reports], passwordSecretRef: {name: own, key: word}}")
	s.must(err)
	s.userSays("reporter", "PasswordMissing", "spec.passwordSecretRef: there is no Secret own")
	own := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: "own", Namespace: s.namespace}, Data: map[string][]byte{"other": []byte("x")}}
	s.must(s.Create(s.ctx, own))
	s.userSays("reporter", "PasswordMissing", "Secret own has no key word")
	own.Data["word"] = []byte("broken\n")
	s.must(s.Update(s.ctx, own))
	s.userSays("reporter", "PasswordMissing", "U+000A")
	own.Data["word"] = []byte(`it's "mine"`)
	s.must(s.Update(s.ctx, own))
	s.userSays("reporter", "NoPrimary", "")

	var app, got corev1.Secret
	s.must(s.Get(s.ctx, s.key("shop-app"), &app))
	s.must(s.Get(s.ctx, s.key("shop-user-reporter"), &got))
	for key := range app.Data {
		if len(got.Data[key]) == 0 {
			t.Errorf("the user's Secret has no %s", key)
		}
	}
	for key, want := range map[string]string{resources.KeyUsername: "reporter", resources.KeyPassword: `it's "mine"`, "database": "reports"} {
		if is := string(got.Data[key]); is != want {
			t.Errorf("%s is %q, want %q", key, is, want)
		}
	}
}

func TestOfTwoUsersWithOneNameTheOlderHasIt(t *testing.T) {
	s := newScene(t)
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	_, err = s.user("first", "{pairRef: {name: shop}, user: reporter}")
	s.must(err)
	s.userSays("first", "NoPrimary", "")
	time.Sleep(1100 * time.Millisecond) // creation timestamps have whole seconds
	_, err = s.user("second", "{pairRef: {name: shop}, user: reporter}")
	s.must(err)
	s.userSays("second", "Conflict", "DatabasePairUser first")
	_, err = s.user("third", "{pairRef: {name: shop}, user: app}")
	s.must(err)
	s.userSays("third", "UserTaken", "application's account")
	s.must(s.Delete(s.ctx, &v1alpha1.DatabasePairUser{ObjectMeta: s.meta("first", nil)}))
	s.userSays("second", "NoPrimary", "")
	s.eventually("the Secret of the deleted user is deleted", func() error {
		err := s.Get(s.ctx, s.key("shop-user-first"), &corev1.Secret{})
		if !apierrors.IsNotFound(err) {
			return errors.Join(errors.New("still there"), err)
		}
		return nil
	})
}

// The owner may change the password in the Secret of a user, and nothing else.
func TestWhoMayWriteTheSecretOfAUser(t *testing.T) {
	s := newScene(t)
	editor := s.editor()
	_, err := s.pair("shop", plain)
	s.must(err)
	s.surrounded("shop")
	_, err = s.user("reporter", "{pairRef: {name: shop}, user: reporter}")
	s.must(err)
	s.userSays("reporter", "NoPrimary", "")
	change := func(key string) error {
		var live corev1.Secret
		s.must(s.Get(s.ctx, s.key("shop-user-reporter"), &live))
		return s.patched(editor, &live, func() { live.Data[key] = []byte("another0password") })
	}
	s.must(change(resources.KeyPassword))
	s.eventually("the strings have the new password", func() error {
		var live corev1.Secret
		s.must(s.Get(s.ctx, s.key("shop-user-reporter"), &live))
		if !strings.Contains(string(live.Data[resources.KeyGo]), "another0password") {
			return errors.New("not yet")
		}
		return nil
	})
	if err := change(resources.KeyGo); !apierrors.IsForbidden(err) {
		t.Errorf("a change of a string: %v", err)
	}
}
