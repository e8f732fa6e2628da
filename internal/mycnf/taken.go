package mycnf

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// complaint is what mysqld logs, as a warning, of a value it makes another one
// of. Most bad values end this way and not in a refusal: text in place of a
// number is 0, which is then raised to the smallest value allowed.
var complaint = regexp.MustCompile(`option '([^']+)': (.*(?:adjusted to|was not recognized).*?)\.?\s*$`)

// Complaints returns what mysqld's log says of settings of the user that it
// does not take as they are given, a sentence for each, in the log's order.
func Complaints(log string, settings map[string]string) []string {
	keys := make(map[string]string, len(settings))
	for key := range settings {
		if one, err := parseSetting(key, settings[key]); err == nil {
			keys[one.base] = key
		}
	}
	var found []string
	for text := range strings.SplitSeq(log, "\n") {
		m := complaint.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		if key, ours := keys[strings.ReplaceAll(m[1], "-", "_")]; ours {
			found = append(found, fmt.Sprintf("%s: %q: %s", key, settings[key], m[2]))
		}
	}
	return found
}

// Mentioned returns the keys of the settings that a line of mysqld's log is about: those whose
// name is in it or, when none is, those whose value it quotes.
func Mentioned(line string, settings map[string]string) []string {
	var named, quoted []string
	line = strings.ReplaceAll(line, "-", "_")
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		one, err := parseSetting(key, settings[key])
		if err != nil {
			continue
		}
		if regexp.MustCompile(`(^|\W)(__)?` + regexp.QuoteMeta(one.base) + `\b`).MatchString(line) {
			named = append(named, key)
		}
		if value := strings.ReplaceAll(one.value, "-", "_"); value != "" && strings.Contains(line, "'"+value+"'") {
			quoted = append(quoted, key)
		}
	}
	if len(named) > 0 {
		return named
	}
	return quoted
}

// Taken compares what mysqld runs with to the numbers and switches that the
// user gave; values are by variable name, and a variable that is not in them is
// passed over. Other values are not compared: mysqld refuses those it does not
// know. A number may be up to twice as high as asked, since sizes are rounded
// up to whole blocks. Each sentence names key, wish and value.
func Taken(settings, values map[string]string) []string {
	parsed, err := parseSettings(settings)
	if err != nil {
		return nil // Render has said so
	}
	var found []string
	for _, one := range parsed {
		got, known := values[one.base]
		if !known || one.negated() || same(one.value, got) {
			continue
		}
		found = append(found, fmt.Sprintf("%s: %q is asked for and %s is in use", one.base, one.value, got))
	}
	return found
}

// Variables returns the names to read for Taken.
func Variables(settings map[string]string) []string {
	parsed, _ := parseSettings(settings)
	var names []string
	for _, one := range parsed {
		if !strings.Contains(one.base, ".") { // a component's, which may not be there
			names = append(names, one.base)
		}
	}
	return names
}

// negated: the prefix turns the value round.
func (s setting) negated() bool { return s.name != s.base && !strings.HasPrefix(s.name, "loose_") }

func same(want, got string) bool {
	w, isNumber := number(want)
	if g, ok := number(got); ok && isNumber {
		return g == w || (g > w && w > 0 && g <= 2*w)
	}
	wanted, isSwitch := switchValue(want)
	on, ok := switchValue(got)
	return !isSwitch || !ok || on == wanted
}

// number reads an integer with a suffix as mysqld does.
func number(text string) (float64, bool) {
	shift := 0
	trimmed := strings.TrimSpace(text)
	if n := len(trimmed); n > 0 {
		if at := strings.IndexByte("kmgtpe", trimmed[n-1]|0x20); at >= 0 && trimmed[n-1] > '9' {
			shift = 10 * (at + 1)
			trimmed = trimmed[:n-1]
		}
	}
	v, err := strconv.ParseInt(trimmed, 10, 64)
	return float64(v) * float64(int64(1)<<shift), err == nil
}

func switchValue(text string) (on, ok bool) {
	switch strings.ToUpper(strings.TrimSpace(text)) {
	case "ON", "1", "TRUE", "YES":
		return true, true
	case "OFF", "0", "FALSE", "NO":
		return false, true
	}
	return false, false
}
