package harness

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/go-mysql-org/go-mysql/replication"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// Commits are the transactions in a member's binlogs, read from its volume: mysqld is
// not asked, so this works for a closed member as well.
func (p *Pair) Commits(ctx context.Context, member string) ([]history.Commit, error) {
	// The container's environment says where the binary logs have a volume of their own.
	const cd = "cd ${" + agentapi.EnvBinlogDir + ":-" + agentapi.DataDir + "}/mysql && "
	index, err := p.Exec(ctx, p.Namespace, member, resources.ContainerMysqld, "sh", "-c", cd+"cat binlog.index")
	if err != nil {
		return nil, fmt.Errorf("commits of %s: %w", member, err)
	}
	var commits []history.Commit
	for _, name := range strings.Fields(index) {
		var raw bytes.Buffer
		if err := p.ExecTo(ctx, &raw, p.Namespace, member, resources.ContainerMysqld, "sh", "-c", cd+`exec cat "$0"`, name); err != nil {
			return nil, fmt.Errorf("commits of %s: %w", member, err)
		}
		list, err := parseBinlog(raw.Bytes())
		if err != nil {
			return nil, fmt.Errorf("commits of %s: %s: %w", member, name, err)
		}
		commits = append(commits, list...)
	}
	if len(commits) == 0 {
		return nil, fmt.Errorf("commits of %s: no transaction in %q", member, strings.Fields(index))
	}
	return commits, nil
}

// errCut ends the reading of a file whose last event is still being written.
var errCut = errors.New("the last event is not complete")

func parseBinlog(raw []byte) ([]history.Commit, error) {
	const magic = 4
	if len(raw) < magic || !bytes.Equal(raw[:magic], replication.BinLogFileHeader) {
		return nil, errors.New("not a binlog, or an encrypted one")
	}
	parser := replication.NewBinlogParser()
	parser.SetVerifyChecksum(false)
	parser.SetRawMode(false)
	var commits []history.Commit
	offset := magic
	for offset < len(raw) {
		size, err := eventSize(raw[offset:])
		if errors.Is(err, errCut) {
			break
		}
		if err != nil {
			return nil, err
		}
		kind := replication.EventType(raw[offset+4])
		if wanted(kind) {
			event, err := parser.Parse(raw[offset : offset+size])
			if err != nil {
				return nil, fmt.Errorf("event at %d: %w", offset, err)
			}
			if c, ok := commitOf(event.Event); ok {
				commits = append(commits, c)
			}
		}
		offset += size
	}
	return commits, nil
}

func eventSize(raw []byte) (int, error) {
	if len(raw) < replication.EventHeaderSize {
		return 0, errCut
	}
	var header replication.EventHeader
	if err := header.Decode(raw); err != nil {
		return 0, err
	}
	if int(header.EventSize) > len(raw) {
		return 0, errCut
	}
	return int(header.EventSize), nil
}

func wanted(kind replication.EventType) bool {
	switch kind {
	case replication.FORMAT_DESCRIPTION_EVENT, replication.GTID_EVENT, replication.GTID_TAGGED_LOG_EVENT:
		return true
	default:
		return false
	}
}

func commitOf(event replication.Event) (history.Commit, bool) {
	var gtid *replication.GTIDEvent
	switch e := event.(type) {
	case *replication.GTIDEvent:
		gtid = e
	case *replication.GtidTaggedLogEvent:
		gtid = &e.GTIDEvent
	default:
		return history.Commit{}, false
	}
	const uuidLength = 16
	if len(gtid.SID) != uuidLength {
		return history.Commit{}, false
	}
	id := gtid.SID
	server := fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	at := gtid.OriginalCommitTimestamp
	if at == 0 { // the statements that mysqlbinlog makes of a transaction leave it out
		at = gtid.ImmediateCommitTimestamp
	}
	return history.Commit{
		Server: server,
		GNO:    gtid.GNO,
		At:     time.UnixMicro(int64(at)),
	}, true
}
