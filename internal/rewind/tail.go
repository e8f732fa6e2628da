package rewind

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"strings"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/gtid"
)

// indexName is the list of binlogs in a data directory as dbpair sets it up.
const indexName = "binlog.index"

// Why a tail is not cut. All of them mean: seed the member again instead.
var (
	// ErrNotLast: errant transactions are in a file before the last one, so
	// that mysqld has been started or has rotated since.
	ErrNotLast = errors.New("the tail is not in the last binlog alone")
	// ErrMixed: something that is to stay comes after something errant.
	ErrMixed = errors.New("the tail is mixed with transactions that stay")
	// ErrEncrypted: the binlog can not be read.
	ErrEncrypted = errors.New("the binlog is encrypted")
	// ErrClosed: mysqld ended cleanly, so that the tail is committed.
	ErrClosed = errors.New("the binlog was closed cleanly")
	// ErrForeign: an errant transaction was written by another server.
	ErrForeign = errors.New("the tail has transactions of another server")
	// ErrEngine: an errant transaction is one that InnoDB does not roll back.
	ErrEngine = errors.New("the tail has a transaction that can not be rolled back")
	// ErrDamaged: the binlog is not what a mysqld writes.
	ErrDamaged = errors.New("the binlog is damaged")
)

// IsRefusal reports whether an error of Inspect or Cut says that the tail cannot be cut,
// however often that is tried: not that a file could not be read or written this time.
func IsRefusal(err error) bool {
	for _, refusal := range []error{ErrNotLast, ErrMixed, ErrEncrypted, ErrClosed, ErrForeign, ErrEngine, ErrDamaged} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// Member says whose binlog it is and what of it stays.
type Member struct {
	// BinlogDir has the binlogs and their index; mysqld is down and the caller holds its lock.
	BinlogDir string
	// Server is the UUID of this data directory.
	Server gtid.ServerUUID
	// Keep is the holder's binlog, its waiting commits included. What this
	// member has beyond it is errant.
	Keep gtid.Set
	// Quarantine is the directory that saved tails go to; it is made if missing.
	Quarantine string
}

// Tail is the errant end of a binlog.
type Tail struct {
	// File is the path of the last binlog, Offset where its tail begins and
	// Size the length of the whole file, in bytes.
	File         string
	Offset, Size int64
	// Errant are the transactions of the tail, Transactions their number.
	Errant       gtid.Set
	Transactions int

	// head are the bytes of the events that make any cut readable.
	head []byte
}

// IsEmpty reports whether there is nothing to cut.
func (t Tail) IsEmpty() bool { return t.Transactions == 0 }

// Contents returns all GTIDs of a member's binlogs, purged ones included,
// while mysqld is down.
func Contents(dir string) (gtid.Set, error) {
	files, err := binlogFiles(dir)
	if err != nil {
		return gtid.Set{}, fmt.Errorf("read binlogs: %w", err)
	}
	last, err := scan(files[len(files)-1])
	if err != nil {
		return gtid.Set{}, fmt.Errorf("read binlogs: %w", err)
	}
	set := last.before
	for _, one := range last.transactions {
		set = set.Union(one.id.Set())
	}
	return set, nil
}

// Inspect finds the tail of a member, or says why it can not be cut. It
// changes nothing. A tail without transactions is not an error.
func Inspect(member Member) (Tail, error) {
	tail, err := inspect(member)
	if err != nil {
		return Tail{}, fmt.Errorf("inspect the tail: %w", err)
	}
	return tail, nil
}

func inspect(member Member) (Tail, error) {
	files, err := binlogFiles(member.BinlogDir)
	if err != nil {
		return Tail{}, err
	}
	path := files[len(files)-1]
	content, err := scan(path)
	if err != nil {
		return Tail{}, err
	}
	if early := content.before.Subtract(member.Keep); !early.IsEmpty() {
		return Tail{}, fmt.Errorf("%w: %s", ErrNotLast, early)
	}
	tail := Tail{
		File:   path,
		Offset: content.size,
		Size:   content.size,
		head:   content.head,
	}
	for _, one := range content.transactions {
		errant := !member.Keep.Contains(one.id)
		switch {
		case !errant && !tail.IsEmpty():
			return Tail{}, fmt.Errorf("%w: %s", ErrMixed, one.id)
		case !errant:
			continue
		case one.id.Server != member.Server:
			return Tail{}, fmt.Errorf("%w: %s", ErrForeign, one.id)
		case one.refusal != "":
			return Tail{}, fmt.Errorf("%w: %s: %s", ErrEngine, one.id, one.refusal)
		}
		tail.Offset = min(tail.Offset, one.start)
		tail.Errant = tail.Errant.Union(one.id.Set())
		tail.Transactions++
	}
	if !tail.IsEmpty() && !content.inUse {
		return Tail{}, fmt.Errorf("%w: %s", ErrClosed, filepath.Base(path))
	}
	return tail, nil
}

// transaction is one group of events.
type transaction struct {
	id    gtid.GTID
	start int64
	// begun: BEGIN was seen, so that its end is an event of its own. ended: it
	// was written whole.
	begun, ended bool
	// refusal says why it can not be rolled back; empty when it can.
	refusal string
}

// end notes the event that makes it whole; the first refusal stays.
func (t *transaction) end(refusal string) {
	t.ended = true
	if t.refusal == "" {
		t.refusal = refusal
	}
}

// content is what one binlog holds.
type content struct {
	size         int64
	inUse        bool
	before       gtid.Set
	transactions []transaction
	head         []byte
}

func scan(path string) (content, error) {
	r, err := openBinlog(path)
	if err != nil {
		return content{}, err
	}
	defer r.close()
	found := content{size: r.size, head: plainMagic}
	var checksum bool
	for {
		e, err := r.next()
		if errors.Is(err, io.EOF) {
			found.dropUnfinished()
			return found, nil
		}
		if err != nil {
			return content{}, err
		}
		switch e.kind {
		case replication.FORMAT_DESCRIPTION_EVENT:
			found.inUse = e.flags&replication.LOG_EVENT_BINLOG_IN_USE_F != 0
			found.head = append(found.head[:len(found.head):len(found.head)], e.raw...)
			checksum = hasChecksum(e)
			if _, err := r.decode(e); err != nil {
				return content{}, err
			}
		case replication.PREVIOUS_GTIDS_EVENT:
			found.head = append(found.head[:len(found.head):len(found.head)], e.raw...)
			if found.before, err = PreviousGTIDs(e.raw, checksum); err != nil {
				return content{}, err
			}
		case replication.ANONYMOUS_GTID_EVENT:
			return content{}, fmt.Errorf("%w: a transaction without GTID at %d", ErrDamaged, e.start)
		default:
			if err := found.follow(r, e); err != nil {
				return content{}, err
			}
		}
	}
}

// follow takes one event of a transaction.
func (c *content) follow(r *reader, e event) error {
	isGTID := e.kind == replication.GTID_EVENT || e.kind == replication.GTID_TAGGED_LOG_EVENT
	if isGTID {
		decoded, err := r.decode(e)
		if err != nil {
			return err
		}
		id, err := GTIDOf(decoded)
		if err != nil {
			return err
		}
		c.transactions = append(c.transactions, transaction{id: id, start: e.start})
		return nil
	}
	if len(c.transactions) == 0 {
		return nil // a rotation or stop event, or a heartbeat of the file itself
	}
	one := &c.transactions[len(c.transactions)-1]
	switch e.kind { //nolint:exhaustive // rows say nothing about the end
	case replication.XID_EVENT:
		one.end("")
	case replication.XA_PREPARE_LOG_EVENT:
		one.end(partOfXA)
	case replication.TRANSACTION_PAYLOAD_EVENT:
		decoded, err := r.decode(e)
		if err != nil {
			return err
		}
		one.end(payloadRefusal(decoded))
	case replication.QUERY_EVENT:
		decoded, err := r.decode(e)
		if err != nil {
			return err
		}
		if query, ok := decoded.(*replication.QueryEvent); ok {
			one.statement(query)
		}
	}
	return nil
}

const (
	partOfXA    = "it is a part of an XA transaction"
	otherEngine = "an engine other than InnoDB took part in it"
	notPrepared = "its statement is not prepared in InnoDB"
)

// dropUnfinished forgets a last transaction that was not written whole:
// mysqld's recovery cuts it away itself.
func (c *content) dropUnfinished() {
	if n := len(c.transactions); n > 0 && !c.transactions[n-1].ended {
		c.transactions = c.transactions[:n-1]
	}
}

// statement takes a statement of the binlog: the beginning of a transaction,
// the end of one that InnoDB did not prepare, a part of one, or one that is a
// transaction by itself.
func (t *transaction) statement(query *replication.QueryEvent) {
	text := string(query.Query)
	switch {
	case text == "BEGIN":
		t.begun = true
	case strings.HasPrefix(text, "XA "):
		t.end(partOfXA)
	case t.begun && (text == "COMMIT" || text == "ROLLBACK"):
		t.end(otherEngine)
	case t.begun:
	case hasXID(query.StatusVars):
		t.end("")
	default:
		t.end(notPrepared)
	}
}

func payloadRefusal(decoded replication.Event) string {
	payload, ok := decoded.(*replication.TransactionPayloadEvent)
	if !ok {
		return "its content can not be read"
	}
	for _, inner := range payload.Events {
		if inner.Header.EventType == replication.XID_EVENT {
			return ""
		}
	}
	return otherEngine
}

// statusSizes are the lengths of the fixed-size variables at the head of a
// statement, by code.
var statusSizes = map[byte]int{
	0:  4,
	1:  8,
	3:  4,
	4:  6,
	7:  2,
	8:  2,
	9:  8,
	10: 4,
	13: 3,
	14: 8,
	15: 8,
	16: 1,
	18: 2,
	19: 1,
	20: 1,
}

const (
	statusCatalogNUL = 2
	statusTimeZone   = 5
	statusCatalog    = 6
	statusInvoker    = 11
	statusSchemas    = 12
	statusXID        = 17
)

// hasXID reports whether a statement that changes definitions was logged with
// the number of an InnoDB transaction, so that recovery can roll it back.
func hasXID(vars []byte) bool {
	for len(vars) > 0 {
		code := vars[0]
		vars = vars[1:]
		size, fixed := statusSizes[code]
		switch {
		case code == statusXID:
			return len(vars) >= 8 && binary.LittleEndian.Uint64(vars) != 0
		case fixed:
		case len(vars) == 0:
			return false
		case code == statusTimeZone, code == statusCatalog:
			size = 1 + int(vars[0])
		case code == statusCatalogNUL:
			size = 2 + int(vars[0])
		case code == statusInvoker:
			size = 1 + int(vars[0])
			if size >= len(vars) {
				return false
			}
			size += 1 + int(vars[size])
		case code == statusSchemas:
			size = schemasSize(vars)
		default:
			return false // unknown: not known to be safe
		}
		if size > len(vars) {
			return false
		}
		vars = vars[size:]
	}
	return false
}

func schemasSize(vars []byte) int {
	const tooMany = 254
	if vars[0] == tooMany {
		return 1
	}
	size := 1
	for range vars[0] {
		for size < len(vars) && vars[size] != 0 {
			size++
		}
		size++
	}
	return size
}
