// Package job is the process of a Job that compares or repairs: it reads what the operator
// asks for in the Job's ConfigMap, runs internal/checksum or internal/repair, and writes
// progress, where to go on, result and report into the same ConfigMap.
//
// It has the right to that one object and to nothing else in the cluster. It refuses to
// go on when the roles of the members have changed: the operator makes another operation.
// It decides nothing about the pair and writes no status.
//
// Another Job brings the dump that a new pair begins with to the agent that loads it. It has no
// right in the cluster at all.
package job
