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

// BackupRequest is what a backup is made with, or removed. Durations are nanoseconds.
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
	// Pin keeps the new backup whatever the retention says.
	Pin bool `json:"pin,omitempty"`
	// Pins and Unpins are the IDs of backups that are to be marked as pinned, or no longer.
	Pins   []string `json:"pins,omitempty"`
	Unpins []string `json:"unpins,omitempty"`
	// Remove is the ID of the one backup that is removed, of the kind Expire; empty to apply the retention.
	Remove string `json:"remove,omitempty"`
	// Force removes it also when it is protected.
	Force bool `json:"force,omitempty"`
}
