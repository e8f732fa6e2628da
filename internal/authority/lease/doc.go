// Package lease keeps an authority.Record in a Lease object: the codec, and a store
// that reads uncached and writes only by compare-and-swap.
//
// It refuses to guess: a Lease that lacks a part, or whose parts contradict each other,
// is ErrMalformed, which is doubt to anyone who reads it.
package lease
