package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	rbacv1 "k8s.io/api/rbac/v1"
	"sigs.k8s.io/yaml"
)

const generated = "{{- /* Made from config/ by hack/chart-sync (make chart). Do not edit. */ -}}\n"

// renderCRDs wraps every CRD of config/crd/bases so that values decide whether it is installed and kept.
func renderCRDs(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "config/crd/bases/*.yaml"))
	if err != nil || len(files) == 0 {
		return "", fmt.Errorf("no CRDs in config/crd/bases: %w", errors.Join(err, os.ErrNotExist))
	}
	slices.Sort(files)
	var out strings.Builder
	out.WriteString(generated + "{{- if .Values.crds.install }}\n")
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		crd, err := keepable(escape(string(text)))
		if err != nil {
			return "", fmt.Errorf("%s: %w", f, err)
		}
		out.WriteString(crd)
	}
	out.WriteString("{{- end }}\n")
	return out.String(), nil
}

// keepable adds the annotation that makes `helm uninstall` leave the object where it is.
func keepable(crd string) (string, error) {
	const anchor = "\nmetadata:\n  annotations:\n"
	if strings.Count(crd, anchor) != 1 {
		return "", errors.New("metadata.annotations is not where controller-gen puts it")
	}
	return strings.Replace(crd, anchor, anchor+
		"    {{- if .Values.crds.keep }}\n    helm.sh/resource-policy: keep\n    {{- end }}\n", 1), nil
}

// escape keeps Helm from reading template actions into plain YAML.
func escape(text string) string {
	return strings.ReplaceAll(text, "{{", `{{ "{{" }}`)
}

// Resources that belong to no namespace, and those that do. A rule about anything else is an error here, so that nobody
// forgets to say which of the chart's roles it goes to.
var (
	clusterScoped = []string{"nodes", "namespaces", "persistentvolumes", "storageclasses", "volumeattachments", "csidrivers",
		"tokenreviews", "subjectaccessreviews"}
	namespaced = []string{"pods", "pods/status", "services", "secrets", "configmaps", "events", "serviceaccounts", "endpoints",
		"persistentvolumeclaims", "deployments", "statefulsets", "statefulsets/status", "jobs", "poddisruptionbudgets", "networkpolicies",
		"roles", "rolebindings", "leases", "endpointslices", "resourcequotas", "limitranges", "controllerrevisions",
		"databasepairs", "databasepairs/status", "databasepairs/finalizers",
		"databasepairoperations", "databasepairoperations/status", "databasepairoperations/finalizers",
		"databasepairusers", "databasepairusers/status",
		"databasepairbackups", "databasepairbackups/status"}
)

// renderRules splits the operator's ClusterRole into what belongs to a namespace and what does not, as two named
// templates: with watchNamespaces the first becomes Roles.
func renderRules(root string) (string, error) {
	text, err := os.ReadFile(filepath.Join(root, "config/rbac/role.yaml"))
	if err != nil {
		return "", err
	}
	local := newRuleSet()
	global := newRuleSet()
	docs := strings.Split("\n"+string(text), "\n---\n")
	for _, doc := range docs {
		var role rbacv1.ClusterRole
		if err := yaml.UnmarshalStrict([]byte(doc), &role); err != nil {
			return "", fmt.Errorf("config/rbac/role.yaml: %w", err)
		}
		for _, rule := range role.Rules {
			in, over, err := split(rule)
			if err != nil {
				return "", err
			}
			local.add(in)
			global.add(over)
		}
	}
	out := generated
	for _, part := range []struct {
		name  string
		rules ruleSet
	}{{"dbpair.clusterRules", global}, {"dbpair.namespacedRules", local}} {
		body, err := part.rules.render()
		if err != nil {
			return "", err
		}
		if len(part.rules.always) == 0 {
			return "", fmt.Errorf("no rules for %s in config/rbac/role.yaml", part.name)
		}
		out += fmt.Sprintf("{{- define %q -}}\n%s{{- end -}}\n", part.name, body)
	}
	return out, nil
}

// features are the values without which the operator does not need a resource.
var features = map[string]string{
	"jobs":                       "or .Values.features.checksum .Values.features.repair .Values.features.backup",
	"deployments":                ".Values.features.backup",
	"databasepairbackups":        ".Values.features.backup",
	"databasepairbackups/status": ".Values.features.backup",
	"tokenreviews":               ".Values.metrics.enabled",
	"subjectaccessreviews":       ".Values.metrics.enabled",
}

// verbsOf are the values without which the operator does not need one verb of a resource.
var verbsOf = map[string]map[string]string{
	"secrets": {"delete": features["jobs"]},
}

// ruleSet are rules, apart by the values that they depend on.
type ruleSet struct {
	always []rbacv1.PolicyRule
	// when has the rules of each condition.
	when map[string][]rbacv1.PolicyRule
}

func newRuleSet() ruleSet { return ruleSet{when: map[string][]rbacv1.PolicyRule{}} }

// add sorts the resources of rules, and verbs of some, by the feature that needs them.
func (s *ruleSet) add(rules []rbacv1.PolicyRule) {
	for _, rule := range apart(rules) {
		rule = s.withoutOptionalVerbs(rule)
		always := rule
		always.Resources = nil
		for _, resource := range rule.Resources {
			condition, optional := features[resource]
			if !optional {
				always.Resources = append(always.Resources, resource)
				continue
			}
			one := rule
			one.Resources = []string{resource}
			s.when[condition] = append(s.when[condition], one)
		}
		if len(always.Resources) > 0 || len(rule.NonResourceURLs) > 0 {
			s.always = append(s.always, always)
		}
	}
}

// apart gives each resource with optional verbs a rule of its own: controller-gen joins those of the same verbs.
func apart(rules []rbacv1.PolicyRule) []rbacv1.PolicyRule {
	var out []rbacv1.PolicyRule
	for _, rule := range rules {
		rest := rule
		rest.Resources = nil
		for _, resource := range rule.Resources {
			if verbsOf[resource] == nil {
				rest.Resources = append(rest.Resources, resource)
				continue
			}
			one := rule
			one.Resources = []string{resource}
			out = append(out, one)
		}
		if len(rest.Resources) > 0 || len(rest.NonResourceURLs) > 0 {
			out = append(out, rest)
		}
	}
	return out
}

// withoutOptionalVerbs moves the verbs that a feature needs into rules of their own.
func (s *ruleSet) withoutOptionalVerbs(rule rbacv1.PolicyRule) rbacv1.PolicyRule {
	if len(rule.Resources) != 1 {
		return rule
	}
	optional := verbsOf[rule.Resources[0]]
	always := rule
	always.Verbs = nil
	for _, verb := range rule.Verbs {
		condition, ok := optional[verb]
		if !ok {
			always.Verbs = append(always.Verbs, verb)
			continue
		}
		one := rule
		one.Verbs = []string{verb}
		s.when[condition] = append(s.when[condition], one)
	}
	return always
}

func (s *ruleSet) render() (string, error) {
	body, err := yaml.Marshal(s.always)
	if err != nil {
		return "", err
	}
	out := escape(string(body))
	for _, condition := range slices.Sorted(maps.Keys(s.when)) {
		body, err := yaml.Marshal(s.when[condition])
		if err != nil {
			return "", err
		}
		out += fmt.Sprintf("{{- if %s }}\n%s{{- end }}\n", condition, escape(string(body)))
	}
	return out, nil
}

// split sorts a rule's resources by scope.
func split(rule rbacv1.PolicyRule) (local, global []rbacv1.PolicyRule, err error) {
	if len(rule.NonResourceURLs) > 0 {
		return nil, []rbacv1.PolicyRule{rule}, nil
	}
	in := rule
	over := rule
	in.Resources = nil
	over.Resources = nil
	for _, r := range rule.Resources {
		switch {
		case slices.Contains(clusterScoped, r):
			over.Resources = append(over.Resources, r)
		case slices.Contains(namespaced, r):
			in.Resources = append(in.Resources, r)
		default:
			return nil, nil, fmt.Errorf("config/rbac/role.yaml: resource %q is unknown: "+
				"add it to clusterScoped or namespaced in hack/chart-sync/render.go", r)
		}
	}
	if len(in.Resources) > 0 {
		local = append(local, in)
	}
	if len(over.Resources) > 0 {
		global = append(global, over)
	}
	return local, global, nil
}

// renderUserRoles takes config/rbac/user_roles.yaml and metrics_reader_role.yaml as they are, with the release's names.
func renderUserRoles(root string) (string, error) {
	out := generated + "{{- if and .Values.rbac.create .Values.rbac.userRoles }}\n"
	for _, name := range []string{"user_roles.yaml", "metrics_reader_role.yaml"} {
		text, err := os.ReadFile(filepath.Join(root, "config/rbac", name))
		if err != nil {
			return "", err
		}
		out += "---\n" + named(withoutComments(string(text)))
	}
	return out + "{{- end }}\n", nil
}

// renderAdmission takes every object of config/admission with the release's names.
func renderAdmission(root string) (string, error) {
	files, err := filepath.Glob(filepath.Join(root, "config/admission/*.yaml"))
	if err != nil {
		return "", err
	}
	slices.Sort(files)
	out := generated + "{{- if .Values.admissionPolicy.enabled }}\n"
	found := false
	for _, f := range files {
		if filepath.Base(f) == "kustomization.yaml" {
			continue
		}
		text, err := os.ReadFile(f)
		if err != nil {
			return "", err
		}
		found = true
		out += "---\n" + named(withoutComments(string(text)))
	}
	if !found {
		return "", errors.New("config/admission holds no policy")
	}
	return out + "{{- end }}\n", nil
}

// ownNamespaces limits a policy to the namespaces of an operator that watches named ones: in the others another operator may
// be at work, whose writes this release must not refuse.
const ownNamespaces = `  {{- with .Values.watchNamespaces }}
  matchResources:
    namespaceSelector:
      matchExpressions:
      - key: kubernetes.io/metadata.name
        operator: In
        values:
        {{- toYaml . | nindent 8 }}
  {{- end }}
`

// named puts the release's names where config/ has its fixed ones.
func named(text string) string {
	text = escape(text)
	text = strings.ReplaceAll(text, "['system:serviceaccount:dbpair-system:dbpair-manager']", `[{{ include "dbpair.operators" . }}]`)
	text = strings.ReplaceAll(text, "\n  validationActions: [Deny]\n", "\n  validationActions: [Deny]\n"+ownNamespaces)
	for _, key := range []string{"\n  name: ", "\n  policyName: "} {
		text = strings.ReplaceAll(text, key+"dbpair-", key+`{{ include "dbpair.fullname" . }}-`)
	}
	return strings.ReplaceAll(text, "\n    app.kubernetes.io/name: dbpair\n",
		"\n    {{- include \"dbpair.labels\" . | nindent 4 }}\n")
}

// withoutComments drops lines that are comments, and a document mark at the top.
func withoutComments(text string) string {
	var kept []string
	for _, line := range strings.Split(strings.TrimPrefix(text, "---\n"), "\n") {
		if !strings.HasPrefix(strings.TrimSpace(line), "#") {
			kept = append(kept, line)
		}
	}
	return strings.TrimPrefix(strings.Join(kept, "\n"), "---\n")
}
