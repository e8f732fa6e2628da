package harness

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// operatorMetrics is a headless Service of all pods of the operator.
const operatorMetrics = "e2e-operator-metrics"

// Prometheus is one in the cluster, with rules and a configuration of the caller's.
type Prometheus struct {
	*Cluster
	namespace string
}

// prometheusObjects are its pod with a ServiceAccount that may read the operator's metrics.
const prometheusObjects = `
apiVersion: v1
kind: ServiceAccount
metadata: {name: prometheus, namespace: NAMESPACE}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRoleBinding
metadata: {name: NAMESPACE-metrics}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: ClusterRole, name: dbpair-metrics-reader}
subjects: [{kind: ServiceAccount, name: prometheus, namespace: NAMESPACE}]
---
apiVersion: v1
kind: Service
metadata: {name: SERVICE, namespace: OPERATOR}
spec:
  clusterIP: None
  publishNotReadyAddresses: true
  selector: {app.kubernetes.io/name: dbpair, app.kubernetes.io/component: manager}
  ports: [{name: metrics, port: 8443}]
---
apiVersion: v1
kind: Pod
metadata: {name: prometheus, namespace: NAMESPACE, labels: {app: prometheus}}
spec:
  serviceAccountName: prometheus
  securityContext: {runAsNonRoot: true, runAsUser: 65532, runAsGroup: 65532, fsGroup: 65532, seccompProfile: {type: RuntimeDefault}}
  containers:
  - name: prometheus
    image: IMAGE
    imagePullPolicy: IfNotPresent
    args: [--config.file=/etc/prometheus/prometheus.yml, --storage.tsdb.path=/data, "--web.listen-address=:9090"]
    securityContext: {allowPrivilegeEscalation: false, capabilities: {drop: [ALL]}}
    readinessProbe: {httpGet: {path: /-/ready, port: 9090}, periodSeconds: 1}
    volumeMounts:
    - {name: config, mountPath: /etc/prometheus}
    - {name: data, mountPath: /data}
  volumes:
  - {name: config, configMap: {name: prometheus}}
  - {name: data, emptyDir: {}}
`

// StartPrometheus makes it and waits until it answers. Folder is for files of the call's. The configuration is made for the name of
// the Service that has the operator's pods.
func (c *Cluster) StartPrometheus(ctx context.Context, namespace, folder string, rules []byte, config func(operatorService string) string,
) (*Prometheus, error) {
	var secret corev1.Secret
	if err := c.Get(ctx, types.NamespacedName{Namespace: OperatorNamespace, Name: "dbpair-manager-metrics"}, &secret); err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	files := &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "prometheus"},
		Data: map[string]string{
			"prometheus.yml": config(operatorMetrics),
			"rules.yaml":     string(rules),
			"ca.crt":         string(secret.Data["ca.crt"]),
		},
	}
	if err := c.Create(ctx, files); err != nil {
		return nil, fmt.Errorf("start Prometheus: %w", err)
	}
	text := strings.NewReplacer("NAMESPACE", namespace, "OPERATOR", OperatorNamespace, "SERVICE", operatorMetrics, "IMAGE", PrometheusImage()).
		Replace(prometheusObjects)
	file := filepath.Join(folder, "prometheus.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		return nil, err
	}
	if _, err := command(ctx, "kubectl", "apply", "--filename", file); err != nil {
		return nil, err
	}
	p := &Prometheus{Cluster: c, namespace: namespace}
	_, err := command(ctx, "kubectl", "wait", "pod/prometheus", "--namespace", namespace,
		"--for=condition=Ready", "--timeout="+Patience.String())
	return p, err
}

// Remove what is not in its namespace.
func (p *Prometheus) Remove(ctx context.Context) error {
	service := &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: OperatorNamespace, Name: operatorMetrics}}
	if err := client.IgnoreNotFound(p.Delete(ctx, service)); err != nil {
		return err
	}
	_, err := command(ctx, "kubectl", "delete", "clusterrolebinding", p.namespace+"-metrics", "--ignore-not-found")
	return err
}

// get asks its API for something, and reads the answer's data.
func (p *Prometheus) get(ctx context.Context, path string, data any) error {
	text, err := command(ctx, "kubectl", "get", "--raw", "/api/v1/namespaces/"+p.namespace+"/pods/prometheus:9090/proxy/api/v1/"+path)
	if err != nil {
		return err
	}
	answer := struct {
		Data any `json:"data"`
	}{data}
	return json.Unmarshal([]byte(text), &answer)
}

// Up is whether each target of a job was scraped at the last time, by its address.
func (p *Prometheus) Up(ctx context.Context, job string) (map[string]bool, error) {
	var data struct {
		ActiveTargets []struct {
			ScrapePool string `json:"scrapePool"`
			ScrapeURL  string `json:"scrapeUrl"`
			Health     string `json:"health"`
			LastError  string `json:"lastError"`
		} `json:"activeTargets"`
	}
	if err := p.get(ctx, "targets", &data); err != nil {
		return nil, err
	}
	out := map[string]bool{}
	for _, target := range data.ActiveTargets {
		if target.ScrapePool == job {
			out[target.ScrapeURL+" "+target.LastError] = target.Health == "up"
		}
	}
	return out, nil
}

// Firing are the names of the alerts that fire, in order and each once: those about a pair of its namespace, and those about none.
func (p *Prometheus) Firing(ctx context.Context) ([]string, error) {
	var data struct {
		Alerts []struct {
			State  string            `json:"state"`
			Labels map[string]string `json:"labels"`
		} `json:"alerts"`
	}
	if err := p.get(ctx, "alerts", &data); err != nil {
		return nil, err
	}
	var out []string
	for _, alert := range data.Alerts {
		namespace, of := alert.Labels["namespace"]
		if alert.State == "firing" && (!of || namespace == p.namespace) {
			out = append(out, alert.Labels["alertname"])
		}
	}
	slices.Sort(out)
	return slices.Compact(out), nil
}
