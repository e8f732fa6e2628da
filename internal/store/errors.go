package store

import (
	"errors"
	"fmt"
)

// Class says what has to happen before a failed operation can succeed.
type Class string

const (
	// Denied: the credentials are missing, wrong or expired, or lack a permission.
	Denied Class = "Denied"
	// NoBucket: the bucket, container or directory does not exist.
	NoBucket Class = "NoBucket"
	// Skewed: the clock of this machine differs too much from that of the store.
	Skewed Class = "Skewed"
	// Untrusted: the certificate of the store is of no authority that is trusted, or of another
	// name.
	Untrusted Class = "Untrusted"
	// Full: the store has no room, or a quota of it is used up.
	Full Class = "Full"
	// Unreachable: the store did not answer, or answered that it is overloaded or failing;
	// the same operation may succeed later.
	Unreachable Class = "Unreachable"
	// Exists: an object of this key is there already; it was not changed.
	Exists Class = "Exists"
	// NotFound: there is no object of this key.
	NotFound Class = "NotFound"
	// Unknown: none of the above.
	Unknown Class = "Unknown"
)

// Error is what every operation of a store fails with.
type Error struct {
	// Op is the operation: open, put, get, list, stat or delete.
	Op string
	// Key is the object's, or the prefix of a list; empty for open.
	Key   string
	Class Class
	// Err is the provider's.
	Err error
}

func (e *Error) Error() string {
	if e.Key == "" {
		return fmt.Sprintf("%s store: %s: %v", e.Op, e.Class, e.Err)
	}
	return fmt.Sprintf("%s %q: %s: %v", e.Op, e.Key, e.Class, e.Err)
}

func (e *Error) Unwrap() error { return e.Err }

// ClassOf is the class of the store's error in err, Unknown if there is none.
func ClassOf(err error) Class {
	var failure *Error
	if errors.As(err, &failure) {
		return failure.Class
	}
	return Unknown
}
