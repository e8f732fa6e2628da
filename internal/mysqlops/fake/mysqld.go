package fake

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mycnf"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Network is what the mysqlds of one test have in common: addresses, links,
// and the lock under which all of them change.
type Network struct {
	mu       sync.Mutex
	byAddr   map[string]*Mysqld
	cut      map[[2]*Mysqld]bool
	lostAcks map[*Mysqld]bool
	now      func() time.Time
	servers  int
}

// NewNetwork returns a network without mysqlds. now is the clock that ages of
// waiting commits are measured by; nil means time.Now.
func NewNetwork(now func() time.Time) *Network {
	if now == nil {
		now = time.Now
	}
	return &Network{
		byAddr:   make(map[string]*Mysqld),
		cut:      make(map[[2]*Mysqld]bool),
		lostAcks: make(map[*Mysqld]bool),
		now:      now,
	}
}

// Mysqld is one modeled server.
type Mysqld struct {
	net    *Network
	member mycnf.Member
	uuid   gtid.ServerUUID

	up      bool
	started time.Time

	readOnly, superReadOnly, offline, events bool
	sourceOn, replicaOn                      bool
	interruptions                            int
	drift                                    map[string]string

	next     int64
	binlog   gtid.Set
	executed gtid.Set
	purged   gtid.Set
	relay    gtid.Set
	waiting  []*Commit

	configured     bool
	source         mysqlops.Source
	sourceUUID     gtid.ServerUUID
	receiver       bool
	acknowledging  bool
	applier        bool
	applierBlocked bool
	applierError   mysqlops.ChannelError

	warm       bool
	sessions   int
	privileged int
	accounts   []mysqlops.PrivilegedAccount
	hung       bool
	clone      mysqlops.CloneProgress
}

// Add makes a closed, running mysqld with an empty history that listens on the
// pod IP and admin port of member.
func (n *Network) Add(member mycnf.Member) *Mysqld {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.servers++
	m := &Mysqld{
		net:    n,
		member: member,
		drift:  make(map[string]string),
		uuid:   gtid.ServerUUID(fmt.Sprintf("00000000-0000-0000-0000-%012d", n.servers)),
	}
	n.byAddr[net.JoinHostPort(member.PodIP, strconv.Itoa(adminPort(member)))] = m
	m.boot()
	return m
}

func adminPort(member mycnf.Member) int {
	if member.AdminPort == 0 {
		return pair.PortAdmin
	}
	return member.AdminPort
}

// Cut breaks or mends the link between two mysqlds. A mended link is taken up
// again by the receivers at once.
func (n *Network) Cut(a, b *Mysqld, broken bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cut[[2]*Mysqld{a, b}], n.cut[[2]*Mysqld{b, a}] = broken, broken
	n.flow()
}

// LoseAcks makes everything m receives unacknowledged, or ends that. What was
// received meanwhile is not acknowledged later.
func (n *Network) LoseAcks(m *Mysqld, lost bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lostAcks[m] = lost
	n.flow()
}

// Commit is one transaction of a client.
type Commit struct {
	ID    gtid.GTID
	since time.Time
	done  chan error
}

// Done delivers the client's answer once: nil is OK. While the commit waits
// for its acknowledgement nothing comes.
func (c *Commit) Done() <-chan error { return c.done }

// Commit runs one transaction of a client on m. The error is what a client is
// told when it is not even let in.
func (m *Mysqld) Commit() (*Commit, error) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	switch {
	case !m.up:
		return nil, mysqlops.ErrRefused
	case m.offline:
		return nil, mysqlops.ErrOffline
	case m.readOnly || m.superReadOnly:
		return nil, mysqlops.ErrReadOnly
	}
	return m.commit(), nil
}

// Kill ends mysqld as SIGKILL does.
func (m *Mysqld) Kill() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.kill()
}

// Boot starts mysqld closed. Crash recovery commits the whole binlog, waiting
// transactions included. Running already is success.
func (m *Mysqld) Boot() {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	if !m.up {
		m.boot()
		m.net.flow()
	}
}

// Rewind cuts from the binlog of a mysqld that is down what the clients were
// never told to be committed, and returns it.
func (m *Mysqld) Rewind() gtid.Set {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	tail := m.binlog.Subtract(m.executed)
	m.binlog = m.executed
	return tail
}

// IsUp reports whether mysqld runs.
func (m *Mysqld) IsUp() bool {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	return m.up
}

// Hang makes every statement run into its deadline, or ends that.
func (m *Mysqld) Hang(on bool) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.hung = on
}

// BlockApplier keeps the applier from getting on, without an error, or lets it
// go again.
func (m *Mysqld) BlockApplier(on bool) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.applierBlocked = on
	m.net.flow()
}

// FailApplier stops the applier with an error.
func (m *Mysqld) FailApplier(number int, message string) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.applier = false
	m.applierError = mysqlops.ChannelError{
		Number:  number,
		Message: message,
		Time:    m.net.now(),
	}
}

// SetVariable makes a setting show another value than dbpair wants, until the
// next start or Open of it with "".
func (m *Mysqld) SetVariable(name, value string) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	switch name {
	case "read_only":
		m.readOnly = value == "ON"
		m.superReadOnly = m.superReadOnly && m.readOnly
	case "super_read_only":
		m.superReadOnly = value == "ON"
		m.readOnly = m.readOnly || m.superReadOnly
	case "offline_mode":
		m.offline = value == "ON"
	default:
		m.drift[name] = value
	}
}

// SetSessions says how many client sessions there are, and how many of them
// pass offline mode.
func (m *Mysqld) SetSessions(clients, privileged int) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.sessions = clients
	m.privileged = privileged
}

// SetPrivilegedAccounts says what PrivilegedAccounts answers.
func (m *Mysqld) SetPrivilegedAccounts(accounts ...mysqlops.PrivilegedAccount) {
	m.net.mu.Lock()
	defer m.net.mu.Unlock()
	m.accounts = accounts
}

// enter takes the lock for one operation. With an error it has let it go.
func (m *Mysqld) enter(ctx context.Context, operation string) error {
	m.net.mu.Lock()
	var err error
	switch {
	case !m.up:
		err = mysqlops.ErrRefused
	case m.hung:
		err = mysqlops.ErrDeadline
	case ctx.Err() != nil:
		err = ctx.Err()
	default:
		return nil
	}
	m.net.mu.Unlock()
	return fmt.Errorf("%s: %w", operation, err)
}

// leave lets everything flow that can, and gives the lock back.
func (m *Mysqld) leave() {
	m.net.flow()
	m.net.mu.Unlock()
}
