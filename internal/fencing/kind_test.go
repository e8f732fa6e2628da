package fencing_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"slices"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/fencing"
)

// A kind that is declared and not listed would have no rank, no line in the docs and no test.
func TestKindsListsEveryKind(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "kind.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	var declared []fencing.Kind
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		if name, ok := spec.Type.(*ast.Ident); !ok || name.Name != "Kind" {
			return true
		}
		for _, value := range spec.Values {
			text, err := strconv.Unquote(value.(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			declared = append(declared, fencing.Kind(text))
		}
		return true
	})
	if diff := cmp.Diff(declared, fencing.Kinds); diff != "" {
		t.Errorf("declared kinds and Kinds (-declared +listed):\n%s", diff)
	}
}

func TestOneKindIsStrongerThanTheNext(t *testing.T) {
	order := append(slices.Clone(fencing.Kinds), "")
	for i, k := range order {
		for j, other := range order {
			if got := k.StrongerThan(other); got != (i < j) {
				t.Errorf("%q stronger than %q: %t", k, other, got)
			}
		}
	}
	if unknown := fencing.Kind("Guessed"); unknown.StrongerThan(fencing.NeverHeld) {
		t.Error("an unknown kind is stronger than a known one")
	}
}
