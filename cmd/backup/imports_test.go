package main

import (
	"os/exec"
	"strings"
	"testing"
)

// TestOtherProgramsHaveNoCloudSDK: the operator, the agent, the jobs and the plugin have no
// use for credentials of a store, and are smaller and have fewer dependencies to watch.
func TestOtherProgramsHaveNoCloudSDK(t *testing.T) {
	list := exec.Command("go", "list", "-deps", "./cmd/manager", "./cmd/agent", "./cmd/job", "./cmd/kubectl-dbpair")
	list.Dir = "../.."
	out, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	packages := strings.Fields(string(out))
	if len(packages) < 100 {
		t.Fatalf("only %d packages: the list is not that of the programs", len(packages))
	}
	for _, name := range packages {
		for _, prefix := range []string{"gocloud.dev", "github.com/aws/", "github.com/Azure/azure-sdk", "cloud.google.com/", "github.com/dbpair/dbpair/cmd/backup"} {
			if strings.HasPrefix(name, prefix) {
				t.Errorf("a program other than backup imports %s", name)
			}
		}
	}
}
