package controllers

import (
	"bytes"
	"encoding/json"
	"os"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/jobapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// fullChecksum has no field at its default.
var fullChecksum = v1alpha1.ChecksumSpec{
	Schedule:         "@weekly",
	TimeZone:         "Europe/Berlin",
	StartingDeadline: metav1.Duration{Duration: time.Minute},
	Suspend:          true,
	Include:          []v1alpha1.TablePattern{"app.*", "web"},
	Exclude:          []v1alpha1.TablePattern{"*.*_log"},
	Parallelism:      3,
	MaxLockTime:      metav1.Duration{Duration: 120 * time.Millisecond},
	MaxLag:           metav1.Duration{Duration: 7 * time.Second},
	BusyShare:        25,
}

// The Job reads this very text (TestARequestIsRunAsItIsWritten in internal/job).
func TestTheRequestHoldsAllOfTheSpec(t *testing.T) {
	want, err := os.ReadFile("../internal/jobapi/testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	s := newJobStage(t, func(p *v1alpha1.DatabasePair) { p.Spec.Checksum = fullChecksum })
	s.ask("c1", v1alpha1.OperationChecksum, nil)
	s.look()
	var got bytes.Buffer
	if err := json.Indent(&got, []byte(s.requestOf("c1")), "", "  "); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), got.String()); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

// A field that someone adds is either the operator's own or part of the request.
func TestEveryFieldOfTheSpecCounts(t *testing.T) {
	operators := []string{"Schedule", "TimeZone", "StartingDeadline", "Suspend"}
	ask := func(spec v1alpha1.ChecksumSpec) jobapi.Request {
		p := &v1alpha1.DatabasePair{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: "ns"}, Spec: v1alpha1.DatabasePairSpec{Checksum: spec}}
		v := &jobVisit{names: resources.Names{Pair: "shop", Namespace: "ns"}, pair: p}
		return requestOf(v, &v1alpha1.DatabasePairOperation{}, authority.Record{Holder: pair.Holder{Member: "shop-0"}})
	}
	full := reflect.ValueOf(fullChecksum)
	for i := range full.NumField() {
		name := full.Type().Field(i).Name
		if full.Field(i).IsZero() {
			t.Errorf("fullChecksum has no %s", name)
		}
		var one v1alpha1.ChecksumSpec
		reflect.ValueOf(&one).Elem().Field(i).Set(full.Field(i))
		if counts := !reflect.DeepEqual(ask(one), ask(v1alpha1.ChecksumSpec{})); counts == slices.Contains(operators, name) {
			t.Errorf("spec.checksum's %s changes what a Job is asked to do: %t", name, counts)
		}
	}
}
