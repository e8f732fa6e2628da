// Package memstore is a store of objects in memory, for tests. What it holds can be changed
// behind the back of its user, as failing disks and people do.
//
// It refuses what every store refuses (package conformance), and keeps nothing beyond the test.
package memstore
