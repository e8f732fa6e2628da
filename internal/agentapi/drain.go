package agentapi

import (
	"time"
)

// DrainCommand has the open member close each session of a client as soon as it is outside a
// transaction. It is refused unless the member is open at the epoch of the command, ends by
// itself when For has passed, and is idempotent for one operation.
type DrainCommand struct {
	Command
	// Operation that switches over.
	Operation string `json:"operation"`
	// For is how long from now on; 0 ends the drain of Operation.
	For time.Duration `json:"for"`
}

// SessionsReply lists the sessions of clients, those in flight for longest first.
type SessionsReply struct {
	Sessions []Session `json:"sessions"`
}

// Session is one session of a client.
type Session struct {
	ID   int64  `json:"id"`
	User string `json:"user"`
	Host string `json:"host,omitempty"`
	// InFlight: it is inside a transaction, runs a statement or holds a lock.
	InFlight bool `json:"inFlight,omitempty"`
	// DDL: it changes a definition.
	DDL bool `json:"ddl,omitempty"`
	// Age of its transaction, or else of its statement.
	Age time.Duration `json:"age"`
	// Statement is the beginning of what it runs.
	Statement string `json:"statement,omitempty"`
}

// Drain is how far a drain is. All of it is about this run of the agent.
type Drain struct {
	Operation string `json:"operation"`
	// Left is how long it goes on unless it is renewed; 0 when its time is over.
	Left time.Duration `json:"left"`
	// Asked is how often it was asked for.
	Asked int `json:"asked"`
	// Rounds that were made; before the first nothing else is known.
	Rounds int `json:"rounds"`
	// Closed sessions, and those that were in flight in the last round.
	Closed   int `json:"closed"`
	InFlight int `json:"inFlight"`
	// Busy are the first of those in flight.
	Busy []Session `json:"busy,omitempty"`
}
