package clients

import (
	"testing"

	"github.com/dbpair/dbpair/api/v1alpha1"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pki"
	"github.com/dbpair/dbpair/internal/resources"
)

// account is one whose Secret clients take.
type account struct {
	// current is what CURRENT_USER() says, and database what DATABASE() does: none without one.
	current  string
	database string
	// tables are those that it writes, each with the columns of letters.
	tables []string
	// shows is a statement that only such an account may run, besides; empty for none.
	shows string
	// strict: it is tried with wrong Secrets as well. Two are, one for each Service that strings name.
	strict bool
	// secret is what the operator makes for a pair of that name.
	secret func(t *testing.T, pairName, password string, ca *pki.Authority) map[string][]byte
}

// none is what an account without a database gets from queryDatabase.
const none = "none"

const queryDatabase = "SELECT IFNULL(DATABASE(), '" + none + "')"

// accounts are one of each kind, with the names that are the hardest to write in a string.
func accounts() map[string]account {
	return map[string]account{
		"an application with names of its own": {
			current:  "till-app.2_x@%",
			database: "2026-till_x",
			tables:   []string{"letters"},
			strict:   true,
			secret:   ownNames,
		},
		"a user with several databases": {
			current:  "Report-er.2_x@%",
			database: "2026-sales_x",
			tables:   []string{"letters", "reports.letters"},
			secret: userSecret(v1alpha1.UserSpec{
				User:      "Report-er.2_x",
				Databases: []string{"2026-sales_x", "reports"},
			}),
		},
		"a user without a database": {
			current:  "_-.@%",
			database: none,
			secret:   userSecret(v1alpha1.UserSpec{User: "_-."}),
		},
		"a reader of the binary logs without a database": {
			current:  "cdc@" + mysqlops.ReaderHost,
			database: none,
			shows:    "SHOW BINARY LOGS",
			strict:   true,
			secret: userSecret(v1alpha1.UserSpec{
				User:        "cdc",
				Replication: true,
			}),
		},
	}
}

// ownNames is the Secret of an application whose names were chosen.
func ownNames(t *testing.T, pairName, password string, ca *pki.Authority) map[string][]byte {
	t.Helper()
	p := pairNamed(pairName)
	p.Spec.Application.User = "till-app.2_x"
	p.Spec.Application.Database = "2026-till_x"
	secret, err := resources.AppSecret(p, password, ca.CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	return secret.Data
}

// userSecret makes the Secrets of a DatabasePairUser.
func userSecret(spec v1alpha1.UserSpec) func(*testing.T, string, string, *pki.Authority) map[string][]byte {
	return func(t *testing.T, pairName, password string, ca *pki.Authority) map[string][]byte {
		t.Helper()
		u := &v1alpha1.DatabasePairUser{Spec: spec}
		u.Name = "one"
		u.Spec.PairRef.Name = pairName
		secret, err := resources.UserSecret(pairNamed(pairName), u, password, ca.CertPEM)
		if err != nil {
			t.Fatal(err)
		}
		return secret.Data
	}
}

// makeAccounts makes those of accounts in mysqld, users as the primary's agent does.
func (s *service) makeAccounts(t *testing.T) {
	t.Helper()
	s.exec(t, "CREATE DATABASE `2026-till_x`")
	s.exec(t, "CREATE USER 'till-app.2_x' IDENTIFIED BY ? REQUIRE SSL", hostilePassword)
	s.exec(t, "GRANT ALL ON `2026-till\\_x`.* TO 'till-app.2_x'")
	users := []mysqlops.User{
		{
			Name:      "Report-er.2_x",
			Databases: []string{"2026-sales_x", "reports"},
			Rights:    []string{"SELECT", "INSERT"},
		},
		{
			Name: "_-.",
		},
		{
			Name:      "cdc",
			ReadsLogs: true,
		},
	}
	for _, u := range users {
		u.Password = mysqlops.NewSecret(hostilePassword)
		u.RequireTLS = true
		if _, err := s.member.Ops.EnsureUser(t.Context(), u, 0); err != nil {
			t.Fatal(err)
		}
	}
	for _, database := range []string{"2026-till_x", "2026-sales_x", "reports"} {
		s.exec(t, "CREATE TABLE `"+database+"`.letters "+columns)
	}
}
