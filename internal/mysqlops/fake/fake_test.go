package fake_test

import (
	"testing"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/mysqlops/conformance"
	"github.com/dbpair/dbpair/internal/mysqlops/fake"
)

func TestConformance(t *testing.T) {
	conformance.Run(t, func(*testing.T) (a, b *conformance.Member) {
		network := fake.NewNetwork(nil)
		return member(network, 0, "10.0.0.1"), member(network, 1, "10.0.0.2")
	})
}

func member(network *fake.Network, ordinal int, ip string) *conformance.Member {
	facts := mycnf.Member{Ordinal: ordinal, PodIP: ip, AdminPort: 33062}
	server := network.Add(facts)
	return &conformance.Member{
		Ops: server, Member: facts,
		Commit: func() <-chan error {
			commit, err := server.Commit()
			if err != nil {
				refused := make(chan error, 1)
				refused <- err
				return refused
			}
			return commit.Done()
		},
		Kill: server.Kill, Boot: server.Boot,
		Source: func(*conformance.Member) mysqlops.Source {
			return mysqlops.Source{Host: ip, Port: 33062, User: mysqlops.UserReplication}
		},
		Donor: func(*conformance.Member) mysqlops.Donor {
			return mysqlops.Donor{Host: ip, Port: 33062, User: mysqlops.UserClone}
		},
	}
}
