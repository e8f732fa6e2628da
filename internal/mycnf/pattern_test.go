package mycnf

import (
	"errors"
	"regexp"
	"testing"
)

// The API server knows the pattern alone, the agent the whole table: what one refuses as
// owned the other has to refuse as well.
func TestThePatternMatchesWhatIsOwned(t *testing.T) {
	pattern := regexp.MustCompile(OwnedPattern())
	names := []string{"no_such_option"}
	for name := range catalog {
		names = append(names, name)
	}
	for _, row := range ownedTable {
		names = append(names, regexp.MustCompile(`\*$`).ReplaceAllString(row.Name, "x"))
	}
	for _, name := range names {
		for _, prefix := range []string{"", "loose_", "skip_", "loose_skip_", "enable_", "maximum_"} {
			spelling := prefix + name
			_, _, err := resolveName(spelling, spelling)
			_, completes := couldBecomeOwned(spelling)
			if got, want := pattern.MatchString(spelling), errors.Is(err, ErrOwned) && !completes; got != want && !completes {
				t.Errorf("%s: the pattern says %t, the table %t", spelling, got, want)
			}
		}
	}
}
