package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	rbacv1 "k8s.io/api/rbac/v1"
)

func TestSplitSortsResourcesByScope(t *testing.T) {
	rule := rbacv1.PolicyRule{APIGroups: []string{""}, Resources: []string{"pods", "nodes", "services"}, Verbs: []string{"get"}}
	local, global, err := split(rule)
	if err != nil {
		t.Fatal(err)
	}
	wantLocal := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"pods", "services"}, Verbs: []string{"get"}}}
	wantGlobal := []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"nodes"}, Verbs: []string{"get"}}}
	if diff := cmp.Diff(wantLocal, local); diff != "" {
		t.Errorf("namespaced rules (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(wantGlobal, global); diff != "" {
		t.Errorf("cluster rules (-want +got):\n%s", diff)
	}
}

func TestARuleOfAFeatureIsRenderedOnlyWithIt(t *testing.T) {
	set := newRuleSet()
	set.add([]rbacv1.PolicyRule{{APIGroups: []string{"x"}, Resources: []string{"pods", "jobs"}, Verbs: []string{"get"}}})
	got, err := set.render()
	if err != nil {
		t.Fatal(err)
	}
	want := "- apiGroups:\n  - x\n  resources:\n  - pods\n  verbs:\n  - get\n" +
		"{{- if or .Values.features.checksum .Values.features.repair .Values.features.backup }}\n" +
		"- apiGroups:\n  - x\n  resources:\n  - jobs\n  verbs:\n  - get\n{{- end }}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAVerbOfAFeatureIsRenderedOnlyWithIt(t *testing.T) {
	set := newRuleSet()
	set.add([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"delete", "get"}}})
	got, err := set.render()
	if err != nil {
		t.Fatal(err)
	}
	want := "- apiGroups:\n  - \"\"\n  resources:\n  - secrets\n  verbs:\n  - get\n" +
		"{{- if or .Values.features.checksum .Values.features.repair .Values.features.backup }}\n" +
		"- apiGroups:\n  - \"\"\n  resources:\n  - secrets\n  verbs:\n  - delete\n{{- end }}\n"
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestAVerbOfAFeatureStaysOneWhereRulesWereJoined(t *testing.T) {
	joined := newRuleSet()
	joined.add([]rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"configmaps", "secrets"}, Verbs: []string{"delete", "get"}}})
	apart := newRuleSet()
	apart.add([]rbacv1.PolicyRule{
		{APIGroups: []string{""}, Resources: []string{"secrets"}, Verbs: []string{"delete", "get"}},
		{APIGroups: []string{""}, Resources: []string{"configmaps"}, Verbs: []string{"delete", "get"}},
	})
	want, errApart := apart.render()
	got, errJoined := joined.render()
	if err := errors.Join(errApart, errJoined); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestSplitRefusesAResourceOfUnknownScope(t *testing.T) {
	_, _, err := split(rbacv1.PolicyRule{Resources: []string{"gadgets"}})
	if err == nil || !strings.Contains(err.Error(), "gadgets") {
		t.Fatalf("split = %v, want an error that names the resource", err)
	}
}

func TestKeepableRefusesACRDItDoesNotUnderstand(t *testing.T) {
	if _, err := keepable("kind: CustomResourceDefinition\nmetadata:\n  name: x\n"); err == nil {
		t.Fatal("a CRD without the annotations of controller-gen was accepted: it would not be kept at uninstall")
	}
}

func TestNamedFollowsTheRelease(t *testing.T) {
	got := named("metadata:\n  name: dbpair-edit\n  labels:\n    app.kubernetes.io/name: dbpair\nspec:\n  policyName: dbpair-edit\n" +
		"  expression: user in ['system:serviceaccount:dbpair-system:dbpair-manager'] && '{{' != ''\n  validationActions: [Deny]\n")
	want := "metadata:\n  name: {{ include \"dbpair.fullname\" . }}-edit\n  labels:\n    {{- include \"dbpair.labels\" . | nindent 4 }}\nspec:\n" +
		"  policyName: {{ include \"dbpair.fullname\" . }}-edit\n  expression: user in [{{ include \"dbpair.operators\" . }}] && '{{ \"{{\" }}' != ''\n" +
		"  validationActions: [Deny]\n" + ownNamespaces
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
