package agentclient

import (
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// ErrRefused is wrapped by the error of every command that the agent refused; the error
// then is a *Refusal.
var ErrRefused = errors.New("refused by the agent")

// ErrNoSuchPath is wrapped when the agent is of a version that does not know the request.
var ErrNoSuchPath = errors.New("the agent does not know this request, it is of an earlier version")

// Refusal is the agent's answer that it did not do what was asked.
type Refusal struct {
	agentapi.ErrorReply
	Status int
}

// Error names code and reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Message) }

// Unwrap makes every refusal ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }
