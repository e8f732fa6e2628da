package mycnf_test

import (
	"errors"
	"regexp"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/mycnf"
)

func TestWhatTheDataWasMadeWithStays(t *testing.T) {
	for name, c := range map[string]struct {
		made, now map[string]string
		says      string
	}{
		"nothing set":                  {nil, nil, ""},
		"other options":                {nil, map[string]string{"max_connections": "100"}, ""},
		"the default written down":     {nil, map[string]string{"lower_case_table_names": "0", "innodb_page_size": "16K"}, ""},
		"the same in another spelling": {map[string]string{"innodb_page_size": "8192"}, map[string]string{"innodb-page-size": "8K"}, ""},
		"names in lower case":          {nil, map[string]string{"lower_case_table_names": "1"}, `"lower_case_table_names" is "1" and the data was made with "0"`},
		"behind a prefix":              {nil, map[string]string{"loose-lower-case-table-names": "1"}, "lower_case_table_names"},
		"removed":                      {map[string]string{"innodb_page_size": "8K"}, nil, `"innodb_page_size" is "16384" and the data was made with "8K"`},
		"another system tablespace":    {nil, map[string]string{"innodb_data_file_path": "a:100M"}, "innodb_data_file_path"},
	} {
		t.Run(name, func(t *testing.T) {
			err := mycnf.CheckBirth(c.made, c.now)
			if (err == nil) != (c.says == "") {
				t.Fatalf("error %v", err)
			}
			if err != nil && (!errors.Is(err, mycnf.ErrBirthOnly) || !strings.Contains(err.Error(), c.says)) {
				t.Errorf("error %v lacks %q", err, c.says)
			}
		})
	}
}

func TestTheBirthPatternMatchesTheTable(t *testing.T) {
	pattern := regexp.MustCompile(mycnf.BirthPattern())
	for _, row := range mycnf.BirthSettings() {
		if !pattern.MatchString(row.Name) || !pattern.MatchString("loose_"+row.Name) || pattern.MatchString(row.Name+"x") {
			t.Errorf("%s: %s", row.Name, pattern)
		}
		if err := mycnf.ValidateSettings(map[string]string{row.Name: row.Default}); err != nil {
			t.Errorf("%s cannot be set at birth: %v", row.Name, err)
		}
	}
}
