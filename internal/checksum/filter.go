package checksum

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// filter chooses tables.
type filter struct {
	only             *TableName
	include, exclude []string
}

func newFilter(o Options) (filter, error) {
	for _, field := range []struct {
		name string
		list []string
	}{{"include", o.Include}, {"exclude", o.Exclude}} {
		for _, pattern := range field.list {
			if err := CheckPattern(pattern); err != nil {
				return filter{}, fmt.Errorf("%s: %w", field.name, err)
			}
		}
	}
	return filter{
		only:    o.Table,
		include: o.Include,
		exclude: o.Exclude,
	}, nil
}

// CheckPattern says what is wrong with a pattern of Include or Exclude.
func CheckPattern(pattern string) error {
	if pattern == "" {
		return errors.New("empty pattern: give schema, schema.table, or one of them with * and ?")
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return fmt.Errorf("pattern %q: %w", pattern, err)
	}
	return nil
}

func (f filter) has(name TableName) bool {
	if f.only != nil {
		return *f.only == name
	}
	if len(f.include) > 0 && !matches(f.include, name) {
		return false
	}
	return !matches(f.exclude, name)
}

func matches(patterns []string, name TableName) bool {
	for _, pattern := range patterns {
		subject := name.String()
		if !strings.Contains(pattern, ".") {
			subject = name.Schema
		}
		// A slash in a name is no separator here, so that it must not stop *.
		subject = strings.ReplaceAll(subject, "/", "\x00")
		if ok, _ := path.Match(strings.ReplaceAll(pattern, "/", "\x00"), subject); ok {
			return true
		}
	}
	return false
}
