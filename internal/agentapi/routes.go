package agentapi

import "slices"

// Paths of the agent's API. Routes says who may ask for them.
const (
	PathState       = "/v1/state"        // GET, ?since=<revision>&wait=<duration> long-polls, &fresh=1 asks mysqld again
	PathVouch       = "/v1/vouch"        // POST VouchRequest
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

	PathDump           = "/v1/dump"            // GET: which step is wanted; POST ?step=<DumpStep>, the body is the file
	PathValidateConfig = "/v1/validate-config" // POST ValidateConfigRequest: would mysqld take these settings?

	PathRepairLease  = "/v1/repair-lease"  // POST RepairLeaseCommand to the passive
	PathRepairRights = "/v1/repair-rights" // POST RepairRightsCommand to the primary
	PathSaveRows     = "/v1/save-rows"     // POST SaveRowsCommand to the passive
	PathPermitRepair = "/v1/permit-repair" // POST PermitRepairCommand to both members

	PathArchived = "/v1/archived" // POST ArchivedCommand to both members

	PathEnsureUser = "/v1/ensure-user" // POST EnsureUserCommand to the primary
	PathRemoveUser = "/v1/remove-user" // POST RemoveUserCommand to the primary

	PathEnsureReader = "/v1/ensure-reader" // POST EnsureUserCommand with Replication to the primary
)

// Caller is a kind of client of the agent's API, which its certificate names.
type Caller string

// The kinds of clients.
const (
	CallerOperator Caller = "operator"
	CallerPeer     Caller = "peer" // the other member's agent
	CallerSelf     Caller = "self" // the agent's own program, in the member's container
	CallerJob      Caller = "job"  // a Job that compares or repairs, for its one operation
)

// Route is one path of the API, and who may ask for it.
type Route struct {
	Path    string
	Callers []Caller
}

// Routes lists all paths of the API. What is not here is served to nobody.
var Routes = []Route{
	{Path: PathState, Callers: []Caller{CallerOperator, CallerPeer, CallerSelf}},
	{Path: PathSessions, Callers: []Caller{CallerOperator, CallerSelf}},
	{Path: PathVouch, Callers: []Caller{CallerPeer}},
	{Path: PathCease, Callers: []Caller{CallerOperator}},
	{Path: PathFence, Callers: []Caller{CallerOperator}},
	{Path: PathAckFence, Callers: []Caller{CallerOperator}},
	{Path: PathDrain, Callers: []Caller{CallerOperator}},
	{Path: PathReadLease, Callers: []Caller{CallerOperator}},
	{Path: PathInitialize, Callers: []Caller{CallerOperator}},
	{Path: PathSeed, Callers: []Caller{CallerOperator}},
	{Path: PathRewind, Callers: []Caller{CallerOperator}},
	{Path: PathSnapshot, Callers: []Caller{CallerOperator}},
	{Path: PathCovers, Callers: []Caller{CallerOperator}},
	{Path: PathDiscard, Callers: []Caller{CallerOperator}},
	{Path: PathReleaseHeld, Callers: []Caller{CallerOperator}},
	{Path: PathHold, Callers: []Caller{CallerOperator}},
	{Path: PathDump, Callers: []Caller{CallerJob}},
	{Path: PathValidateConfig, Callers: []Caller{CallerOperator}},
	{Path: PathRepairLease, Callers: []Caller{CallerOperator, CallerJob}},
	{Path: PathRepairRights, Callers: []Caller{CallerOperator, CallerJob}},
	{Path: PathSaveRows, Callers: []Caller{CallerOperator, CallerJob}},
	{Path: PathPermitRepair, Callers: []Caller{CallerOperator}},
	{Path: PathArchived, Callers: []Caller{CallerOperator}},
	{Path: PathEnsureUser, Callers: []Caller{CallerOperator}},
	{Path: PathRemoveUser, Callers: []Caller{CallerOperator}},
	{Path: PathEnsureReader, Callers: []Caller{CallerOperator}},
}

// MayAsk reports whether a kind of client may ask for a path.
func MayAsk(c Caller, path string) bool {
	i := slices.IndexFunc(Routes, func(r Route) bool { return r.Path == path })
	return i >= 0 && slices.Contains(Routes[i].Callers, c)
}

// Common names of client certificates.
const (
	RoleOperator = "dbpair-operator"
	// RolePeerPrefix is followed by the member's name.
	RolePeerPrefix = "dbpair-member:"
	// RoleJob is that of the Jobs that compare and repair; see JobURI.
	RoleJob = "dbpair-job"
)
