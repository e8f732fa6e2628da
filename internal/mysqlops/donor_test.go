package mysqlops

import (
	"errors"
	"strings"
	"testing"
)

// What the donor's data was made by and with is compared before anything is copied.
func TestADonorOfAnotherBirthIsRefused(t *testing.T) {
	own := birth{
		version:   "8.4.5",
		lowerCase: 0,
		pageSize:  16384,
	}
	for name, tc := range map[string]struct {
		its   birth
		cause error
		says  string
	}{
		"the same":               {birth{"8.4.5", 0, 16384}, nil, ""},
		"an older patch":         {birth{"8.4.0", 0, 16384}, nil, ""},
		"of a distribution":      {birth{"8.4.7-7", 0, 16384}, nil, ""},
		"an older series":        {birth{"8.0.40", 0, 16384}, ErrDonorSeries, "it is 8.0.40 and this member is MySQL 8.4.5"},
		"a newer series":         {birth{"9.7.0", 0, 16384}, ErrDonorSeries, "set spec.mysql.image"},
		"MariaDB":                {birth{"8.4.5-MariaDB", 0, 16384}, ErrDonorSeries, "MariaDB"},
		"names in lower case":    {birth{"8.4.5", 1, 16384}, ErrDonorSettings, "lower_case_table_names is 1 there and 0 here: set it in spec.mysql.config"},
		"pages of another size":  {birth{"8.4.5", 0, 8192}, ErrDonorSettings, "innodb_page_size is 8192 there and 16384 here: set it in spec.mysql.config"},
		"a version that is none": {birth{"", 0, 16384}, ErrDonorSeries, "it is "},
	} {
		t.Run(name, func(t *testing.T) {
			err := own.otherSeries(tc.its)
			if err == nil {
				err = own.otherSettings(tc.its)
			}
			if !errors.Is(err, tc.cause) || (err != nil && !strings.Contains(err.Error(), tc.says)) {
				t.Errorf("error %v, want %v that says %q", err, tc.cause, tc.says)
			}
		})
	}
}
