package source

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/mysql"
	"github.com/go-mysql-org/go-mysql/server"

	"github.com/dbpair/dbpair/cmd/backup/internal/binlog"
	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	defaultHeartbeat  = 10 * time.Second
	shortestHeartbeat = 100 * time.Millisecond
	// errUnknownVariable is MySQL's number for a variable that the server does not have.
	errUnknownVariable = 1193
	// errDump is MySQL's number for a dump that cannot go on.
	errDump = 1236
)

// settings are what a receiver has asked for before its dump.
type settings struct {
	heartbeat time.Duration
	// semiSync receivers expect a header of two bytes before each event.
	semiSync bool
}

// receiver answers the statements of one connection: those by which a replica gets to know its
// source.
type receiver struct {
	server.EmptyHandler

	source Source
	ctx    context.Context
	conn   *server.Conn
	asked  settings
	// done is that the dump has ended, and the connection with it.
	done bool
}

var (
	heartbeatPattern = regexp.MustCompile(`(?i)@source_heartbeat_period\s*=\s*([0-9]+)`)
	semiSyncPattern  = regexp.MustCompile(`(?i)@rpl_semi_sync_(?:replica|slave)\s*=\s*1`)
	variablePattern  = regexp.MustCompile(`(?i)^SELECT\s+(@@?[a-z0-9_.]+)\s*;?$`)
)

// UseDB implements server.Handler.
func (r *receiver) UseDB(string) error { return nil }

// HandleQuery implements server.Handler.
func (r *receiver) HandleQuery(query string) (*mysql.Result, error) {
	query = strings.TrimSpace(query)
	if len(query) > 3 && strings.EqualFold(query[:4], "SET ") {
		r.set(query)
		return nil, nil
	}
	if strings.EqualFold(query, "SELECT UNIX_TIMESTAMP()") {
		return row(query, strconv.FormatInt(time.Now().Unix(), 10))
	}
	found := variablePattern.FindStringSubmatch(query)
	if found == nil {
		return nil, mysql.NewError(mysql.ER_UNKNOWN_ERROR, "this is an archive of binary logs, not a server")
	}
	value, ok := r.variable(strings.ToLower(found[1]))
	if !ok {
		return nil, mysql.NewError(errUnknownVariable, "Unknown system variable '"+strings.TrimPrefix(found[1], "@@global.")+"'")
	}
	return row(found[1], value)
}

func row(name, value string) (*mysql.Result, error) {
	set, err := mysql.BuildSimpleTextResultset([]string{name}, [][]any{{value}})
	if err != nil {
		return nil, err
	}
	return mysql.NewResult(set), nil
}

func (r *receiver) set(query string) {
	if found := heartbeatPattern.FindStringSubmatch(query); found != nil {
		if nanoseconds, err := strconv.ParseInt(found[1], 10, 64); err == nil && nanoseconds > 0 {
			r.asked.heartbeat = max(time.Duration(nanoseconds), shortestHeartbeat)
		}
	}
	if semiSyncPattern.MatchString(query) {
		r.asked.semiSync = true
	}
}

// variable is what a replica asks its source for. It has no semi-sync: a receiver that asks
// goes on without.
func (r *receiver) variable(name string) (string, bool) {
	switch strings.TrimPrefix(name, "@@global.") {
	case "server_id", "@@server_id":
		return strconv.FormatUint(serverID, 10), true
	case "server_uuid", "@@server_uuid":
		return string(r.source.UUID), true
	case "gtid_mode", "@@gtid_mode":
		return "ON", true
	case "gtid_executed", "@@gtid_executed":
		return r.source.Cut.Through.String(), true
	case "version", "@@version":
		return r.source.Version, true
	case "@source_binlog_checksum", "@master_binlog_checksum":
		// What comes before the first format description has one.
		return "CRC32", true
	}
	return "", false
}

// HandleOtherCommand implements server.Handler.
func (r *receiver) HandleOtherCommand(command byte, data []byte) error {
	switch command {
	case mysql.COM_REGISTER_SLAVE:
		return nil
	case mysql.COM_BINLOG_DUMP_GTID:
		err := r.dump(data)
		r.done = true
		if r.source.Served != nil {
			r.source.Served(err)
		}
		return mysql.NewError(errDump, err.Error())
	case mysql.COM_BINLOG_DUMP:
		return mysql.NewError(errDump, "an archive has no files: use SOURCE_AUTO_POSITION = 1")
	}
	return mysql.NewError(mysql.ER_UNKNOWN_ERROR, fmt.Sprintf("command %d is not served: this is an archive of binary logs", command))
}

// dump sends what the receiver lacks, then heartbeats. It returns why that ended, never nil.
func (r *receiver) dump(data []byte) error {
	if r.source.Archive == nil {
		return errors.New("there is nothing to replay")
	}
	have, err := parseDump(data)
	if err != nil {
		return err
	}
	if err := r.source.Cut.Start(have); err != nil {
		return fmt.Errorf("the archive cannot bring this server to the target: %w", err)
	}
	out := newSender(r.conn, r.asked)
	defer r.resume(out)
	if err := out.rotate(); err != nil {
		return err
	}
	if err := r.source.Archive.Replay(r.ctx, r.source.Cut, have, out); err != nil {
		return err
	}
	if err := out.flush(); err != nil {
		return err
	}
	if r.source.Sent != nil {
		r.source.Sent()
	}
	return out.heartbeats(r.ctx)
}

// resume lets the connection say why a dump has ended. Inside an event there is no place for
// that: then the connection ends.
func (r *receiver) resume(out *sender) {
	r.conn.Sequence = out.sequence
	if out.left > 0 || out.flush() != nil {
		_ = r.conn.Conn.Conn.Close()
	}
}

// parseDump reads what a receiver has out of COM_BINLOG_DUMP_GTID.
func parseDump(data []byte) (gtid.Set, error) {
	const flags, id, length, position = 2, 4, 4, 8
	malformed := fmt.Errorf("%w: COM_BINLOG_DUMP_GTID of %d bytes", binlog.ErrMalformed, len(data))
	if len(data) < flags+id+length {
		return gtid.Set{}, malformed
	}
	name := uint64(binary.LittleEndian.Uint32(data[flags+id:]))
	data = data[flags+id+length:]
	if uint64(len(data)) < name+position+length {
		return gtid.Set{}, malformed
	}
	data = data[name+position:]
	size := binary.LittleEndian.Uint32(data)
	data = data[length:]
	if uint64(len(data)) < uint64(size) {
		return gtid.Set{}, malformed
	}
	return binlog.DecodeSet(data[:size])
}
