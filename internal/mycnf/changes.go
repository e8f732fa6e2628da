package mycnf

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// Change is a setting of the user that another set of settings has otherwise.
type Change struct {
	// Key is its name as the user wrote it, and Variable what mysqld calls it.
	Key, Variable string
	// Value is what SET GLOBAL takes: a number without a suffix, or a text without quotes.
	Value string
	// AtStart: it acts at the next start of mysqld, whatever mysqld would take now.
	AtStart bool
}

// actsLater begin the names of variables that the running receiver or applier takes no notice of.
var actsLater = []string{"replica_", "slave_", "relay_", "source_", "master_"}

// Changes are the settings of to that from has otherwise, and those that it has no more, by key. What was taken out of the
// settings acts at the next start: what the option file says without it is not what mysqld calls its default.
func Changes(from, to map[string]string) []Change {
	var changes []Change
	for _, key := range slices.Sorted(maps.Keys(to)) {
		if before, had := from[key]; had && before == to[key] {
			continue
		}
		one, err := parseSetting(key, to[key])
		if err != nil {
			changes = append(changes, Change{Key: key, AtStart: true})
			continue
		}
		later := slices.ContainsFunc(actsLater, func(prefix string) bool { return strings.HasPrefix(one.base, prefix) })
		changes = append(changes, Change{
			Key:      key,
			Variable: one.base,
			Value:    withoutSuffix(one.value),
			AtStart:  later || one.negated() || strings.Contains(one.base, "."),
		})
	}
	for _, key := range slices.Sorted(maps.Keys(from)) {
		if _, stays := to[key]; !stays {
			changes = append(changes, Change{Key: key, AtStart: true})
		}
	}
	return changes
}

// TakenOver reports whether what mysqld says of the variable is what was set.
func (c Change) TakenOver(got string) bool {
	_, isNumber := number(c.Value)
	_, isSwitch := switchValue(c.Value)
	if isNumber || isSwitch {
		return same(c.Value, got)
	}
	return strings.EqualFold(c.Value, got)
}

// withoutSuffix writes a size as a number: SET takes no suffix.
func withoutSuffix(value string) string {
	value = strings.TrimSpace(value)
	if _, err := strconv.ParseInt(value, 10, 64); err == nil {
		return value
	}
	if v, isNumber := number(value); isNumber {
		return strconv.FormatFloat(v, 'f', 0, 64)
	}
	return value
}
