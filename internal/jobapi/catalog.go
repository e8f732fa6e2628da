package jobapi

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

const (
	// KeyCatalog is a Catalog in the ConfigMap of a Job that reached the store, written with its Result.
	KeyCatalog = "catalog.1.json"
	// MaxCatalog bounds the backups of a Catalog, which has to fit into a ConfigMap.
	MaxCatalog = 1000
	// MaxCatalogText bounds each text of a backup there, in bytes.
	MaxCatalogText = 200
)

// Catalog is what a Job found in a pair's folder of the store at its end.
type Catalog struct {
	// Store is the URL of that folder.
	Store string `json:"store"`
	// Total is the number of complete backups.
	Total int `json:"total"`
	// Backups are the complete ones, the newest first, and at most MaxCatalog.
	Backups []CatalogBackup `json:"backups,omitempty"`
}

// CatalogBackup is one complete backup.
type CatalogBackup struct {
	v1alpha1.StoredBackup
	// Started is when it began.
	Started metav1.Time `json:"started,omitzero"`
	// GTIDs is what the server had executed when it was complete, cut off where it is too long.
	GTIDs string `json:"gtids,omitempty"`
	// MySQLVersion of that server.
	MySQLVersion string `json:"mysqlVersion,omitempty"`
}
