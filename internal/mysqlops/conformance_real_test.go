package mysqlops_test

import (
	"context"
	"testing"

	"github.com/dbpair/dbpair/internal/mysqldtest"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/mysqlops/conformance"
)

func TestConformance(t *testing.T) {
	mysqldtest.Require(t)
	conformance.Run(t, func(t *testing.T) (a, b *conformance.Member) {
		return realMember(t, 0), realMember(t, 1)
	})
}

func realMember(t *testing.T, ordinal int) *conformance.Member {
	instance := mysqldtest.Start(t, mysqldtest.Options{Ordinal: ordinal})
	client := instance.Client(mysqlops.UserApp, mysqldtest.Passwords.App, false)
	return &conformance.Member{
		Ops: instance.Ops, Member: instance.Member,
		// One transaction, whatever it is, and no table needed.
		Commit: func() <-chan error {
			answer := make(chan error, 1)
			go func() {
				_, err := client.ExecContext(context.WithoutCancel(t.Context()), "DROP VIEW IF EXISTS app.v")
				answer <- err
			}()
			return answer
		},
		Kill: instance.Kill, Boot: instance.Boot,
		Source: func(reader *conformance.Member) mysqlops.Source {
			dir := reader.Member.TLSDir
			return instance.SourceOf(mysqlops.TLSFiles{CA: dir + "/ca.crt", Cert: dir + "/tls.crt", Key: dir + "/tls.key"})
		},
		Donor: func(reader *conformance.Member) mysqlops.Donor {
			dir := reader.Member.TLSDir
			return mysqlops.Donor{
				Host: "127.0.0.1", Port: instance.Member.AdminPort, User: mysqlops.UserClone, Password: mysqldtest.Passwords.Clone,
				TLS: mysqlops.TLSFiles{CA: dir + "/ca.crt", Cert: dir + "/tls.crt", Key: dir + "/tls.key"},
			}
		},
	}
}
