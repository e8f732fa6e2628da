package jobapi

// RestoreDrillDir is the directory that the two containers of a restore drill's pod share.
const RestoreDrillDir = "/run/dbpair"

// RestoreDrillRequest is what a restore drill restores.
type RestoreDrillRequest struct {
	// Store is the URL of the pair's folder.
	Store string `json:"store"`
	// Identity says whether there is one in IdentityDir.
	Identity bool `json:"identity,omitempty"`
	// Replay has what was archived after the backup replayed.
	Replay bool `json:"replay,omitempty"`
}
