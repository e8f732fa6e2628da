package store

import (
	"fmt"
	"strings"
	"time"
)

// MaxSize is how many bytes one object may have. An object of this size is sent in one
// request, so that no store's limits on multipart uploads matter and a failed upload repeats
// no more than it. The SDK for S3 uploads in parts from 16 MiB on.
const MaxSize = 15 << 20

// maxKey is how many bytes a key may have; S3 and Azure allow 1,024 with the prefix.
const maxKey = 800

// Info is what a store knows of one object.
type Info struct {
	// Key is relative to the store's prefix.
	Key string
	// Size is in bytes.
	Size int64
	// Modified is when the object was written, by the clock of the store.
	Modified time.Time
}

// CheckKey refuses keys that a provider could write differently: only letters, digits and
// ". _ - /" are allowed, and no empty or dotted segments.
func CheckKey(key string) error {
	if key == "" || len(key) > maxKey {
		return fmt.Errorf("key %q: it has %d bytes, use 1 to %d", key, len(key), maxKey)
	}
	for _, segment := range strings.Split(key, "/") {
		if segment == "" || segment == "." || segment == ".." {
			return fmt.Errorf("key %q: leave out empty segments, \".\" and \"..\"", key)
		}
	}
	for _, c := range key {
		if !allowed(c) {
			return fmt.Errorf("key %q: %q is not allowed, use letters, digits and ._-/", key, c)
		}
	}
	return nil
}

func allowed(c rune) bool {
	letter := (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
	digit := c >= '0' && c <= '9'
	return letter || digit || strings.ContainsRune("._-/", c)
}

// CheckSize refuses objects larger than MaxSize.
func CheckSize(key string, size int) error {
	if size > MaxSize {
		return fmt.Errorf("object %q has %d bytes, at most %d are allowed: split it", key, size, MaxSize)
	}
	return nil
}
