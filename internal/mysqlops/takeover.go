package mysqlops

import (
	"context"
	"fmt"
	"regexp"
)

// decimal is a number that SET takes without quotes.
var decimal = regexp.MustCompile(`^-?[0-9]+(\.[0-9]+)?$`)

// TakeOver sets a variable of the running mysqld, and returns what it is then; the caller compares. refused is
// what mysqld says of a variable or a value that it does not take while it runs; nothing has changed then. It is
// idempotent, and not written to the binary log.
func (s *Server) TakeOver(ctx context.Context, variable, value string) (now, refused string, err error) {
	const operation = "take over a setting"
	if !isVariable(variable) {
		return "", "", wrap(operation, fmt.Errorf("%w: variable %q", ErrInvalid, variable))
	}
	literal := value
	if !decimal.MatchString(value) {
		if literal, err = quote(value); err != nil {
			return "", "", wrap(operation, err)
		}
	}
	err = s.execAll(ctx, operation, "SET GLOBAL "+variable+" = "+literal)
	if errorNumber(err) != 0 {
		return "", err.Error(), nil
	}
	if err != nil {
		return "", "", err
	}
	values, err := s.Globals(ctx, []string{variable})
	return values[variable], "", err
}
