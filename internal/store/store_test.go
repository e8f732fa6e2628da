package store

import (
	"errors"
	"fmt"
	"testing"
)

func TestClassOf(t *testing.T) {
	cause := errors.New("refused")
	err := fmt.Errorf("take: %w", &Error{
		Op:    "put",
		Key:   "a",
		Class: Denied,
		Err:   cause,
	})
	if got := ClassOf(err); got != Denied {
		t.Errorf("class %s, want %s", got, Denied)
	}
	if !errors.Is(err, cause) {
		t.Error("the provider's error is lost")
	}
	if got := ClassOf(cause); got != Unknown {
		t.Errorf("class %s of an error that has none", got)
	}
	if got := ClassOf(nil); got != Unknown {
		t.Errorf("class %s of no error", got)
	}
}
