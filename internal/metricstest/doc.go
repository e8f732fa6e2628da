// Package metricstest compares the queries of alerts and dashboards with what is registered: for tests of the packages that
// register metrics. It parses with Prometheus' own parser.
//
// It refuses a query that names no metric: such a one reads every series that there is.
package metricstest
