package mysqlops_test

import (
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqldtest"
)

// TestAMemberListensOnIPv6: on a cluster of IPv6 the admin port has the pod's address.
func TestAMemberListensOnIPv6(t *testing.T) {
	if listener, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Skip("SKIPPED: this machine has no IPv6")
	} else {
		_ = listener.Close()
	}
	member := mysqldtest.Start(t, mysqldtest.Options{IPv6: true})
	for _, port := range []int{member.Member.Port, member.Member.AdminPort} {
		conn, err := net.Dial("tcp", net.JoinHostPort("::1", strconv.Itoa(port)))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetReadDeadline(time.Now().Add(time.Minute))
		// A packet of MySQL: its length in three bytes, its number, and the version of the protocol.
		greeting := make([]byte, 5)
		if _, err := conn.Read(greeting); err != nil || greeting[4] != 10 {
			t.Errorf("port %d: %v, %v", port, greeting, err)
		}
	}
	differences, err := member.Ops.VerifyOwned(t.Context(), mycnf.Expect(member.Member, mycnf.State{}))
	if err != nil || len(differences) > 0 {
		t.Errorf("read back: %v, %v", differences, err)
	}
}
