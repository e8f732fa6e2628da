package checksum

import "errors"

// What a caller can act upon. With each of them Run returns the report so far.
var (
	// ErrRolesChanged: the members are not, or no longer, the primary and the
	// passive of each other. Do not resume with the same endpoints.
	ErrRolesChanged = errors.New("roles of the members changed")
	// ErrSessionLost: sessions were ended by a member, as a promotion does, or
	// the network went. Resume once the roles are known.
	ErrSessionLost = errors.New("session with a member lost")
	// ErrBadRequest: what is asked for cannot be done, or there is no such thing; the
	// message says what to ask for instead. It would fail again.
	ErrBadRequest = errors.New("bad request")
	// ErrNotReplicating: the passive does not apply what the primary writes.
	ErrNotReplicating = errors.New("passive does not replicate")
)
