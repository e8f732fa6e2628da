package agentapi

import (
	"time"
)

// PermitRepairCommand permits an operation to repair one table at the epoch of the command:
// without it an agent refuses RepairLeaseCommand, RepairRightsCommand and SaveRowsCommand.
// It is idempotent. The permission ends by itself when For has passed; each of the Job's
// requests extends it by some minutes, for at most an hour after the operator's last.
type PermitRepairCommand struct {
	Command
	Operation string `json:"operation"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	// For is how long from now on, at most MaxPermitRepair; 0 ends that of Operation.
	For time.Duration `json:"for"`
}

// MaxPermitRepair is the longest time for which a repair is permitted at once.
const MaxPermitRepair = 15 * time.Minute

// RepairLeaseCommand lets the passive's applier force rows through for a while, which a
// repair needs, or ends that. The agent ends it by itself when For has passed and what was
// received by then is applied. Refused unless the member follows the primary of Epoch.
type RepairLeaseCommand struct {
	Command
	// Operation that repairs; the lease is of one at a time.
	Operation string `json:"operation"`
	// For is how long from now on; 0 ends the lease of Operation.
	For time.Duration `json:"for"`
}

// RepairRightsCommand lets the repair account write the rows of one table of the primary
// for a while, or ends that. The agent ends it by itself when For has passed and when the
// roles change.
type RepairRightsCommand struct {
	Command
	// Operation that repairs; the rights are of one at a time.
	Operation string `json:"operation"`
	Schema    string `json:"schema"`
	Table     string `json:"table"`
	// For is how long from now on; 0 takes back what Operation was given.
	For time.Duration `json:"for"`
}

// SaveRowsCommand keeps rows in the quarantine on the passive's volume before a repair
// writes over them. The answer comes when they are on the disk.
type SaveRowsCommand struct {
	Command
	// Operation that repairs; it names the file.
	Operation string `json:"operation"`
	// Lines are appended to the file, one JSON value each.
	Lines []string `json:"lines"`
}
