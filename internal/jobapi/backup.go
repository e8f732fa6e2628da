package jobapi

import "time"

const (
	// StoreDir is where a Job's pod has the volume of a backup destination.
	StoreDir = "/backups"
	// StoreCADir holds the certificates by which a store is verified.
	StoreCADir = "/etc/dbpair/store-ca"
	// StoreCAFile is the file there.
	StoreCAFile = "ca.crt"
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

// BackupResult is a backup that was taken, and what the store has then.
type BackupResult struct {
	ID           string `json:"id"`
	Location     string `json:"location"`
	From         string `json:"from"`
	MySQLVersion string `json:"mysqlVersion"`
	// GTIDs that the member had executed when the backup was complete.
	GTIDs string `json:"gtids"`
	// Size and StoredSize are bytes of data, and in the store.
	Size       int64 `json:"size"`
	StoredSize int64 `json:"storedSize"`
	Objects    int64 `json:"objects"`
	Encrypted  bool  `json:"encrypted,omitempty"`
	// Digest is the sha256 of the manifest, in hex.
	Digest   string `json:"digest"`
	Verified bool   `json:"verified,omitempty"`
	// Removed are IDs of backups that the retention removed, at most MaxStored.
	Removed []string `json:"removed,omitempty"`
	// RetentionProblem says why nothing was removed; empty when the retention was applied.
	RetentionProblem string `json:"retentionProblem,omitempty"`
	// Stored are the complete backups, the newest first, at most MaxStored of StoredTotal.
	Stored      []StoredBackup `json:"stored,omitempty"`
	StoredTotal int64          `json:"storedTotal"`
}

// StoredBackup is a complete backup in the store.
type StoredBackup struct {
	ID         string    `json:"id"`
	Finished   time.Time `json:"finished"`
	Size       int64     `json:"size"`
	StoredSize int64     `json:"storedSize"`
	Encrypted  bool      `json:"encrypted,omitempty"`
	Pinned     bool      `json:"pinned,omitempty"`
	// Proven is the zero time for a backup that was never proven.
	Proven time.Time `json:"proven,omitzero"`
}
