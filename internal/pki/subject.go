package pki

import (
	"net"
	"net/url"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
	"github.com/dbpair/dbpair/internal/resources"
)

// Member is the subject of a member's certificate. It is presented to clients of every
// Service of the pair, to the peer and to the operator. Hostnames are further names, or
// addresses, by which clients reach the Service.
func Member(n resources.Names, o pair.Ordinal, hostnames ...string) Subject {
	member := string(o.Member(n.Pair))
	names := []string{"localhost", member, member + "." + n.Pods()}
	names = append(names, forms(member+"."+n.Pods(), n.Namespace)...)
	names = append(names, n.Pair)
	names = append(names, forms(n.Pair, n.Namespace)...)
	names = append(names, n.Passive())
	names = append(names, forms(n.Passive(), n.Namespace)...)
	addresses := []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}
	for _, name := range hostnames {
		if ip := net.ParseIP(name); ip != nil {
			addresses = append(addresses, ip)
		} else {
			names = append(names, name)
		}
	}
	return Subject{
		CommonName: agentapi.RolePeerPrefix + member,
		DNSNames:   names,
		IPs:        addresses,
		Server:     true,
		Life:       MemberLife,
	}
}

// RouterNames are the names by which clients reach a pair's router, which passes them on without
// ending their TLS.
func RouterNames(n resources.Names) []string {
	return append([]string{n.Router()}, forms(n.Router(), n.Namespace)...)
}

// Operator is the subject of the operator's client certificate.
func Operator() Subject {
	return Subject{CommonName: agentapi.RoleOperator, Life: OperatorLife}
}

// Job is the subject of the client certificate of the Job of one operation.
func Job(operation string) Subject {
	return Subject{
		CommonName: agentapi.RoleJob,
		URIs:       []*url.URL{agentapi.JobURI(operation)},
		Life:       JobLife,
	}
}

// Vault is the subject of what serves the backup that a pair begins with. The name is nobody's
// role: as a client it may do nothing.
func Vault(n resources.Names) Subject {
	return Subject{
		CommonName: "dbpair-vault",
		DNSNames:   append([]string{n.Vault()}, forms(n.Vault(), n.Namespace)...),
		Server:     true,
		Life:       MemberLife,
	}
}

// Archive is the subject of the client certificate of what archives a pair's binary logs. Members
// let it log in to mysqld; agents do nothing for it.
func Archive() Subject {
	return Subject{
		CommonName: "dbpair-archive",
		Life:       OperatorLife,
	}
}

// Metrics is the subject of the certificate of the operator's metrics endpoint, which is
// reached by the names of a Service.
func Metrics(service, namespace string) Subject {
	return Subject{
		CommonName: "dbpair-metrics",
		DNSNames:   append([]string{"localhost", service}, forms(service, namespace)...),
		Server:     true,
		Life:       MemberLife,
	}
}

// forms are the names under which DNS answers for a name of a namespace.
func forms(name, namespace string) []string {
	return []string{
		name + "." + namespace,
		name + "." + namespace + ".svc",
		name + "." + namespace + ".svc.cluster.local",
	}
}
