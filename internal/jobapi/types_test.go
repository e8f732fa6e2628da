package jobapi_test

import (
	"bytes"
	"encoding/json"
	"os"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/jobapi"
)

// The operator and a Job can be of two versions, so that what is written stays as it is. The
// operator writes this file (in controllers), and the Job reads it (in internal/job).
func TestARequestIsReadAndWrittenWhole(t *testing.T) {
	want, err := os.ReadFile("testdata/request.json")
	if err != nil {
		t.Fatal(err)
	}
	decoder := json.NewDecoder(bytes.NewReader(want))
	decoder.DisallowUnknownFields()
	var request jobapi.Request
	if err := decoder.Decode(&request); err != nil {
		t.Fatal(err)
	}
	got, err := json.MarshalIndent(request, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(bytes.TrimSpace(want)), string(got)); diff != "" {
		t.Errorf("request (-want +got):\n%s", diff)
	}
}

func TestAMemberIsReachedByTheDomainOfItsPair(t *testing.T) {
	request := jobapi.Request{Domain: "shop-pods.ns.svc"}
	if got := request.Host("shop-1"); got != "shop-1.shop-pods.ns.svc" {
		t.Errorf("host %s", got)
	}
}

// A result counts only for what the operator asked for: whatever makes two requests differ has
// to show there.
func TestWhatAResultIsAbout(t *testing.T) {
	orders := &jobapi.Table{Schema: "shop", Name: "orders"}
	for want, request := range map[string]jobapi.Request{
		"Checksum for operation c1": {Operation: "c1", Kind: jobapi.Checksum},
		"Checksum of shop.orders for operation c2": {
			Operation: "c2",
			Kind:      jobapi.Checksum,
			Table:     orders,
		},
		"Repair without writing of shop.orders for operation r-1": {
			Operation: "r-1",
			Kind:      jobapi.Repair,
			DryRun:    true,
			Table:     orders,
		},
	} {
		asked := request.Asked()
		if got := asked.String(); got != want {
			t.Errorf("%s, want %s", got, want)
		}
		text, err := json.Marshal(jobapi.Result{Asked: asked})
		if err != nil {
			t.Fatal(err)
		}
		var read jobapi.Result
		if err := json.Unmarshal(text, &read); err != nil || read.Asked != asked {
			t.Errorf("read again: %+v, %v, want %+v", read.Asked, err, asked)
		}
	}
}
