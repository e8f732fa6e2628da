package mysqlops

import (
	"fmt"
	"io"
	"time"
)

const hidden = "[secret]"

// Secret is a password. Nothing prints it: every verb of fmt, JSON and slog
// shows a placeholder; Reveal is the only way to the text.
type Secret struct{ text string }

// NewSecret wraps a password.
func NewSecret(text string) Secret { return Secret{text: text} }

// Reveal returns the password itself.
func (s Secret) Reveal() string { return s.text }

// IsZero reports whether the password is empty.
func (s Secret) IsZero() bool { return s.text == "" }

// String returns a placeholder.
func (s Secret) String() string { return hidden }

// Format writes a placeholder for every verb.
func (s Secret) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// MarshalText returns a placeholder, so that no encoder writes the password.
func (s Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// Config says how to reach one mysqld.
type Config struct {
	// Socket is the path of mysqld's unix socket. It goes before Address.
	Socket string
	// Address is host:port, for a mysqld without a reachable socket.
	Address string
	// User is the account to log in with; empty means root.
	User string
	// Password is asked at every login, so that a rotated one is used from
	// the next login on; nil means no password.
	Password func() Secret
	// Timeouts bound each statement; zero fields take the defaults.
	Timeouts Timeouts
}

// Timeouts bound what one statement may take.
type Timeouts struct {
	// Connect bounds a login. Default 2 s.
	Connect time.Duration
	// Read bounds a statement that only looks. Default 2 s.
	Read time.Duration
	// Change bounds a statement that changes a setting, an account or a
	// channel. Default 10 s.
	Change time.Duration
	// Fence bounds each statement of the fence path. Default 1500 ms, so that
	// the lock wait of super_read_only, one second, ends inside it.
	Fence time.Duration
}

func (t Timeouts) withDefaults() Timeouts {
	for field, value := range map[*time.Duration]time.Duration{
		&t.Connect: 2 * time.Second,
		&t.Read:    2 * time.Second,
		&t.Change:  10 * time.Second,
		&t.Fence:   1500 * time.Millisecond,
	} {
		if *field <= 0 {
			*field = value
		}
	}
	return t
}
