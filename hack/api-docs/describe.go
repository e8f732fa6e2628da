package main

import (
	"reflect"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

// section is one object of a kind: its place, and its fields in the order of the Go type.
type section struct {
	// kind and path together are its heading, as in "DatabasePair spec.failover".
	kind        string
	path        string
	description string
	rules       []rule
	fields      []field
}

// field of an object.
type field struct {
	name     string
	kind     string
	required bool
	schema   schema
	// object is the path of the section that describes it; empty for a plain value.
	object string
}

// wellKnown are types that are written as one value, with what a reader has to know of them.
var wellKnown = map[reflect.Type]string{
	reflect.TypeFor[metav1.Duration]():           "duration",
	reflect.TypeFor[metav1.Time]():               "time",
	reflect.TypeFor[metav1.MicroTime]():          "time",
	reflect.TypeFor[resource.Quantity]():         "quantity",
	reflect.TypeFor[v1alpha1.MySQLOptionValue](): "string, number or boolean",
}

// describe lists the objects of a kind, spec and status first, each before those inside it.
func describe(kind string, of reflect.Type, s schema) []section {
	return objects(kind, "", of, s)[1:]
}

// objects is the object of this Go type at a path, followed by those inside it.
func objects(kind, path string, of reflect.Type, s schema) []section {
	here := section{
		kind:        kind,
		path:        path,
		description: s.Description,
		rules:       s.Rules,
	}
	var inside []section
	for i := range of.NumField() {
		name, _, _ := strings.Cut(of.Field(i).Tag.Get("json"), ",")
		if name == "" || (name == "metadata" && path == "") {
			continue
		}
		at := strings.TrimPrefix(path+"."+name, ".")
		found := field{
			name:     name,
			required: slices.Contains(s.Required, name),
			schema:   s.Properties[name],
		}
		found.kind = kindOf(of.Field(i).Type)
		if element, elementSchema, list := elementOf(of.Field(i).Type, found.schema); isOurs(element) {
			if list {
				at += "[]"
			}
			found.object = at
			inside = append(inside, objects(kind, at, element, elementSchema)...)
		}
		here.fields = append(here.fields, found)
	}
	return append([]section{here}, inside...)
}

// elementOf is the type behind pointers and lists, with its schema; list says that there is a list.
func elementOf(of reflect.Type, s schema) (element reflect.Type, its schema, list bool) {
	switch of.Kind() {
	case reflect.Pointer:
		return elementOf(of.Elem(), s)
	case reflect.Slice:
		if s.Items == nil {
			return of.Elem(), schema{}, true
		}
		return of.Elem(), *s.Items, true
	default:
		return of, s, false
	}
}

// isOurs reports whether a type is an object of this API, which has a section of its own.
func isOurs(of reflect.Type) bool {
	return of.Kind() == reflect.Struct && of.PkgPath() == reflect.TypeFor[v1alpha1.DatabasePair]().PkgPath()
}

// kindOf is what a reader calls a type.
func kindOf(of reflect.Type) string {
	if name, ok := wellKnown[of]; ok {
		return name
	}
	switch of.Kind() {
	case reflect.Pointer:
		return kindOf(of.Elem())
	case reflect.Slice:
		return "list of " + kindOf(of.Elem())
	case reflect.Map:
		return "map of " + kindOf(of.Elem())
	case reflect.Bool:
		return "boolean"
	case reflect.Int32, reflect.Int64:
		return "integer"
	case reflect.Struct:
		if isOurs(of) {
			return "object"
		}
		return "Kubernetes " + of.Name()
	default:
		return of.Kind().String()
	}
}

// undescribed are the paths of all fields without a description.
func undescribed(sections []section) []string {
	var missing []string
	for _, s := range sections {
		for _, f := range s.fields {
			if strings.TrimSpace(f.schema.Description) == "" {
				missing = append(missing, s.path+"."+f.name)
			}
		}
	}
	return missing
}
