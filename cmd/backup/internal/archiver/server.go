package archiver

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/client"
	"github.com/go-mysql-org/go-mysql/mysql"

	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	// connectTimeout bounds the handshake of one connection, queryTimeout one answer.
	connectTimeout = 10 * time.Second
	queryTimeout   = 30 * time.Second
)

// Member is one server of a pair. Its fields are read for each connection, since certificates
// and passwords are renewed.
type Member struct {
	// Address is HOST:PORT of the admin port.
	Address string
	// Readers is HOST:PORT where the member's agent lets readers of the binary logs through while
	// commits of the member wait for nobody, and ends them before they wait. While the member is open
	// it is read there and only there. Empty if it is not to be read while it is open, which is right
	// if the pair may give up what it has committed.
	Readers string
	User    string
	// Password returns the account's password.
	Password func() (string, error)
	// TLS returns how the server is verified.
	TLS func() (*tls.Config, error)
}

// connect logs in. The connection ends with ctx.
func (m Member) connect(ctx context.Context) (*client.Conn, error) {
	password, err := m.Password()
	if err != nil {
		return nil, err
	}
	config, err := m.TLS()
	if err != nil {
		return nil, err
	}
	conn, err := client.ConnectWithContext(ctx, m.Address, m.User, password, "", connectTimeout, func(c *client.Conn) error {
		c.SetTLSConfig(config)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("connect to %s: %w", m.Address, err)
	}
	context.AfterFunc(ctx, func() { _ = conn.Conn.Conn.Close() })
	return conn, nil
}

// state is what a member says of itself at one moment.
type state struct {
	uuid     gtid.ServerUUID
	open     bool
	executed gtid.Set
	purged   gtid.Set
	// at is a moment up to which it knows what was committed, by its clock.
	at time.Time
	// received is what its receiver has, and whether that is connected. A server without a
	// channel is its own source.
	received  gtid.Set
	receiving bool
	replica   bool
}

// observe asks a member for its state.
func observe(conn *client.Conn) (state, error) {
	_ = conn.SetDeadline(time.Now().Add(queryTimeout))
	defer func() { _ = conn.SetDeadline(time.Time{}) }()
	// The time comes first: what is known later has everything that was committed before it.
	clock, err := conn.Execute("SELECT CAST(TIMESTAMPDIFF(MICROSECOND, '1970-01-01', UTC_TIMESTAMP(6)) AS CHAR)")
	if err != nil {
		return state{}, fmt.Errorf("ask for the time: %w", err)
	}
	var s state
	if err := s.readClock(clock); err != nil {
		return state{}, err
	}
	channels, err := conn.Execute("SHOW REPLICA STATUS")
	if err != nil {
		return state{}, fmt.Errorf("ask for the replica status, which needs REPLICATION CLIENT: %w", err)
	}
	if err := s.readChannels(channels); err != nil {
		return state{}, err
	}
	result, err := conn.Execute("SELECT @@GLOBAL.server_uuid, @@GLOBAL.super_read_only, @@GLOBAL.gtid_executed, @@GLOBAL.gtid_purged")
	if err != nil {
		return state{}, fmt.Errorf("ask for gtid_executed: %w", err)
	}
	return s, s.readVariables(result)
}

// onTheWay is how long a transaction may take from its commit to the passive.
const onTheWay = time.Second

func (s *state) readClock(clock *mysql.Result) error {
	text, err := clock.GetString(0, 0)
	if err != nil {
		return err
	}
	micros, err := strconv.ParseInt(text, 10, 64)
	s.at = time.UnixMicro(micros).UTC().Add(-onTheWay)
	return err
}

func (s *state) readVariables(result *mysql.Result) error {
	var texts [4]string
	for i := range texts {
		var err error
		if texts[i], err = result.GetString(0, i); err != nil {
			return err
		}
	}
	uuid, uuidErr := gtid.ParseServerUUID(texts[0])
	executed, executedErr := gtid.Parse(texts[2])
	purged, purgedErr := gtid.Parse(texts[3])
	if err := errors.Join(uuidErr, executedErr, purgedErr); err != nil {
		return err
	}
	s.uuid = uuid
	s.open = texts[1] == "0"
	s.executed = executed
	s.purged = purged
	return nil
}

func (s *state) readChannels(channels *mysql.Result) error {
	for i := range channels.RowNumber() {
		source, _ := channels.GetStringByName(i, "Source_Host")
		if source == "" {
			continue
		}
		retrieved, err := channels.GetStringByName(i, "Retrieved_Gtid_Set")
		if err != nil {
			return err
		}
		set, err := gtid.Parse(retrieved)
		if err != nil {
			return err
		}
		running, err := channels.GetStringByName(i, "Replica_IO_Running")
		if err != nil {
			return err
		}
		s.replica = true
		s.received = s.received.Union(set)
		s.receiving = running == "Yes"
	}
	return nil
}

// known is everything that a member is known to have, executed or not.
func (s state) known() gtid.Set { return s.executed.Union(s.received) }

// current reports whether what a member has is all there is at that moment.
func (s state) current() bool { return s.open || !s.replica || s.receiving }

// mysqlCode is the number of a server's error, 0 if it is none.
func mysqlCode(err error) uint16 {
	var failure *mysql.MyError
	if errors.As(err, &failure) {
		return failure.Code
	}
	return 0
}

// hostname is what the server shows of its reader.
func hostname(address string) string {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return address
	}
	return strings.TrimSuffix(host, ".")
}
