// Command api-docs writes docs/api.md, the reference of the API, from the Go types in api/v1alpha1 and
// the CRDs that are made from them. It is idempotent and part of `make generate`. It refuses a field
// without a description.
package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"

	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// target is the page that is made.
const target = "docs/api.md"

// kinds are the objects of the API, in the order of the page.
var kinds = []struct {
	name string
	crd  string
	of   reflect.Type
}{
	{"DatabasePair", "dbpair.io_databasepairs.yaml", reflect.TypeFor[v1alpha1.DatabasePair]()},
	{"DatabasePairUser", "dbpair.io_databasepairusers.yaml", reflect.TypeFor[v1alpha1.DatabasePairUser]()},
	{"DatabasePairBackup", "dbpair.io_databasepairbackups.yaml", reflect.TypeFor[v1alpha1.DatabasePairBackup]()},
	{"DatabasePairOperation", "dbpair.io_databasepairoperations.yaml", reflect.TypeFor[v1alpha1.DatabasePairOperation]()},
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: api-docs <root of the repository>")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "api-docs:", err)
		os.Exit(1)
	}
}

// write makes the page of the repository at root, and leaves a page that is up to date alone.
func write(root string) error {
	var page strings.Builder
	page.WriteString(introduction)
	for _, kind := range kinds {
		crd, err := readCRD(filepath.Join(root, "config/crd/bases", kind.crd))
		if err != nil {
			return err
		}
		version, err := crd.version("v1alpha1")
		if err != nil {
			return fmt.Errorf("%s: %w", kind.crd, err)
		}
		sections := describe(kind.name, kind.of, version.Schema.OpenAPI)
		if missing := undescribed(sections); len(missing) > 0 {
			return fmt.Errorf("%s: fields without a description, write a comment above each: %s", kind.crd, strings.Join(missing, ", "))
		}
		renderKind(&page, kind.name, crd.Spec.Names.ShortNames, version, sections)
	}
	path := filepath.Join(root, target)
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if string(old) == page.String() {
		return nil
	}
	return os.WriteFile(path, []byte(page.String()), 0o644)
}

func readCRD(path string) (customResource, error) {
	var crd customResource
	text, err := os.ReadFile(path)
	if err != nil {
		return crd, err
	}
	if err := yaml.Unmarshal(text, &crd); err != nil {
		return crd, fmt.Errorf("%s: %w", path, err)
	}
	return crd, nil
}
