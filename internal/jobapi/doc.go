// Package jobapi is what the operator and a Job that compares, repairs or backs up say to each
// other through the Job's ConfigMap: a request, progress, a result. Progress and result are the
// API's own types, which the operator shows in the operation's status. It holds values only, and
// refuses to talk to a cluster or a database, so that both sides can be tested without either.
package jobapi
