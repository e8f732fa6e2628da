package tablesql

import (
	"context"
	"crypto/tls"
	"database/sql"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"
	"testing"

	"github.com/go-sql-driver/mysql"
)

func TestASignatureChangesWithWhatIsCompared(t *testing.T) {
	base := func() *Table { return tableOf(integer("a"), text("b")) }
	want := base().Signature()
	for name, change := range map[string]func(*Table){
		"a column less":   func(t *Table) { t.Columns = t.Columns[:1] },
		"another name":    func(t *Table) { t.Columns[1].Name = "c" },
		"another length":  func(t *Table) { t.Columns[1].FullType = "varchar(9)" },
		"another charset": func(t *Table) { t.Columns[1].Charset = "latin1" },
		"a collation":     func(t *Table) { t.Columns[1].Collation = "utf8mb4_bin" },
		"NULL":            func(t *Table) { t.Columns[1].Nullable = true },
		"no key":          func(t *Table) { t.Key = nil },
		"another key":     func(t *Table) { t.Key = keyOf("PRIMARY", t.Columns[1]) },
	} {
		table := base()
		change(table)
		if table.Signature() == want {
			t.Errorf("%s: the signature is the same", name)
		}
	}
	table := base()
	table.MaxPacket = 1
	table.TableName = TableName{Schema: "other", Name: "t"}
	if table.Signature() != want {
		t.Error("the signature depends on the server or on the table's name")
	}
}

func TestTheCounterIsNoPartOfADefinition(t *testing.T) {
	definition := "CREATE TABLE `t` (\n  `a` int AUTO_INCREMENT=5\n) ENGINE=InnoDB AUTO_INCREMENT=12 DEFAULT CHARSET=utf8mb4"
	want := "CREATE TABLE `t` (\n  `a` int AUTO_INCREMENT=5\n) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4"
	if got := autoIncrement.ReplaceAllString(definition, "$1"); got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

func TestAColumnIsFoundByItsName(t *testing.T) {
	table := tableOf(integer("a"), text("b"))
	if c, found := table.Column("b"); !found || c.Type != "varchar" {
		t.Errorf("b: %v, %v", c, found)
	}
	if c, found := table.Column("c"); found {
		t.Errorf("c is found: %v", c)
	}
}

func TestSchemasOfTheServer(t *testing.T) {
	for name, want := range map[string]bool{
		"mysql":              true,
		"SYS":                true,
		"performance_schema": true,
		"shop":               false,
		"my":                 false,
		"":                   false,
	} {
		if got := IsSystemSchema(name); got != want {
			t.Errorf("%q: %v, want %v", name, got, want)
		}
	}
}

func TestAnApplierStopsAtARowOfATable(t *testing.T) {
	const message = "Could not execute Update_rows event on table s.t; Can't find record in 't', Error_code: 1032"
	for name, tc := range map[string]struct {
		failure Failure
		want    bool
	}{
		"a row that is missing":     {Failure{Number: 1032, Message: message}, true},
		"a row that is there":       {Failure{Number: 1062, Message: message}, true},
		"another error":             {Failure{Number: 1205, Message: message}, false},
		"a row of another table":    {Failure{Number: 1032, Message: strings.Replace(message, "s.t;", "s.t2;", 1)}, false},
		"it has not stopped at all": {Failure{}, false},
	} {
		if got := tc.failure.IsAboutRowOf(TableName{Schema: "s", Name: "t"}); got != tc.want {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestErrorsThatACallerCanActUpon(t *testing.T) {
	server := func(number uint16) error {
		return fmt.Errorf("query: %w", &mysql.MySQLError{Number: number, Message: "m"})
	}
	for name, tc := range map[string]struct {
		err  error
		want error
	}{
		"the definition changed":    {server(1412), ErrTableChanged},
		"the table is gone":         {server(1146), ErrTableChanged},
		"a lock did not come":       {server(1205), ErrLockWait},
		"a deadlock":                {server(1213), ErrLockWait},
		"the statement was killed":  {server(1317), ErrKilled},
		"a right is missing":        {server(1142), ErrDenied},
		"a unique key refuses":      {server(1062), ErrDuplicate},
		"the member is read only":   {server(1290), ErrReadOnly},
		"the session has gone":      {server(1094), ErrNoSuchThread},
		"a syntax error":            {server(1064), nil},
		"the driver lost it":        {driver.ErrBadConn, ErrKilled},
		"the connection is invalid": {mysql.ErrInvalidConn, ErrKilled},
		"nobody listens":            {&net.OpError{Op: "dial", Err: syscall.ECONNREFUSED}, ErrKilled},
		"a reset":                   {fmt.Errorf("read: %w", syscall.ECONNRESET), ErrKilled},
		"the caller gave up":        {context.Canceled, nil},
		"the caller's time is over": {context.DeadlineExceeded, nil},
		"no row":                    {sql.ErrNoRows, nil},
		"anything else":             {io.ErrShortBuffer, nil},
	} {
		if got := classify(tc.err); !errors.Is(got, tc.want) {
			t.Errorf("%s: %v, want %v", name, got, tc.want)
		}
	}
}

func TestAnErrorNamesTheActAndTheMember(t *testing.T) {
	member := &Member{Endpoint: Endpoint{Member: "shop-1"}}
	cause := &mysql.MySQLError{Number: 1205, Message: "m"}
	err := member.fail("read", cause)
	if !errors.Is(err, ErrLockWait) || !errors.Is(err, cause) || !strings.HasPrefix(err.Error(), "read on shop-1: ") {
		t.Errorf("%v", err)
	}
	if err := member.fail("read", io.EOF); !errors.Is(err, io.EOF) || !strings.HasPrefix(err.Error(), "read on shop-1: ") {
		t.Errorf("%v", err)
	}
	if err := member.fail("read", nil); err != nil {
		t.Errorf("no error: %v", err)
	}
}

func TestAnEndpointIsWhole(t *testing.T) {
	whole := func() Endpoint {
		return Endpoint{
			Member: "shop-0",
			Addr:   "127.0.0.1:33062",
			User:   "u",
			TLS:    &tls.Config{MinVersion: tls.VersionTLS13},
		}
	}
	if err := whole().Validate(); err != nil {
		t.Error(err)
	}
	for says, change := range map[string]func(*Endpoint){
		"without member":  func(e *Endpoint) { e.Member = "" },
		"without address": func(e *Endpoint) { e.Addr = "" },
		"without user":    func(e *Endpoint) { e.User = "" },
		"without TLS":     func(e *Endpoint) { e.TLS = nil },
	} {
		e := whole()
		change(&e)
		if _, err := Connect(e, "test"); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q in it", err, says)
		}
	}
}
