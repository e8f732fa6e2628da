package mysqlops

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/go-crypt/x/crypt"
)

func (s *Server) formerPasswords(ctx context.Context) ([]FormerPassword, error) {
	const query = `SELECT User, Host, UNIX_TIMESTAMP(password_last_changed), TIMESTAMPDIFF(SECOND, password_last_changed, NOW())
		FROM mysql.user WHERE User_attributes->'$.additional_password' IS NOT NULL ORDER BY User, Host`
	var list []FormerPassword
	err := s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		rows, err := conn.QueryContext(ctx, query)
		if err != nil {
			return err
		}
		return eachRow(rows, func() error {
			var one FormerPassword
			var changed, age int64
			if err := rows.Scan(&one.User, &one.Host, &changed, &age); err != nil {
				return err
			}
			one.ChangedAt = time.Unix(changed, 0).UTC()
			one.Age = time.Duration(age) * time.Second
			list = append(list, one)
			return nil
		})
	})
	return list, wrap("list former passwords", err)
}

func (s *Server) hasPassword(ctx context.Context, account Account, password Secret) (has bool, err error) {
	const operation = "compare a password"
	err = s.read(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var plugin, stored string
		err := conn.QueryRowContext(ctx, "SELECT plugin, authentication_string FROM mysql.user WHERE User = ? AND Host = ?",
			account.User, account.Host).Scan(&plugin, &stored)
		if errors.Is(err, sql.ErrNoRows) {
			return fmt.Errorf("%w: account %s@%s", ErrNoSuchObject, account.User, account.Host)
		}
		if err != nil || plugin != userPlugin {
			return err
		}
		has, err = isHashOf(stored, password)
		return err
	})
	return has, wrap(operation, err)
}

// isHashOf compares a password with what caching_sha2_password keeps of one: $A$, the
// thousands of rounds in three digits, $, 20 bytes of salt and the SHA-crypt digest.
func isHashOf(stored string, password Secret) (bool, error) {
	const prefix, saltLength, roundsLength = "$A$", 20, 3
	rest, found := strings.CutPrefix(stored, prefix)
	if !found || len(rest) <= roundsLength+1+saltLength {
		return false, nil // an account without a password, or of a form that is not known
	}
	thousands, err := strconv.ParseUint(rest[:roundsLength], 16, 16)
	if err != nil {
		return false, fmt.Errorf("rounds of a password hash: %w", err)
	}
	rest = rest[roundsLength+1:]
	salt, digest := rest[:saltLength], rest[saltLength:]
	// The library encodes the digest as crypt does.
	key := crypt.KeySHACrypt(sha256.New, []byte(password.Reveal()), []byte(salt), int(thousands)*1000)
	return subtle.ConstantTimeCompare(key, []byte(digest)) == 1, nil
}

func (s *Server) requireTLS(ctx context.Context, account Account, required bool) (changed bool, err error) {
	const operation = "set whether an account requires TLS"
	name, err := account.quoted()
	if err != nil {
		return false, wrap(operation, err)
	}
	wanted := requireNothing
	if required {
		wanted = requireTLS
	}
	err = s.change(ctx, func(ctx context.Context, conn *sql.Conn) error {
		var kind string
		err := conn.QueryRowContext(ctx, "SELECT ssl_type FROM mysql.user WHERE User = ? AND Host = ?", account.User, account.Host).Scan(&kind)
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return err
		}
		is, err := requirement(kind, "")
		demandsMore := is != requireNothing && is != requireTLS
		if err != nil || is == wanted || demandsMore {
			return err
		}
		changed = true
		return execEach(ctx, conn, "ALTER USER "+name+" REQUIRE "+wanted)
	})
	return changed && err == nil, wrap(operation, err)
}
