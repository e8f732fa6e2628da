package alerting

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/internal/pair"
)

// Soon is how long a condition has to hold in the tests before its alert fires.
const Soon = "2s"

// Rules are the groups of config/prometheus/alerts.yaml as a file of rules, with Soon in place of each alert's own time.
func Rules(repository string) ([]byte, error) {
	groups, err := groupsOf(repository)
	if err != nil {
		return nil, err
	}
	for _, rule := range rulesOf(groups) {
		if _, waits := rule["for"]; waits {
			rule["for"] = Soon
		}
	}
	return yaml.Marshal(map[string]any{"groups": groups})
}

// Names are those of all alerts.
func Names(repository string) ([]string, error) {
	groups, err := groupsOf(repository)
	if err != nil {
		return nil, err
	}
	var out []string
	for _, rule := range rulesOf(groups) {
		name, is := rule["alert"].(string)
		if !is {
			return nil, fmt.Errorf("rule %v has no name", rule)
		}
		out = append(out, name)
	}
	return out, nil
}

func groupsOf(repository string) ([]any, error) {
	text, err := os.ReadFile(filepath.Join(repository, "config/prometheus/alerts.yaml"))
	if err != nil {
		return nil, err
	}
	var object struct {
		Spec struct {
			Groups []any `json:"groups"`
		} `json:"spec"`
	}
	if err := yaml.Unmarshal(text, &object); err != nil {
		return nil, fmt.Errorf("alerts: %w", err)
	}
	return object.Spec.Groups, nil
}

func rulesOf(groups []any) (out []map[string]any) {
	for _, group := range groups {
		fields, _ := group.(map[string]any)
		rules, _ := fields["rules"].([]any)
		for _, rule := range rules {
			if one, is := rule.(map[string]any); is {
				out = append(out, one)
			}
		}
	}
	return out
}

// Config is what Prometheus scrapes: the agents of both members of a pair by their names, with the labels that the chart's PodMonitor
// gives them, and the pods behind a headless Service of the operator, as the chart's ServiceMonitor has it.
func Config(namespace, pairName, operator, operatorService string) string {
	var members strings.Builder
	for _, member := range pair.Members(pairName) {
		fmt.Fprintf(&members, `
  - targets: ['%[1]s.%[2]s-pods.%[3]s.svc:%[4]d']
    labels: {namespace: %[3]s, pair: %[2]s, member: %[1]s}`, member, pairName, namespace, pair.PortMetrics)
	}
	return fmt.Sprintf(`
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}
rule_files: [/etc/prometheus/rules.yaml]
scrape_configs:
- job_name: members
  static_configs:%s
- job_name: operator
  scheme: https
  honor_labels: true
  authorization: {credentials_file: /var/run/secrets/kubernetes.io/serviceaccount/token}
  tls_config: {ca_file: /etc/prometheus/ca.crt, server_name: dbpair-manager-metrics.%s.svc}
  dns_sd_configs:
  - {names: [%s.%s.svc.cluster.local], type: A, port: 8443, refresh_interval: 2s}
`, members.String(), operator, operatorService, operator)
}
