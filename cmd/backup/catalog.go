package main

import (
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/backup"
	"github.com/dbpair/dbpair/internal/jobapi"
)

// catalogOf is what the operator makes its objects of.
func catalogOf(location string, listing backup.Listing) *jobapi.Catalog {
	out := &jobapi.Catalog{
		Store: location,
		Total: len(listing.Manifests),
	}
	for i := len(listing.Manifests) - 1; i >= 0 && len(out.Backups) < jobapi.MaxCatalog; i-- {
		m := listing.Manifests[i]
		out.Backups = append(out.Backups, jobapi.CatalogBackup{
			StoredBackup: entryOf(m, listing.Backups[i]),
			Started:      metav1.NewTime(m.Started),
			GTIDs:        catalogText(m.GTIDAfter),
			MySQLVersion: catalogText(m.Server.Version),
		})
	}
	return out
}

// entryOf is what a status has of one backup.
func entryOf(m backup.Manifest, known backup.Complete) v1alpha1.StoredBackup {
	out := v1alpha1.StoredBackup{
		ID:         m.ID,
		Finished:   metav1.NewTime(m.Finished),
		Size:       m.Raw,
		StoredSize: m.Stored,
		Encrypted:  m.Encrypted,
		Pinned:     known.Pinned,
	}
	if !known.Proven.IsZero() {
		out.Proven = &metav1.Time{Time: known.Proven}
	}
	return out
}

// catalogText cuts a text where a catalog of many backups would become too large.
func catalogText(text string) string {
	if len(text) <= jobapi.MaxCatalogText {
		return text
	}
	return strings.ToValidUTF8(text[:jobapi.MaxCatalogText-len("…")], "") + "…"
}
