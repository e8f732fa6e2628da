package mysqlops

import (
	"context"
	"database/sql"
	"fmt"
)

// ComponentClassicHashing has MD5() and SHA1(), which MySQL 9.6 moved out of the server.
const ComponentClassicHashing = "file://component_classic_hashing"

// defaultComponents are installed on every member whose server has them.
var defaultComponents = []string{ComponentClassicHashing}

// errNoLibrary is MySQL's number for a component whose library is not there, as of a server
// that has its functions built in.
const errNoLibrary = 1126

// InstallComponents installs the default components that this server has and that are not
// installed, and returns them. INSTALL COMPONENT is not replicated: each member does it by
// itself, closed, without a trace in its history, and puts super_read_only back. A copy has
// the donor's components. It is idempotent.
func (s *Server) InstallComponents(ctx context.Context) (installed []string, err error) {
	const operation = "install components"
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		missing, err := missingComponents(ctx, conn)
		if err != nil || len(missing) == 0 {
			return err
		}
		return unlogged(ctx, conn, s.cfg.Timeouts.Change, func() error {
			for _, urn := range missing {
				_, err := conn.ExecContext(ctx, "INSTALL COMPONENT '"+urn+"'")
				if errorNumber(err) == errNoLibrary {
					continue
				}
				if err != nil {
					return fmt.Errorf("%s: %w", urn, err)
				}
				installed = append(installed, urn)
			}
			return nil
		})
	})
	return installed, wrap(operation, err)
}

func missingComponents(ctx context.Context, conn *sql.Conn) ([]string, error) {
	var missing []string
	for _, urn := range defaultComponents {
		var found int
		if err := conn.QueryRowContext(ctx, "SELECT COUNT(*) FROM mysql.component WHERE component_urn = ?", urn).Scan(&found); err != nil {
			return nil, err
		}
		if found == 0 {
			missing = append(missing, urn)
		}
	}
	return missing, nil
}
