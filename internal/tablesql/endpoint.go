package tablesql

import (
	"crypto/tls"
	"errors"
	"fmt"

	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Endpoint says how to reach one member.
type Endpoint struct {
	// Member is its name, for messages and reports.
	Member pair.MemberName
	// Addr is host:port of its admin port.
	Addr string
	// User is the account to log in with.
	User string
	// Password is asked at every login.
	Password func() mysqlops.Secret
	// TLS is used for every session. It must verify the server; nil is refused.
	TLS *tls.Config
}

// Validate says which field is missing.
func (e Endpoint) Validate() error {
	switch {
	case e.Member == "":
		return errors.New("endpoint without member: name it")
	case e.Addr == "":
		return fmt.Errorf("endpoint of %s without address: give host:port of the admin port", e.Member)
	case e.User == "":
		return fmt.Errorf("endpoint of %s without user: name the account", e.Member)
	case e.TLS == nil:
		return fmt.Errorf("endpoint of %s without TLS: sessions are never opened in the clear", e.Member)
	}
	return nil
}

// TableName names one table.
type TableName struct {
	Schema string `json:"schema"`
	Name   string `json:"name"`
}

// String is "schema.name", unquoted, for people.
func (t TableName) String() string { return t.Schema + "." + t.Name }
