package main

import (
	"reflect"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/yaml"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const failoverSchema = `
description: failover says when the passive takes over.
required: [mode]
properties:
  mode: {description: mode says who starts it., enum: [Automatic, Manual]}
  deadAfter:
    description: deadAfter is the silence.
    default: 5s
    x-kubernetes-validations: [{message: spec.failover.deadAfter must be from 1s to 10m}]
  maxPerHour: {description: maxPerHour | is a count., default: 3, minimum: 1, maximum: 60}
  async:
    description: async bounds the loss.
    default: {}
    properties:
      maxLag: {description: maxLag is the largest lag., default: 10s}
`

func sectionsOf(t *testing.T) []section {
	t.Helper()
	var s schema
	if err := yaml.Unmarshal([]byte(failoverSchema), &s); err != nil {
		t.Fatal(err)
	}
	return objects("DatabasePair", "spec.failover", reflect.TypeFor[v1alpha1.FailoverSpec](), s)
}

func TestAFieldsRowHasTypeDefaultAndBounds(t *testing.T) {
	var page strings.Builder
	for _, s := range sectionsOf(t) {
		renderSection(&page, s)
	}
	for _, want := range []string{
		"### DatabasePair spec.failover\n",
		"| `mode` | string, required |  | mode says who starts it. One of `Automatic`, `Manual`. |\n",
		"| `deadAfter` | duration | `5s` | deadAfter is the silence. Must be from 1s to 10m. |\n",
		"| `maxPerHour` | integer | `3` | maxPerHour \\| is a count. From 1 to 60. |\n",
		"| `async` | [object](#databasepair-specfailoverasync) |  | async bounds the loss. |\n",
		"### DatabasePair spec.failover.async\n",
		"| `maxLag` | duration | `10s` | maxLag is the largest lag. |\n",
	} {
		if !strings.Contains(page.String(), want) {
			t.Errorf("the page lacks %q:\n%s", want, page.String())
		}
	}
}

func TestAFieldWithoutADescriptionIsNamed(t *testing.T) {
	missing := undescribed(sectionsOf(t))
	want := "spec.failover.heartbeatInterval"
	if len(missing) == 0 || missing[0] != want {
		t.Errorf("missing %q, want %s first: the schema has no description of it", missing, want)
	}
}

func TestTypesAreCalledAsAReaderCallsThem(t *testing.T) {
	for want, of := range map[string]reflect.Type{
		"list of string":                   reflect.TypeFor[[]string](),
		"map of string, number or boolean": reflect.TypeFor[map[string]v1alpha1.MySQLOptionValue](),
		"Kubernetes LabelSelector":         reflect.TypeFor[*metav1.LabelSelector](),
		"integer":                          reflect.TypeFor[*int64](),
		"duration":                         reflect.TypeFor[*metav1.Duration](),
	} {
		if got := kindOf(of); got != want {
			t.Errorf("%s is called %q, want %q", of, got, want)
		}
	}
}
