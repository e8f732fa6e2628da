package sim

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// txnInfo is a transaction: the server that wrote it and its number there.
type txnInfo struct {
	server, number int
	// serverID is that of the member that wrote it, whatever data that member had; zero for a
	// server outside the pair.
	serverID int
	at       time.Duration
	// applies is how long a replica takes for it; zero for an ordinary one.
	applies time.Duration
	// wire is how long it takes from its first event to its last on the wire; zero for an
	// ordinary one, which is there at once.
	wire time.Duration
}

// dataset is a data directory.
type dataset struct {
	server  int
	written int // last number of this server
	// binlog is what the binary logs hold, in order; purged is what they hold no more, or never
	// held; inBinlog are both.
	binlog    []int
	purged    bitset
	inBinlog  bitset
	committed bitset
	relay     []int // received, not applied
	errored   bool  // the applier stopped with an error
	// half is what was received by half, as a set of at most one: the applier has begun it,
	// and owns its GTID and its locks.
	half bitset
	// recent are commits that InnoDB may not have written to its log yet; the binlog has
	// them, so that a crash leaves them prepared.
	recent []commitAt
}

type commitAt struct {
	txn int
	at  time.Duration
}

// crash takes back what was committed in memory only.
func (d *dataset) crash(w *world) {
	for _, c := range d.recent {
		if w.now-c.at < time.Second && w.chance(0.7) {
			d.committed.remove(c.txn)
		}
	}
	d.recent = nil
}

// copy is what a CLONE makes of it: everything that is committed, and no binary log.
func (d *dataset) copy(server int) *dataset {
	return &dataset{
		server:    server,
		purged:    d.committed.clone(),
		inBinlog:  d.committed.clone(),
		committed: d.committed.clone(),
	}
}

// purge removes the first n transactions from the binary logs.
func (d *dataset) purge(n int) {
	for _, t := range d.binlog[:n] {
		d.purged.add(t)
	}
	d.binlog = slices.Clone(d.binlog[n:])
}

// declarePurged is SET GLOBAL gtid_purged = '+…', as a dump of another server has it: the rows are
// here, and their transactions are in no binary log.
func (d *dataset) declarePurged(t int) {
	d.purged.add(t)
	d.inBinlog.add(t)
	d.committed.add(t)
}

// forget takes all transactions away, as RESET BINARY LOGS AND GTIDS does.
func (d *dataset) forget() {
	d.written = 0
	d.binlog = nil
	d.purged = nil
	d.inBinlog = nil
	d.committed = nil
	d.recent = nil
}

func (d *dataset) received() bitset {
	s := d.inBinlog.clone()
	for _, t := range d.relay {
		s.add(t)
	}
	return s
}

// tail are the transactions that are only prepared.
func (d *dataset) tail() []int {
	var out []int
	for _, t := range d.binlog {
		if !d.committed.has(t) {
			out = append(out, t)
		}
	}
	return out
}

// serverUUID is a server's UUID as text.
func serverUUID(n int) string {
	s := strconv.Itoa(n)
	return "00000000-0000-0000-0000-" + strings.Repeat("0", 12-len(s)) + s
}

// gtids writes a set as a server does.
func (w *world) gtids(set bitset) string {
	byServer := map[int][]int{}
	for i, word := range set {
		for bit := 0; word != 0; bit++ {
			if word&1 != 0 {
				t := w.txns[i<<6+bit]
				byServer[t.server] = append(byServer[t.server], t.number)
			}
			word >>= 1
		}
	}
	var b strings.Builder
	for server := 0; len(byServer) > 0; server++ {
		numbers, ok := byServer[server]
		if !ok {
			continue
		}
		delete(byServer, server)
		slices.Sort(numbers)
		if b.Len() > 0 {
			b.WriteByte(',')
		}
		b.WriteString(serverUUID(server))
		for i := 0; i < len(numbers); {
			j := i
			for j+1 < len(numbers) && numbers[j+1] == numbers[j]+1 {
				j++
			}
			b.WriteString(":" + strconv.Itoa(numbers[i]) + "-" + strconv.Itoa(numbers[j]))
			i = j + 1
		}
	}
	return b.String()
}
