package jobapi

import "time"

const (
	// StoreDir is where a Job's pod has the volume of a backup destination.
	StoreDir = "/backups"
	// StoreCADir holds the certificates by which a store is verified.
	StoreCADir = "/etc/dbpair/store-ca"
	// StoreCAFile is the file there.
	StoreCAFile = "ca.crt"
	// StoreAccountDir holds the credentials of Google Cloud Storage.
	StoreAccountDir = "/etc/dbpair/store-account"
	// StoreAccountFile is the file there.
	StoreAccountFile = "account.json"
	// MaxStored bounds the lists of backups in a BackupResult.
	MaxStored = 50
)

// BackupRequest is what a backup is made with. Durations are nanoseconds.
type BackupRequest struct {
	// Store is the URL of the pair's folder.
	Store string `json:"store"`
	// Recipients are age recipients; without any a backup is not encrypted.
	Recipients []string `json:"recipients,omitempty"`
	// Verify has every object read back.
	Verify bool `json:"verify,omitempty"`
	// KeepFor and KeepLast are the retention.
	KeepFor  time.Duration `json:"keepFor"`
	KeepLast int           `json:"keepLast"`
}
