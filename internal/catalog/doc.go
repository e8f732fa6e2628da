// Package catalog decides which DatabasePairBackups there have to be, from what a Job found in the
// store of a pair. It is pure: it reads neither the store nor the cluster, and what it decides removes
// objects of the API and nothing in a store.
package catalog
