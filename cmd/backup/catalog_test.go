package main

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// The ConfigMap of a Job holds less than a mebibyte, and the Job's progress and result beside the catalog.
func TestACatalogFitsIntoAConfigMap(t *testing.T) {
	var listing backup.Listing
	for n := range 3000 {
		at := time.Date(2026, 1, 1, n, 0, 0, 0, time.UTC)
		m := backup.Manifest{
			ID:        backup.NewID(at, [4]byte{1}),
			Started:   at,
			Finished:  at.Add(time.Minute),
			Server:    backup.Server{Version: strings.Repeat("9", 1000)},
			GTIDAfter: strings.Repeat("3e11fa47-71ca-11e1-9e33-c80aa9429562:1-77,", 1000),
			Encrypted: true,
			Raw:       1 << 60,
			Stored:    1 << 60,
		}
		listing.Manifests = append(listing.Manifests, m)
		listing.Backups = append(listing.Backups, backup.Complete{
			ID:     m.ID,
			Pinned: true,
			Proven: at,
		})
	}
	got := catalogOf(strings.Repeat("s", 2000), listing)
	text, err := json.Marshal(got)
	if err != nil {
		t.Fatal(err)
	}
	if got.Total != 3000 || len(got.Backups) != jobapi.MaxCatalog || got.Backups[0].ID != listing.Manifests[2999].ID || len(text) > 800<<10 {
		t.Errorf("%d of %d backups in %d bytes, the first is %s", len(got.Backups), got.Total, len(text), got.Backups[0].ID)
	}
}
