package mycnf

import (
	_ "embed" // the catalog
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// What can be wrong with a setting of the user.
var (
	// ErrOwned: the setting belongs to dbpair.
	ErrOwned = errors.New("setting is owned by dbpair")
	// ErrUnknown: no supported mysqld has an option of that name.
	ErrUnknown = errors.New("unknown setting")
	// ErrMalformed: the name or the value can not stand in an option file.
	ErrMalformed = errors.New("malformed setting")
	// ErrMemory: mysqld would need more memory than its container may use.
	ErrMemory = errors.New("not enough memory")
	// ErrTwice: two names mean the same option.
	ErrTwice = errors.New("setting given twice")
)

// maxValueLength keeps a line far below the length at which mysqld cuts it in
// two, 4096 bytes, which would make its rest a line of its own.
const maxValueLength = 1024

// minConnections leaves room for clients beside the agent's sessions. With
// fewer mysqld turns the agent itself away, and so can not be opened or fenced.
const minConnections = 16

//go:embed catalog.txt
var catalogText string

// catalog holds the options of the supported versions.
var catalog = func() map[string]bool {
	names := make(map[string]bool)
	for _, name := range strings.Fields(catalogText) {
		names[name] = true
	}
	return names
}()

// prefixes are what mysqld itself strips from the beginning of a name.
var prefixes = []string{"loose_", "skip_", "disable_", "enable_", "maximum_"}

// binarySuffix matches a size as Kubernetes writes it. mysqld counts its own suffixes in 1024
// and does not know the i.
var binarySuffix = regexp.MustCompile(`^(\d+[KMGTPE])i$`)

// setting is one validated line.
type setting struct {
	// name is the spelling to render, base the option it means.
	name, base, value string
}

// ValidateSettings says what is wrong with the settings of a user, all of it:
// the errors are joined, ordered by key, and each names key and fix.
func ValidateSettings(settings map[string]string) error {
	_, err := parseSettings(settings)
	return err
}

func parseSettings(settings map[string]string) ([]setting, error) {
	var parsed []setting
	var problems []error
	seen := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		one, err := parseSetting(key, settings[key])
		if err != nil {
			problems = append(problems, err)
			continue
		}
		if before, twice := seen[one.base]; twice {
			problems = append(problems, fmt.Errorf("%w: %q and %q are the same option: remove one", ErrTwice, before, key))
			continue
		}
		seen[one.base] = key
		parsed = append(parsed, one)
	}
	return parsed, errors.Join(problems...)
}

func parseSetting(key, value string) (setting, error) {
	name, err := normaliseName(key)
	if err != nil {
		return setting{}, err
	}
	base, loose, err := resolveName(key, name)
	if err != nil {
		return setting{}, err
	}
	if !loose && !catalog[base] {
		return setting{}, fmt.Errorf("%w %q: correct the name, or write loose_%s for a mysqld that may know it", ErrUnknown, key, name)
	}
	if err := checkValue(key, value); err != nil {
		return setting{}, err
	}
	value = binarySuffix.ReplaceAllString(value, "$1")
	if limit, ok := number(value); base == "max_connections" && (!ok || limit < minConnections) {
		return setting{}, fmt.Errorf("%w %q: %q: want a number of at least %d, since the agent's own sessions count too",
			ErrMalformed, key, clip(value), minConnections)
	}
	if limit, ok := number(value); base == "max_user_connections" && (!ok || (limit < minConnections && limit != 0)) {
		return setting{}, fmt.Errorf("%w %q: %q: want 0 or a number of at least %d, since it counts for the agent's own sessions, too",
			ErrMalformed, key, clip(value), minConnections)
	}
	return setting{
		name:  name,
		base:  base,
		value: value,
	}, nil
}

func normaliseName(key string) (string, error) {
	name := strings.ReplaceAll(key, "-", "_")
	if name == "" || len(name) > 80 {
		return "", fmt.Errorf("%w %q: want a name of 1 to 80 characters", ErrMalformed, clip(key))
	}
	for i, c := range name {
		letter := 'a' <= c && c <= 'z'
		inside := ('0' <= c && c <= '9') || c == '_' || c == '.'
		if !letter && (i == 0 || !inside) {
			return "", fmt.Errorf("%w %q: want lower-case letters, digits, underscores, dashes and dots", ErrMalformed, key)
		}
	}
	return name, nil
}

// resolveName strips the prefixes as mysqld does and refuses owned options
// under every reading: whole, and after each prefix.
func resolveName(key, name string) (base string, loose bool, err error) {
	base = name
	for {
		if row, owned := owner(base); owned {
			return "", false, ownedError(key, row)
		}
		if catalog[base] {
			return base, loose, nil
		}
		rest, prefix := stripPrefix(base)
		if prefix == "" {
			break
		}
		loose = loose || prefix == "loose_"
		base = rest
	}
	if row, owned := couldBecomeOwned(base); owned {
		return "", false, ownedError(key, row)
	}
	return base, loose, nil
}

func stripPrefix(name string) (rest, prefix string) {
	for _, prefix := range prefixes {
		if rest, found := strings.CutPrefix(name, prefix); found {
			return rest, prefix
		}
	}
	return name, ""
}

func ownedError(key string, row Owned) error {
	fix := "remove it"
	if row.Instead != "" {
		fix += "; " + row.Instead
	}
	return fmt.Errorf("%w: %q (%s), since %s: %s", ErrOwned, key, row.Name, row.Why, fix)
}

func checkValue(key, value string) error {
	if len(value) > maxValueLength {
		return fmt.Errorf("%w: value of %q is longer than %d bytes: shorten it", ErrMalformed, key, maxValueLength)
	}
	for _, c := range value {
		if c < ' ' || c == 0x7f || c == '\uFFFD' {
			return fmt.Errorf("%w: value of %q has a line break or another control character: remove it", ErrMalformed, key)
		}
	}
	if strings.Contains(value, `"`) && strings.Contains(value, `'`) {
		return fmt.Errorf("%w: value of %q has both kinds of quotation marks: use one kind", ErrMalformed, key)
	}
	return nil
}

func clip(text string) string {
	if len(text) > 100 {
		return text[:100] + "…"
	}
	return text
}
