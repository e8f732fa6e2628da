package plugin

import (
	"os"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
)

func TestMain(m *testing.M) { os.Exit(mysqldtest.Main(m)) }
