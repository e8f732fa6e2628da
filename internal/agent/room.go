package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agentapi"
)

const (
	// adminUsual is how many connections at the admin port are the pair's own: the peer's
	// receiver and its clone, Jobs, and people.
	adminUsual = 16
	// roomStep is what the limit is raised by at a time, so that it stays above the number of
	// connections until the next look.
	roomStep = 256
	// roomMost bounds how far the limit is raised: each connection is a thread of mysqld
	// and takes some hundred kilobytes.
	roomMost = 4096
	// roomLinger is how long the limit stays raised after the crowd has gone.
	roomLinger = time.Minute
	roomPeriod = time.Second
)

// adminRoom keeps a crowd at the admin port from taking the room of clients. mysqld
// accepts any number of connections there and counts each for max_connections, from before
// it has logged in; at the limit it refuses clients, and root on the socket
// (Connection_handler_manager::check_and_incr_conn_count). So max_connections is raised by
// what is connected to the admin port beyond the usual, and set back afterwards.
type adminRoom struct {
	// limit reads mysqld's max_connections, and setLimit sets it.
	limit    func(context.Context) (int, error)
	setLimit func(context.Context, int) error
	// connected is how many connections the admin port has.
	connected func() (int, error)

	own       int // the limit without the addition
	added     int // 0 when the limit is as it was configured
	lastCrowd time.Time
}

// look raises or lowers the limit as the connections demand. It reports what is added now.
func (r *adminRoom) look(ctx context.Context, now time.Time) (added, connected int, err error) {
	connected, err = r.connected()
	if err != nil {
		return r.added, 0, err
	}
	wanted := roomFor(connected)
	if wanted == 0 && r.added == 0 {
		return 0, connected, nil
	}
	if wanted > 0 {
		r.lastCrowd = now
	}
	current, err := r.limit(ctx)
	if err != nil {
		return r.added, connected, err
	}
	if current != r.own+r.added {
		// It was set by another hand, or mysqld is another one: that is the limit now.
		r.own = current
		r.added = 0
	}
	if now.Sub(r.lastCrowd) < roomLinger {
		wanted = max(wanted, r.added)
	}
	if wanted == r.added {
		return r.added, connected, nil
	}
	if err := r.setLimit(ctx, r.own+wanted); err != nil {
		return r.added, connected, err
	}
	r.added = wanted
	return wanted, connected, nil
}

// roomFor is what so many connections at the admin port are to be added to the limit.
func roomFor(connected int) int {
	if connected <= adminUsual {
		return 0
	}
	return min((connected/roomStep+2)*roomStep, roomMost)
}

// roomGuard runs an adminRoom and publishes a crowd.
type roomGuard struct {
	log    logr.Logger
	mysqld *instance
	state  *board
	room   *adminRoom

	added int // at the last look
}

// run looks at the admin port as long as ctx lasts.
func (g *roomGuard) run(ctx context.Context) {
	every(ctx, roomPeriod, func() {
		if g.mysqld.isUp() {
			g.look(ctx, time.Now())
		}
	})
}

func (g *roomGuard) look(ctx context.Context, now time.Time) {
	added, connected, err := g.room.look(ctx, now)
	if err != nil {
		g.log.V(1).Info("cannot see to the room of clients", "reason", err.Error())
		return
	}
	if added == g.added {
		return
	}
	g.added = added
	g.log.Info("max_connections follows the connections at the admin port", "added", added, "connections", connected)
	if added == 0 {
		g.state.resolve(agentapi.ProblemAdminCrowded)
		return
	}
	g.state.problem(agentapi.ProblemAdminCrowded, fmt.Sprintf("%d connections are at mysqld's admin port, which only the pair needs; "+
		"max_connections is raised by %d meanwhile, so that clients and root find room; see that the cluster's CNI enforces the pair's "+
		"NetworkPolicy; SHOW PROCESSLIST as root names the hosts that connect", connected, added))
}

// establishedAt counts the established TCP connections of this network namespace whose own
// port is this one.
func establishedAt(port int) (int, error) {
	count := 0
	for _, table := range []string{"/proc/self/net/tcp", "/proc/self/net/tcp6"} {
		n, err := establishedIn(table, port)
		if err != nil && !errors.Is(err, fs.ErrNotExist) { // there may be no IPv6
			return 0, err
		}
		count += n
	}
	return count, nil
}

// establishedIn reads one of the kernel's tables, proc_net_tcp(5): address and port in
// hexadecimal, and the state, of which 01 is established.
func establishedIn(table string, port int) (int, error) {
	file, err := os.Open(table)
	if err != nil {
		return 0, err
	}
	defer file.Close()
	const established = "01"
	suffix := ":" + strings.ToUpper(fmt.Sprintf("%04s", strconv.FormatInt(int64(port), 16)))
	count := 0
	lines := bufio.NewScanner(file)
	for lines.Scan() {
		fields := strings.Fields(lines.Text())
		if len(fields) > 3 && strings.HasSuffix(fields[1], suffix) && fields[3] == established {
			count++
		}
	}
	return count, lines.Err()
}
