package execute

import (
	"context"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/failover"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

// ErrConflict is wrapped by an effect's error when what it was conditional on has
// changed. Nothing was done; look again.
var ErrConflict = authority.ErrConflict

// Authority writes the Lease. Both methods block until the API server answers or ctx
// ends, and do nothing when the condition does not hold (an error wraps ErrConflict).
// After any other error the write may have happened.
type Authority interface {
	// Create makes the Lease of the pair; it must not exist.
	Create(ctx context.Context, r authority.Record) (version string, err error)
	// Write replaces the Lease if its resourceVersion still is version.
	Write(ctx context.Context, r authority.Record, version string) (newVersion string, err error)
}

// Fencers ask agents to give up or take up authority. Each call is one request with a
// deadline of its own, to the pod with this UID and no other. Idempotent.
type Fencers interface {
	Cease(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error)
	Fence(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.FenceReply, error)
	AckFence(ctx context.Context, to fencing.Subject, c agentapi.AckFenceCommand) (agentapi.FenceReply, error)
	ReadLease(ctx context.Context, to fencing.Subject, c agentapi.Command) error
}

// Doors tell agents what becomes of clients at their doors. Each call is one request with a
// deadline of its own, to the pod with this UID and no other. Idempotent.
type Doors interface {
	// Hold begins the time for which clients are held, or cancels it.
	Hold(ctx context.Context, to fencing.Subject, c agentapi.HoldCommand) error
	// ReleaseHeld lets clients through to the mysqld that is open at the command's epoch.
	ReleaseHeld(ctx context.Context, to fencing.Subject, c agentapi.Command) error
}

// Drainers ask the agent of an open member to close the sessions of its clients in order.
// Idempotent.
type Drainers interface {
	Drain(ctx context.Context, to fencing.Subject, c agentapi.DrainCommand) error
}

// Copiers ask agents to make or replace their data. The agent answers when it has
// accepted; the state then tells how it goes. Idempotent.
type Copiers interface {
	Initialize(ctx context.Context, to fencing.Subject, c agentapi.InitializeCommand) error
	Seed(ctx context.Context, to fencing.Subject, c agentapi.SeedCommand) error
	Rewind(ctx context.Context, to fencing.Subject, c agentapi.RewindCommand) error
	// Discard answers when what was not applied is saved and given up.
	Discard(ctx context.Context, to fencing.Subject, c agentapi.DiscardCommand) error
}

// Comparers ask agents what their binlogs hold. They change nothing.
type Comparers interface {
	Snapshot(ctx context.Context, to fencing.Subject, c agentapi.Command) (agentapi.SnapshotReply, error)
	Covers(ctx context.Context, to fencing.Subject, r agentapi.CoversRequest) (agentapi.CoversReply, error)
}

// Pods changes members' pods. Every method is conditional on the pod's UID (an error
// wraps ErrConflict when another pod is there) and idempotent; a pod that is gone is no
// error for Delete and RemoveFinalizer.
type Pods interface {
	// Delete asks for the deletion of this pod, with its own grace period. It returns when
	// the API server has accepted.
	Delete(ctx context.Context, s fencing.Subject) error
	AddFinalizer(ctx context.Context, s fencing.Subject) error
	RemoveFinalizer(ctx context.Context, s fencing.Subject) error
	// Label sets and removes labels, and returns once anyone who watches pods can have seen
	// them: a Service that selects by them may be written next.
	Label(ctx context.Context, s fencing.Subject, set map[string]string, remove []string) error
	// ScaleDown has the StatefulSet ask for no pods, if its resourceVersion still is version (an
	// error wraps ErrConflict when it is not). It returns when the API server has accepted.
	ScaleDown(ctx context.Context, version string) error
}

// Witnesses read what proofs are made from, uncached.
type Witnesses interface {
	// Pod reads a member's pod. A pod that is not there is an error.
	Pod(ctx context.Context, s fencing.Subject) (fencing.PodFacts, error)
	Node(ctx context.Context, name string) (fencing.NodeFacts, error)
}

// Services leads the client Service. Each method is one write that is conditional on the
// resourceVersion.
type Services interface {
	// Point writes selector and target port.
	Point(ctx context.Context, p failover.PointService) error
	// Detach takes the selector off and writes down whose endpoints stay.
	Detach(ctx context.Context, d failover.DetachService) error
}

// Recorder keeps DatabasePairOperations. It never decides whether the act goes on: its
// errors are logged.
type Recorder interface {
	// Operation makes or updates the record. A terminal one is left alone.
	Operation(ctx context.Context, n failover.OperationNote) error
	// Timeline adds one step with its instant, duration and what was seen.
	Timeline(ctx context.Context, operation string, e TimelineEntry) error
}

// TimelineEntry is one executed step.
type TimelineEntry struct {
	Step    failover.StepName
	At      time.Time
	Took    time.Duration
	Message string
	// Decisive steps change the authority or lead clients elsewhere.
	Decisive bool
}

// Effects are everything a step can do.
type Effects struct {
	Authority Authority
	Fencers   Fencers
	Doors     Doors
	Drainers  Drainers
	Copiers   Copiers
	Comparers Comparers
	Pods      Pods
	Witnesses Witnesses
	Services  Services
	Recorder  Recorder
	// DonorHost is the address of a member for its peer.
	DonorHost func(pair.MemberName) string
	// Backup is the one that is served for a re-seed; an ErrConflict while none is.
	Backup func(context.Context) (*agentapi.ForeignDonor, error)
}

// Clock tells the time.
type Clock interface{ Now() time.Time }
