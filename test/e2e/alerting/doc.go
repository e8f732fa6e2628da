// Package alerting says for each alert of config/prometheus/alerts.yaml which fault of a real pair makes it fire in the end-to-end tests,
// or why only its test by promtool has it fire, and makes the rules and the configuration of the Prometheus of those tests.
package alerting
