//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/dbpair/dbpair/test/e2e/harness"
)

// savedEntry is an entry of a member's quarantine as the plugin lists it, with what the primary lacks
// of it.
type savedEntry struct {
	member  string
	name    string
	lacking string
}

// saved is the newest entry of the member's quarantine that has something which the primary lacks.
func (st *stage) saved(member string) (savedEntry, error) {
	out, err := cluster.Plugin(st.ctx, st.namespace, "quarantine", st.pair.Name, member, "-o", "json")
	if err != nil {
		return savedEntry{}, err
	}
	var reports []struct {
		Lacking map[string]string `json:"lacking"`
		Entries []struct {
			Name    string `json:"name"`
			SavedAt string `json:"savedAt"`
		} `json:"entries"`
	}
	if err := json.Unmarshal([]byte(out), &reports); err != nil {
		return savedEntry{}, fmt.Errorf("the list of the quarantine is %q: %w", out, err)
	}
	found := savedEntry{member: member}
	newest := ""
	for _, report := range reports {
		for _, e := range report.Entries {
			if lacking := report.Lacking[e.Name]; lacking != "" && e.SavedAt > newest {
				newest = e.SavedAt
				found.name = e.Name
				found.lacking = lacking
			}
		}
	}
	if found.name == "" {
		return found, fmt.Errorf("the quarantine of %s has nothing that the primary lacks: %s", member, out)
	}
	return found, nil
}

// paste runs a script of docs/operations.md about an entry, with the entry's names put in, in a
// folder whose kubectl is in the pair's namespace.
func (st *stage) paste(mark string, entry savedEntry, folder string) (string, error) {
	st.Helper()
	programs, err := cluster.Shell(st.ctx, "../../hack/mysqld.sh")
	if err != nil {
		return "", err
	}
	script := strings.NewReplacer(
		"shop-1", entry.member,
		"ENTRY", entry.name,
		"gtids SET", "gtids "+entry.lacking,
		"gtids=SET", "gtids="+entry.lacking,
	).Replace(st.documented("operations.md", mark))
	const prepared = `set -e
cd "$FOLDER"
export PATH="$PATH:$PROGRAMS"
kubectl config view --raw --minify --flatten > kubeconfig
export KUBECONFIG="$PWD/kubeconfig"
kubectl config set-context --current --namespace="$NAMESPACE" > context
`
	return cluster.Script(st.ctx, prepared+script, "FOLDER="+folder, "PROGRAMS="+programs, "NAMESPACE="+st.namespace)
}

// replay shows and extracts what the primary lacks of the newest entry of the member, and replays
// what of it concerns a table, with the commands of docs/operations.md. What is shown must have
// these texts.
func (st *stage) replay(member, table string, shows ...string) error {
	entry, err := st.saved(member)
	if err != nil {
		return err
	}
	folder := st.TempDir()
	shown, err := st.paste("quarantine", entry, folder)
	if err != nil {
		return err
	}
	for _, want := range append(shows, entry.lacking, filepath.Join("saved", "binlog.0")) {
		if !strings.Contains(shown, want) {
			return fmt.Errorf("the quarantine of %s shows no %q:\n%.5000s", member, want, shown)
		}
	}
	// Of clients that were cut off nobody knows which writes they made again.
	shown, err = cluster.Plugin(st.ctx, st.namespace, "quarantine", st.pair.Name, member, entry.name, "--gtids", entry.lacking, "--limit", "0")
	if err != nil {
		return err
	}
	if entry.lacking = concerning(shown, table); entry.lacking == "" {
		return fmt.Errorf("no transaction concerns %s: %.5000s", table, shown)
	}
	if out, err := st.paste("replay", entry, folder); err != nil {
		return fmt.Errorf("replay %s of %s: %w: %s", entry.lacking, member, err, out)
	}
	return nil
}

// concerning are the transactions below which the plugin names a table.
func concerning(shown, table string) string {
	var found []string
	current := ""
	for line := range strings.Lines(shown) {
		if head := transactionLine.FindStringSubmatch(line); head != nil {
			current = head[1]
			continue
		}
		if strings.HasPrefix(line, "-- all ") {
			break
		}
		if strings.Contains(line, table) && current != "" {
			found = append(found, current)
			current = ""
		}
	}
	return strings.Join(found, ",")
}

// transactionLine begins what the plugin shows of a transaction.
var transactionLine = regexp.MustCompile(`^-- ([0-9a-f-]{36}:[0-9a-z_:]*[0-9]+) `)

// awaitOnBoth waits until a query has this result on both members.
func (st *stage) awaitOnBoth(query, want string) error {
	for _, member := range st.pair.Members() {
		err := harness.Eventually(st.ctx, harness.Patience, "replayed rows on "+member, func(ctx context.Context) error {
			out, err := st.pair.SQL(ctx, member, query)
			if err != nil || out != want {
				return harness.NotYet("%q (%v)", out, err)
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}
