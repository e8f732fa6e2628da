package agentapi

// Paths of the agent's API.
const (
	PathState       = "/v1/state"        // GET, ?since=<revision>&wait=<duration> long-polls, &fresh=1 asks mysqld again
	PathVouch       = "/v1/vouch"        // POST VouchRequest (peer only)
	PathCease       = "/v1/cease"        // POST Command: raise the highest known epoch durably
	PathFence       = "/v1/fence"        // POST Command: cease, then close, then answer what was reached
	PathAckFence    = "/v1/ack-fence"    // POST Command: cease, stop the receiver durably, apply everything received
	PathDrain       = "/v1/drain"        // POST DrainCommand: the open member closes sessions outside a transaction
	PathSessions    = "/v1/sessions"     // GET: the sessions of clients
	PathReadLease   = "/v1/read-lease"   // POST Command: read the Lease now
	PathInitialize  = "/v1/initialize"   // POST InitializeCommand
	PathSeed        = "/v1/seed"         // POST SeedCommand
	PathRewind      = "/v1/rewind"       // POST RewindCommand
	PathSnapshot    = "/v1/snapshot"     // POST Command: GTIDs of the binlog up to its end, waiting commits included
	PathCovers      = "/v1/covers"       // POST CoversRequest: is this set received here?
	PathDiscard     = "/v1/discard"      // POST DiscardCommand: give up what was received and cannot be applied
	PathReleaseHeld = "/v1/release-held" // POST Command: let clients through the door at this epoch
	PathHold        = "/v1/hold"         // POST HoldCommand: hold clients at the door

	PathValidateConfig = "/v1/validate-config" // POST ValidateConfigRequest: would mysqld take these settings? (the operator alone)

	PathRepairLease  = "/v1/repair-lease"  // POST RepairLeaseCommand to the passive (a repair's Job, or the operator)
	PathRepairRights = "/v1/repair-rights" // POST RepairRightsCommand to the primary (likewise)
	PathSaveRows     = "/v1/save-rows"     // POST SaveRowsCommand to the passive (likewise)
	PathPermitRepair = "/v1/permit-repair" // POST PermitRepairCommand to both members (the operator alone)
)

// Common names of client certificates.
const (
	RoleOperator = "dbpair-operator"
	// RolePeerPrefix is followed by the member's name.
	RolePeerPrefix = "dbpair-member:"
	// RoleJob is that of the Jobs that compare and repair; see JobURI.
	RoleJob = "dbpair-job"
)
