package mysqlops

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"
)

func (s *Server) cloneFrom(ctx context.Context, donor Donor, progress func(CloneProgress)) error {
	const operation = "clone"
	statement, settings, err := cloneStatements(donor)
	if err != nil {
		return wrap(operation, err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	conn, err := s.pool.Conn(ctx)
	if err != nil {
		return wrap(operation, err)
	}
	defer conn.Close()
	// A clone first drops the recipient's schemas, in this session, which
	// super_read_only refuses. read_only and offline mode stay, and the start
	// afterwards is closed by its command line.
	if err := execEach(ctx, conn, append(settings, "SET GLOBAL super_read_only = OFF", "SET GLOBAL read_only = ON")...); err != nil {
		return wrap(operation, errors.Join(err, s.closeAfterClone(ctx)))
	}
	if progress != nil {
		done := make(chan struct{})
		defer func() { cancel(); <-done }()
		go func() {
			defer close(done)
			s.followClone(ctx, progress)
		}()
	}
	_, err = conn.ExecContext(ctx, statement)
	if err = cloneResult(ctx, err); err != nil {
		return errors.Join(wrap(operation, err), s.closeAfterClone(ctx))
	}
	return nil
}

func (s *Server) closeAfterClone(ctx context.Context) error {
	err := s.execAll(context.WithoutCancel(ctx), "close after a failed clone", "SET GLOBAL super_read_only = ON")
	if errors.Is(err, ErrRefused) || errors.Is(err, ErrConnectionLost) {
		return nil // mysqld is gone and starts closed
	}
	return err
}

// cloneResult tells a finished clone from a failed one: at its end mysqld goes
// down, which the session sees as error 3707 or as its own end.
func cloneResult(ctx context.Context, err error) error {
	number := errorNumber(err)
	switch {
	case err == nil, number == errRestartRefused:
		return nil
	case ctx.Err() != nil:
		return preferContext(ctx, err)
	case errors.Is(serverErrors[number], ErrClone) && strings.Contains(err.Error(), "BACKUP_ADMIN"):
		return fmt.Errorf("%w: %w: %s", ErrDonorDenied, ErrClone, err.Error())
	case errors.Is(serverErrors[number], ErrClone):
		// The plugin's own errors quote the donor's, never the statement.
		return fmt.Errorf("%w: %s", ErrClone, err.Error())
	case number != 0:
		return fmt.Errorf("%w: %w", ErrClone, wrapSecret("statement", err))
	case errors.Is(classify(err), ErrConnectionLost):
		// The session ends with mysqld. Whether the copy is whole shows after
		// the restart, by the caller's own checks.
		return nil
	}
	return err
}

func cloneStatements(donor Donor) (clone string, settings []string, err error) {
	for _, setting := range []struct{ name, value string }{
		{"clone_valid_donor_list", fmt.Sprintf("%s:%d", donor.Host, donor.Port)},
		{"clone_ssl_ca", donor.TLS.CA},
		{"clone_ssl_cert", donor.TLS.Cert},
		{"clone_ssl_key", donor.TLS.Key},
	} {
		value, err := quote(setting.value)
		if err != nil {
			return "", nil, fmt.Errorf("%s: %w", setting.name, err)
		}
		settings = append(settings, "SET GLOBAL "+setting.name+" = "+value)
	}
	if donor.MaxBandwidth > 0 {
		// The recipient's setting counts; the donor's does nothing to a copy that is made elsewhere.
		settings = append(settings, fmt.Sprintf("SET GLOBAL clone_max_network_bandwidth = %d", max(1, donor.MaxBandwidth>>20)))
	}
	if donor.Recorded {
		// It resumes nothing either: mysqld would try to for five minutes, and then begin again anyway.
		settings = append(settings, "SET GLOBAL clone_autotune_concurrency = OFF", "SET GLOBAL clone_max_concurrency = 1",
			"SET GLOBAL clone_donor_timeout_after_network_failure = 0")
	}
	account, err := Account{donor.User, donor.Host}.quoted()
	if err != nil {
		return "", nil, err
	}
	password, err := quote(donor.Password.Reveal())
	if err != nil {
		return "", nil, fmt.Errorf("password: %w", err)
	}
	secured := "SSL"
	if donor.NoTLS {
		secured = "NO SSL"
	}
	return fmt.Sprintf("CLONE INSTANCE FROM %s:%d IDENTIFIED BY %s REQUIRE %s", account, donor.Port, password, secured), settings, nil
}

func (s *Server) followClone(ctx context.Context, progress func(CloneProgress)) {
	for {
		if pause(ctx, time.Second) != nil {
			return
		}
		if state, err := s.cloneState(ctx); err == nil && state.Stage != "" {
			progress(state)
		}
	}
}

func (s *Server) cloneState(ctx context.Context) (CloneProgress, error) {
	var state CloneProgress
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, `SELECT STAGE, STATE, COALESCE(DATA, 0), COALESCE(ESTIMATE, 0), BEGIN_TIME
			FROM performance_schema.clone_progress WHERE STATE <> 'Not Started' ORDER BY ID, BEGIN_TIME`)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var stage, result string
			var bytes, total int64
			var began sql.NullTime
			if err := rows.Scan(&stage, &result, &bytes, &total, nullTime{&began}); err != nil {
				return err
			}
			state.Stage = stage
			state.Bytes = bytes
			state.Total = total
			state.Failed = state.Failed || result == "Failed"
			if state.Started.IsZero() {
				state.Started = began.Time
			}
			return nil
		})
	})
	return state, wrap("read clone progress", err)
}
