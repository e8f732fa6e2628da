package main

import (
	"context"
	"crypto/x509"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/go-sql-driver/mysql"

	"github.com/dbpair/dbpair/internal/resources"
	"github.com/dbpair/dbpair/test/e2e/history"
)

// goProgram is the name of the pool of database/sql.
const goProgram = "Go database/sql"

// startGo makes the table of all programs and begins n workers on one pool, which asks for another
// connection by itself when it finds one closed before anything was sent on it.
func (l *load) startGo(ctx context.Context, n int) error {
	db, err := openPool(n)
	if err != nil {
		return err
	}
	_, err = db.ExecContext(ctx, `CREATE TABLE IF NOT EXISTS programs_writes (id BIGINT AUTO_INCREMENT PRIMARY KEY,
		program VARCHAR(40) NOT NULL, worker INT NOT NULL, n INT NOT NULL) ENGINE=InnoDB`)
	if err != nil {
		return errors.Join(fmt.Errorf("create table: %w", err), db.Close())
	}
	context.AfterFunc(ctx, func() { _ = db.Close() })
	for number := range n {
		w := worker{program: goProgram, number: number}
		l.running.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				l.record.begin(w)
				step, err := poolTransaction(db, w, round)
				if err == nil {
					l.record.end(w, "", "")
					time.Sleep(l.pause)
					continue
				}
				l.record.end(w, step, codeOf(err))
				time.Sleep(retryPause)
			}
		})
	}
	return nil
}

func openPool(n int) (*sql.DB, error) {
	dsn, err := os.ReadFile(filepath.Join(resources.AppDir, resources.KeyGo))
	if err != nil {
		return nil, fmt.Errorf("read the DSN: %w", err)
	}
	config, err := mysql.ParseDSN(string(dsn))
	if err != nil {
		return nil, fmt.Errorf("parse the DSN: %w", err)
	}
	ca, err := os.ReadFile(filepath.Join(resources.AppDir, resources.KeyCA))
	if err != nil {
		return nil, fmt.Errorf("read the CA: %w", err)
	}
	config.Logger = &mysql.NopLogger{}
	config.TLS.RootCAs = x509.NewCertPool()
	config.TLS.RootCAs.AppendCertsFromPEM(ca)
	connector, err := mysql.NewConnector(config)
	if err != nil {
		return nil, fmt.Errorf("connector: %w", err)
	}
	db := sql.OpenDB(connector)
	db.SetMaxOpenConns(n)
	db.SetMaxIdleConns(n)
	return db, nil
}

// poolTransaction is one of some milliseconds. Not the run's context: its end breaks nothing off, and
// the DSN has time limits.
func poolTransaction(db *sql.DB, w worker, n int) (history.Step, error) {
	tx, err := db.Begin()
	if err != nil {
		return beginStep(err), err
	}
	for _, statement := range statements(w, n)[1:3] {
		if _, err := tx.Exec(statement); err != nil {
			return history.StepMiddle, errors.Join(err, tx.Rollback())
		}
	}
	return history.StepMiddle, tx.Commit()
}

// beginStep tells a connection that could not be made from one that was closed.
func beginStep(err error) history.Step {
	if errors.Is(err, mysql.ErrInvalidConn) {
		return history.StepBegin
	}
	return history.StepConnect
}

func codeOf(err error) string {
	if refused, ok := errors.AsType[*mysql.MySQLError](err); ok {
		return fmt.Sprintf("%d %s", refused.Number, "MySQLError")
	}
	return err.Error()
}
