// Package jobapi is what the operator and a Job that compares or repairs say to each
// other through the Job's ConfigMap: a request, progress, a result. Plain values only; it
// knows neither Kubernetes nor SQL.
package jobapi
