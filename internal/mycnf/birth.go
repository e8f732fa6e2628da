package mycnf

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrBirthOnly: the option counts only when the data is made.
var ErrBirthOnly = errors.New("setting counts only when the pair's data is made")

// Birth is an option that mysqld takes when it initializes a data directory, and that has to
// stay the same as long as the data lives: with another value mysqld does not start.
type Birth struct {
	Name string
	// Default is mysqld's, for a pair that does not set the option.
	Default string
	// Fixes says what of the data is made by it.
	Fixes string
}

var birthTable = []Birth{
	{
		Name:    "innodb_data_file_path",
		Default: "ibdata1:12M:autoextend",
		Fixes:   "the files of the system tablespace",
	},
	{
		Name:    "innodb_page_size",
		Default: "16384",
		Fixes:   "the size of every page",
	},
	{
		Name:    "lower_case_table_names",
		Default: "0",
		Fixes:   "how the names of schemas and tables are stored",
	},
}

// BirthSettings returns a copy of the table of options that count only when data is made.
func BirthSettings() []Birth { return slices.Clone(birthTable) }

// BirthPattern is a regular expression that matches the names of these options, in lower case
// and with underscores, behind any of the prefixes that mysqld strips.
func BirthPattern() string {
	names := make([]string, len(birthTable))
	for i, row := range birthTable {
		names[i] = row.Name
	}
	return prefixPattern() + "(" + strings.Join(names, "|") + ")$"
}

// CheckBirth refuses settings that differ from those the data was made with in an option that
// counts only then. The error names the option and its value of then.
func CheckBirth(made, settings map[string]string) error {
	var problems []error
	for _, row := range birthTable {
		was := valueOf(made, row)
		now := valueOf(settings, row)
		if now == was {
			continue
		}
		if a, ok := number(now); ok {
			if b, ok := number(was); ok && a == b {
				continue
			}
		}
		problems = append(problems, fmt.Errorf("%w: %q is %q and the data was made with %q, which fixes %s: put that back, or make a new pair",
			ErrBirthOnly, row.Name, clip(now), clip(was), row.Fixes))
	}
	return errors.Join(problems...)
}

func valueOf(settings map[string]string, row Birth) string {
	parsed, _ := parseSettings(settings)
	for _, one := range parsed {
		if one.base == row.Name {
			return one.value
		}
	}
	return row.Default
}
