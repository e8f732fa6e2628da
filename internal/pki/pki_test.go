package pki

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/resources"
)

var start = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newTestAuthority(t *testing.T, at time.Time) *Authority {
	t.Helper()
	a, err := NewAuthority("shop", at)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func issue(t *testing.T, a *Authority, s Subject, at time.Time) Leaf {
	t.Helper()
	l, err := a.Issue(s, at)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func TestAuthoritySurvivesItsEncoding(t *testing.T) {
	a := newTestAuthority(t, start)
	key, err := a.KeyPEM()
	if err != nil {
		t.Fatal(err)
	}
	b, err := ParseAuthority(a.CertPEM, key)
	if err != nil {
		t.Fatal(err)
	}
	if !b.Cert.Equal(a.Cert) {
		t.Error("the certificate read back differs")
	}
	other := newTestAuthority(t, start)
	if _, err := ParseAuthority(other.CertPEM, key); err == nil || !strings.Contains(err.Error(), "does not belong") {
		t.Errorf("a key of another authority was taken: %v", err)
	}
	if _, err := ParseAuthority(nil, key); err == nil {
		t.Error("an empty ca.crt was taken")
	}
}

func TestDueSaysWhyACertificateIsMadeAgain(t *testing.T) {
	a := newTestAuthority(t, start)
	n := resources.Names{Pair: "shop", Namespace: "db"}
	want := Member(n, 0)
	fresh := issue(t, a, want, start)
	cases := map[string]struct {
		leaf Leaf
		at   time.Time
		want string
	}{
		"a fresh one stays":                  {fresh, start, ""},
		"it stays while two thirds pass":     {fresh, start.Add(59 * 24 * time.Hour), ""},
		"with a third left it is renewed":    {fresh, start.Add(61 * 24 * time.Hour), "expires"},
		"nothing at all":                     {Leaf{}, start, "cannot be used"},
		"a key of another one":               {Leaf{fresh.CertPEM, issue(t, a, want, start).KeyPEM}, start, "does not belong"},
		"one of another authority":           {issue(t, newTestAuthority(t, start), want, start), start, "another authority"},
		"one of the other member":            {issue(t, a, Member(n, 1), start), start, "names dbpair-member:shop-1"},
		"one that lacks a name it must have": {issue(t, a, Subject{CommonName: want.CommonName, Life: MemberLife}, start), start, "lacks the name"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			got := a.Due(tc.leaf, want, tc.at)
			if (tc.want == "") != (got == "") || !strings.Contains(got, tc.want) {
				t.Errorf("Due = %q, want something with %q", got, tc.want)
			}
		})
	}
}

func TestACertificateOfAJobIsForOneOperation(t *testing.T) {
	a := newTestAuthority(t, start)
	leaf := issue(t, a, Job("shop-repair-1"), start)
	if why := a.Due(leaf, Job("shop-repair-1"), start); why != "" {
		t.Errorf("due at once: %s", why)
	}
	if why := a.Due(leaf, Job("shop-repair-2"), start); !strings.Contains(why, "something else") {
		t.Errorf("for another operation Due = %q", why)
	}
	if why := a.Due(leaf, Job("shop-repair-1"), start.Add(JobLife)); !strings.Contains(why, "expires") {
		t.Errorf("after its life Due = %q", why)
	}
}

func TestACertificateNeverOutlivesItsAuthority(t *testing.T) {
	a := newTestAuthority(t, start)
	late := a.Cert.NotAfter.Add(-24 * time.Hour)
	cert, err := firstCertificate(issue(t, a, Operator(), late).CertPEM)
	if err != nil {
		t.Fatal(err)
	}
	if cert.NotAfter.After(a.Cert.NotAfter) {
		t.Errorf("certificate ends %s, its authority %s", cert.NotAfter, a.Cert.NotAfter)
	}
	if _, err := a.Issue(Operator(), a.Cert.NotAfter.Add(time.Hour)); err == nil {
		t.Error("an expired authority issued a certificate")
	}
}

func TestBundleKeepsWhatIsStillValid(t *testing.T) {
	expired := newTestAuthority(t, start.Add(-AuthorityLife-time.Hour))
	old := newTestAuthority(t, start.Add(-time.Hour))
	a := newTestAuthority(t, start)
	older := bytes.Join([][]byte{old.CertPEM, expired.CertPEM, a.CertPEM, []byte("noise")}, nil)
	want := append(bytes.Clone(a.CertPEM), old.CertPEM...)
	if got := a.Bundle(older, start); !bytes.Equal(got, want) {
		t.Errorf("bundle = %s\nwant %s", got, want)
	}
}

// A member must accept the operator, the operator the member by its address, and
// neither a stranger.
func TestMutualTLS(t *testing.T) {
	now := time.Now()
	a := newTestAuthority(t, now)
	stranger := newTestAuthority(t, now)
	n := resources.Names{Pair: "shop", Namespace: "db"}
	server := keyPair(t, issue(t, a, Member(n, 0), now))
	for name, tc := range map[string]struct {
		client tls.Certificate
		host   string
		ok     bool
	}{
		"the operator":                    {keyPair(t, issue(t, a, Operator(), now)), n.Host(0), true},
		"the peer":                        {keyPair(t, issue(t, a, Member(n, 1), now)), n.Host(0), true},
		"through the client Service":      {keyPair(t, issue(t, a, Operator(), now)), "shop.db.svc", true},
		"under the name of another":       {keyPair(t, issue(t, a, Operator(), now)), n.Host(1), false},
		"an operator of another pair's":   {keyPair(t, issue(t, stranger, Operator(), now)), n.Host(0), false},
		"a peer of another pair's making": {keyPair(t, issue(t, stranger, Member(n, 1), now)), n.Host(0), false},
	} {
		t.Run(name, func(t *testing.T) {
			err := handshake(a.CertPEM, server, tc.client, tc.host)
			if (err == nil) != tc.ok {
				t.Errorf("handshake: %v, want success: %v", err, tc.ok)
			}
		})
	}
}

func keyPair(t *testing.T, l Leaf) tls.Certificate {
	t.Helper()
	p, err := l.KeyPair()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func handshake(caPEM []byte, server, client tls.Certificate, host string) error {
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(caPEM)
	left, right := net.Pipe()
	defer left.Close()
	defer right.Close()
	done := make(chan error, 1)
	go func() {
		s := tls.Server(left, &tls.Config{
			Certificates: []tls.Certificate{server}, ClientCAs: pool,
			ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS13,
			SessionTicketsDisabled: true,
		})
		err := s.Handshake()
		left.Close()
		done <- err
	}()
	c := tls.Client(right, &tls.Config{
		Certificates: []tls.Certificate{client}, RootCAs: pool, ServerName: host, MinVersion: tls.VersionTLS13,
	})
	if err := c.Handshake(); err != nil {
		return err
	}
	// In TLS 1.3 the client is done before the server has judged it; the pipe wants
	// someone to read the verdict.
	go func() { _, _ = c.Read(make([]byte, 1)) }()
	return <-done
}

func TestHostnamesOfTheServiceAreInTheCertificate(t *testing.T) {
	now := time.Now()
	ca, err := NewAuthority("shop", now)
	if err != nil {
		t.Fatal(err)
	}
	names := resources.Names{Pair: "shop", Namespace: "ns"}
	subject := Member(names, 0, "db.example.com", "*.db.example.org", "192.0.2.7", "2001:db8::7")
	leaf, err := ca.Issue(subject, now)
	if err != nil {
		t.Fatal(err)
	}
	block, _ := pem.Decode(leaf.CertPEM)
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"shop.ns.svc", "shop-passive.ns.svc", "db.example.com", "a.db.example.org", "192.0.2.7", "2001:db8::7"} {
		if err := cert.VerifyHostname(name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := cert.VerifyHostname("other.ns.svc"); err == nil {
		t.Error("another pair's name is verified")
	}
	if why := ca.Due(leaf, subject, now); why != "" {
		t.Errorf("due: %s", why)
	}
	for why, changed := range map[string]Subject{
		"it lacks the name":    Member(names, 0, "db.example.com", "*.db.example.org", "192.0.2.7", "2001:db8::7", "new.example.com"),
		"it lacks the address": Member(names, 0, "db.example.com", "*.db.example.org", "192.0.2.7", "2001:db8::7", "192.0.2.8"),
		"it has the name":      Member(names, 0, "*.db.example.org", "192.0.2.7", "2001:db8::7"),
		"it has the address":   Member(names, 0, "db.example.com", "*.db.example.org", "2001:db8::7"),
	} {
		if got := ca.Due(leaf, changed, now); !strings.HasPrefix(got, why) {
			t.Errorf("due %q, want %q", got, why)
		}
	}
}
