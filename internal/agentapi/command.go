package agentapi

import (
	"net"
	"strconv"

	"github.com/dbpair/dbpair/internal/pair"
)

// Command is the head of every command. The agent refuses it with ErrorStale when it
// has seen a higher epoch or ledger version, and with ErrorWrongPair when it serves
// another pair.
type Command struct {
	PairUID       pair.UID           `json:"pairUID"`
	Epoch         pair.Epoch         `json:"epoch"`
	LedgerVersion pair.LedgerVersion `json:"ledgerVersion"`
	// RequestID is random per request and comes back in the answer, so that an answer
	// cannot be taken for that of another request.
	RequestID string `json:"requestID"`
	// Signed is what the operator signed about Epoch, so that the agent can show it to its
	// peer.
	Signed pair.SignedEpoch `json:"signed,omitzero"`
}

// InitializeCommand makes an empty volume a data directory with the accounts of the
// pair. The agent reads the Lease itself and refuses unless Bootstrap names it.
type InitializeCommand struct {
	Command
	DataID pair.DataID `json:"dataID"`
	// Donor whose data is copied, or Dump that is loaded; both nil to begin without data.
	Donor *ForeignDonor `json:"donor,omitempty"`
	Dump  *Dump         `json:"dump,omitempty"`
}

// ForeignDonor is a server outside of the pair whose data a pair begins with.
type ForeignDonor struct {
	Host     string `json:"host"`
	Port     int    `json:"port"`
	User     string `json:"user"`
	Password string `json:"password"`
	// CA has the certificates, in PEM, by which the donor's is verified; empty not to verify it.
	CA string `json:"ca,omitempty"`
	// NoTLS: the data comes in the clear.
	NoTLS bool `json:"noTLS,omitempty"`
	// Backup: it is no server but a backup that is served. It answers a clone and nothing else.
	Backup bool `json:"backup,omitempty"`
	// Replay is the port of a source there, for the same account, from which the copy replicates up
	// to its end before it is used; 0 for none.
	Replay int `json:"replay,omitempty"`
}

// Address is host:port.
func (d ForeignDonor) Address() string { return net.JoinHostPort(d.Host, strconv.Itoa(d.Port)) }

// SeedCommand replaces the member's data by a CLONE of the donor's, or of a backup. The agent reads the
// Lease itself and refuses if it is holder, in sync or joining, or if the donor is not
// the holder. It marks its data void before it wipes anything.
type SeedCommand struct {
	Command
	Donor pair.MemberName `json:"donor"`
	// DonorHost is the donor's address, reached at pair.PortAdmin.
	DonorHost string `json:"donorHost"`
	// Target is the DataID that is to be replaced; empty for an empty volume.
	Target pair.DataID `json:"target"`
	// DataID the new data will have.
	DataID pair.DataID `json:"dataID"`
	// Backup is what is copied in place of the donor. Before it is used, the copy replicates from the donor
	// whatever that had when the copy was there, so that accounts and their passwords are the donor's.
	Backup *ForeignDonor `json:"backup,omitempty"`
}

// RewindCommand cuts the member's errant tail before mysqld starts. Refused like Seed.
type RewindCommand struct {
	Command
	// Holder's binlog contents; what is not in it is errant.
	HolderGTIDs string      `json:"holderGTIDs"`
	Target      pair.DataID `json:"target"`
	// KeepTail: nothing may be cut, because the tail may hold acknowledged writes. The member
	// goes on as a passive when it has no tail, and else publishes the tail and stays as it is.
	KeepTail bool `json:"keepTail,omitempty"`
}

// DiscardCommand gives up what the member has received and not applied: its relay log is saved
// in the quarantine, and then discarded, so that the member can be promoted without it. The
// agent reads the Lease itself and refuses unless no member is the holder and the member's
// receiver was stopped at Epoch. It answers when it is done, and is idempotent. What was given
// up shows in State.
type DiscardCommand struct {
	Command
	// Operation in which an admin allowed it; it is kept beside what is saved.
	Operation string `json:"operation"`
	// Target is the data whose relay log it is.
	Target pair.DataID `json:"target"`
}

// HoldCommand begins the time for which the door holds clients, before the authority is
// changed: in a planned change of roles. In any other the agent begins it by itself. It
// lasts as long as the pair's configuration says and is not extended by a second command.
type HoldCommand struct {
	Command
	// Cancel ends it: the change was given up and the authority was not changed.
	Cancel bool `json:"cancel,omitempty"`
	// ForwardTo has the door relay clients to the mysqld at this address and port, the open
	// primary's, in place of holding them: the change of roles is about to begin. It ends with
	// the next command, with a newer epoch, and when nobody answers there.
	ForwardTo string `json:"forwardTo,omitempty"`
}

// AckFenceCommand has the candidate stop its receiver, once it has received GTIDs.
type AckFenceCommand struct {
	Command
	// Receive are the GTIDs to receive before; empty for none. The agent refuses when they do
	// not come in time, and goes on receiving.
	Receive string `json:"receive,omitempty"`
}

// FenceReply answers a fence or cease command.
type FenceReply struct {
	RequestID string          `json:"requestID"`
	Member    pair.MemberName `json:"member"`
	PodUID    pair.PodUID     `json:"podUID"`
	Epoch     pair.Epoch      `json:"epoch"` // the epoch that was made durable
	Ceased    bool            `json:"ceased"`
	// ProcessStopped: no mysqld runs on this volume and none will be opened below or
	// at Epoch.
	ProcessStopped bool `json:"processStopped"`
	// Demoted: super_read_only and offline_mode on, no client session, re-read after.
	Demoted bool   `json:"demoted"`
	Why     string `json:"why,omitempty"`
	// BinlogGTIDs is what the binlog held when that was read, waiting commits included; only
	// when Demoted.
	BinlogGTIDs string `json:"binlogGTIDs,omitempty"`
	// ReceiverStopped answers an ack-fence command: the receiver is stopped, durably, and
	// starts again only at an epoch above Epoch that names the peer.
	ReceiverStopped bool `json:"receiverStopped,omitempty"`
	// AgentStart is the run of the agent that answered.
	AgentStart pair.AgentStart `json:"agentStart,omitempty"`
}

// Done answers a command that says nothing but that it was done or begun: look,
// initialize, seed, rewind. The progress of the last three shows in State.
type Done struct {
	RequestID string     `json:"requestID"`
	Epoch     pair.Epoch `json:"epoch"` // known, on the volume
}
