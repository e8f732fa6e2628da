// Package jobapi is what the operator and a Job that compares or repairs say to each
// other through the Job's ConfigMap: a request, progress, a result. It holds plain values only,
// and refuses to know Kubernetes or SQL, so that both sides can be tested without either.
package jobapi
