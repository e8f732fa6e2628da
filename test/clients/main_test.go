package clients

import (
	"os"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

func TestMain(m *testing.M) {
	// This program is the Go client too.
	if os.Getenv(goClientVariable) != "" {
		goClient()
		os.Exit(0)
	}
	os.Exit(mysqldtest.Main(m))
}
