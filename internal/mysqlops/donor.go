package mysqlops

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/go-sql-driver/mysql"
)

// Why a server outside of the pair cannot be copied.
var (
	// ErrDonorUnreachable: nobody answers at the address.
	ErrDonorUnreachable = errors.New("the donor cannot be reached")
	// ErrDonorCertificate: the donor has no TLS, or a certificate of another authority.
	ErrDonorCertificate = errors.New("the donor's certificate is not accepted")
	// ErrDonorDenied: the account does not exist, has another password or lacks a right.
	ErrDonorDenied = errors.New("the donor refuses the account")
	// ErrDonorSeries: the donor is another series of MySQL, or no MySQL.
	ErrDonorSeries = errors.New("the donor is of another series")
	// ErrDonorPlugin: the donor's clone plugin is not active.
	ErrDonorPlugin = errors.New("the donor has no clone plugin")
	// ErrDonorEngines: the donor has tables whose rows a clone leaves out.
	ErrDonorEngines = errors.New("the donor has tables of other engines")
	// ErrDonorSettings: a setting that counts when data is made differs.
	ErrDonorSettings = errors.New("the donor was made with other settings")
)

const (
	// donorTimeout bounds the look at a donor.
	donorTimeout = 15 * time.Second
	// enginesTimeout bounds the look at a copy, which may have very many tables.
	enginesTimeout = 2 * time.Minute
)

// CheckDonor looks whether a server outside of the pair can be copied into this member, and
// says with one of the errors ErrDonor* why it cannot. It changes nothing, blocks for 15
// seconds at most and is idempotent. Tables that the donor's account may not see it does not
// find: CheckEngines finds them in the copy.
func (s *Server) CheckDonor(ctx context.Context, donor Donor) error {
	ctx, cancel := context.WithTimeout(ctx, donorTimeout)
	defer cancel()
	cfg, err := donorConfig(donor)
	if err != nil {
		return err
	}
	connector, err := mysql.NewConnector(cfg)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDonorUnreachable, err)
	}
	pool := sql.OpenDB(connector)
	defer pool.Close()
	conn, err := pool.Conn(ctx)
	if err != nil {
		return donorFailure(err)
	}
	defer conn.Close()
	own, err := s.birth(ctx)
	if err != nil {
		return err
	}
	if err := compareBirth(ctx, conn, own); err != nil {
		return donorFailure(err)
	}
	tables, err := otherEngines(ctx, conn)
	if err != nil {
		return donorFailure(err)
	}
	return enginesError(tables)
}

// CheckEngines says with ErrDonorEngines which tables of this member, which was copied from a
// server outside of the pair, have lost their rows: a clone leaves out those of other engines.
func (s *Server) CheckEngines(ctx context.Context) error {
	var tables []string
	err := s.within(ctx, s.pool, enginesTimeout, func(ctx context.Context, conn *sql.Conn) (err error) {
		tables, err = otherEngines(ctx, conn)
		return err
	})
	if err != nil {
		return wrap("look for tables of other engines", err)
	}
	return enginesError(tables)
}

func donorConfig(donor Donor) (*mysql.Config, error) {
	cfg := mysql.NewConfig()
	cfg.Net = "tcp"
	cfg.Addr = net.JoinHostPort(donor.Host, strconv.Itoa(donor.Port))
	cfg.User = donor.User
	cfg.Passwd = donor.Password.Reveal()
	cfg.Timeout = donorTimeout / 3
	cfg.ReadTimeout = donorTimeout
	cfg.Logger = &mysql.NopLogger{}
	if donor.NoTLS {
		return cfg, nil
	}
	verify, err := donorVerifier(donor.TLS.CA)
	if err != nil {
		return nil, err
	}
	cfg.TLS = &tls.Config{
		MinVersion: tls.VersionTLS12,
		// The chain is verified below, and as by mysqld not the name.
		InsecureSkipVerify: true, //nolint:gosec // see above
		VerifyConnection:   verify,
	}
	return cfg, nil
}

// donorVerifier verifies by the certificates in a file; without one it accepts any.
func donorVerifier(file string) (func(tls.ConnectionState) error, error) {
	if file == "" {
		return func(tls.ConnectionState) error { return nil }, nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrDonorCertificate, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%w: the authority to verify it by holds no certificate in PEM", ErrDonorCertificate)
	}
	return func(state tls.ConnectionState) error { return verifyChain(state, pool) }, nil
}

// verifyChain verifies by whom a certificate was issued and not for whom, as mysqld does when
// it clones.
func verifyChain(state tls.ConnectionState, roots *x509.CertPool) error {
	if len(state.PeerCertificates) == 0 {
		return fmt.Errorf("%w: it has none", ErrDonorCertificate)
	}
	between := x509.NewCertPool()
	for _, one := range state.PeerCertificates[1:] {
		between.AddCert(one)
	}
	_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: roots, Intermediates: between})
	if err != nil {
		return fmt.Errorf("%w: %w", ErrDonorCertificate, err)
	}
	return nil
}

// donorFailure gives an error of the connection its meaning.
func donorFailure(err error) error {
	number := errorNumber(err)
	switch {
	case errors.Is(err, ErrDonorCertificate), errors.Is(err, ErrDonorSeries), errors.Is(err, ErrDonorPlugin), errors.Is(err, ErrDonorSettings):
		return err
	case errors.Is(err, mysql.ErrNoTLS):
		return fmt.Errorf("%w: it does not offer TLS", ErrDonorCertificate)
	case number == errHostNotAllowed, number == errSecureTransport, errors.Is(serverErrors[number], ErrAccessDenied):
		return fmt.Errorf("%w: %w", ErrDonorDenied, err)
	case number != 0:
		return fmt.Errorf("the donor answers: %w", err)
	}
	return fmt.Errorf("%w: %w", ErrDonorUnreachable, err)
}

// birth is what the data of a server was made with and by.
type birth struct {
	version   string
	lowerCase int
	pageSize  int64
}

const birthQuery = "SELECT VERSION(), @@GLOBAL.lower_case_table_names, @@GLOBAL.innodb_page_size"

func (s *Server) birth(ctx context.Context) (own birth, err error) {
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		return conn.QueryRowContext(ctx, birthQuery).Scan(&own.version, &own.lowerCase, &own.pageSize)
	})
	return own, wrap("read own version", err)
}

// compareBirth looks whether a donor can be cloned into a member with this birth. Of another
// series nothing but its version is read: it may not have the rest.
func compareBirth(ctx context.Context, conn *sql.Conn, own birth) error {
	var its birth
	if err := conn.QueryRowContext(ctx, "SELECT VERSION()").Scan(&its.version); err != nil {
		return err
	}
	if err := own.otherSeries(its); err != nil {
		return err
	}
	if err := conn.QueryRowContext(ctx, birthQuery).Scan(&its.version, &its.lowerCase, &its.pageSize); err != nil {
		return err
	}
	if err := own.otherSettings(its); err != nil {
		return err
	}
	var state string
	err := conn.QueryRowContext(ctx, "SELECT PLUGIN_STATUS FROM information_schema.PLUGINS WHERE PLUGIN_NAME = 'clone'").Scan(&state)
	if errors.Is(err, sql.ErrNoRows) || (err == nil && state != "ACTIVE") {
		return fmt.Errorf("%w that is active: run INSTALL PLUGIN clone SONAME 'mysql_clone.so' there", ErrDonorPlugin)
	}
	return err
}

// otherSeries says that a donor is of another series; nil when it is of the same.
func (own birth) otherSeries(its birth) error {
	if strings.Contains(its.version, "MariaDB") || seriesOf(its.version) != seriesOf(own.version) {
		return fmt.Errorf("%w: it is %s and this member is MySQL %s; a clone needs the same series on both: set spec.mysql.image accordingly",
			ErrDonorSeries, its.version, own.version)
	}
	return nil
}

// otherSettings says which setting of a donor's data differs; nil for none.
func (own birth) otherSettings(its birth) error {
	if its.lowerCase != own.lowerCase {
		return fmt.Errorf("%w: lower_case_table_names is %d there and %d here: set it in spec.mysql.config",
			ErrDonorSettings, its.lowerCase, own.lowerCase)
	}
	if its.pageSize != own.pageSize {
		return fmt.Errorf("%w: innodb_page_size is %d there and %d here: set it in spec.mysql.config",
			ErrDonorSettings, its.pageSize, own.pageSize)
	}
	return nil
}

// seriesOf is the part of a version within which servers can be cloned, such as 8.4.
func seriesOf(version string) string {
	parts := strings.SplitN(version, ".", 3)
	return strings.Join(parts[:min(len(parts), 2)], ".")
}

// otherEngines are the user's tables that are not InnoDB's.
func otherEngines(ctx context.Context, conn *sql.Conn) (tables []string, err error) {
	rows, err := conn.QueryContext(ctx, `SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
		WHERE TABLE_TYPE = 'BASE TABLE' AND ENGINE <> 'InnoDB'
		AND TABLE_SCHEMA NOT IN ('mysql', 'sys', 'performance_schema', 'information_schema')
		ORDER BY TABLE_SCHEMA, TABLE_NAME`)
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.Close() }()
	err = eachRow(rows, func() error {
		var schema, table, engine string
		err := rows.Scan(&schema, &table, &engine)
		tables = append(tables, fmt.Sprintf("%s.%s (%s)", schema, table, engine))
		return err
	})
	return tables, err
}

func enginesError(tables []string) error {
	const most = 5
	if len(tables) == 0 {
		return nil
	}
	named := strings.Join(tables[:min(len(tables), most)], ", ")
	if len(tables) > most {
		named += fmt.Sprintf(" and %d more", len(tables)-most)
	}
	return fmt.Errorf("%w, whose rows a clone leaves out: %s; convert them there: ALTER TABLE … ENGINE=InnoDB", ErrDonorEngines, named)
}
