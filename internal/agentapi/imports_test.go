package agentapi_test

import (
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/dbpair/dbpair/"

// What decides about a pair is given values and returns values: it cannot reach the network,
// not even through the package of another. A linter sees only what a file imports itself.
func TestPackagesThatDecideReachNoNetwork(t *testing.T) {
	network := []string{"net/http", "crypto/tls", "database/sql", "os/exec", module + "internal/agentclient"}
	for _, name := range []string{
		"internal/agentapi",
		"internal/authority",
		"internal/execute",
		"internal/failover",
		"internal/fencing",
		"internal/gtid",
		"internal/pair",
	} {
		requireUnreached(t, name, network)
	}
}

// These use Kubernetes' types, and k8s.io/apimachinery imports net/http itself. So what is
// refused here are clients: of agents, of the API server and of mysqld.
func TestPackagesThatRenderReachNoClient(t *testing.T) {
	clients := []string{
		"database/sql",
		"sigs.k8s.io/controller-runtime/pkg/client",
		module + "internal/agentclient",
		module + "internal/mysqlops",
	}
	for _, name := range []string{"api/v1alpha1", "internal/jobapi", "internal/resources"} {
		requireUnreached(t, name, clients)
	}
}

func requireUnreached(t *testing.T, name string, refused []string) {
	t.Helper()
	command := exec.CommandContext(t.Context(), "go", "list", "-deps", module+name)
	out, err := command.Output()
	if err != nil {
		t.Fatalf("list what %s imports: %v", name, err)
	}
	reached := strings.Fields(string(out))
	if !slices.Contains(reached, module+name) {
		t.Fatalf("go list printed no dependencies of %s: %s", name, out)
	}
	for _, other := range refused {
		if slices.Contains(reached, other) {
			t.Errorf("%s reaches %s; `go list -deps -f '{{.ImportPath}} {{.Imports}}' ./%s` shows through what", name, other, name)
		}
	}
}
