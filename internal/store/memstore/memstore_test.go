package memstore

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/store/conformance"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(*testing.T) conformance.Store { return New(time.Now) })
}
