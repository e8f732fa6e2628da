package controllers

import (
	"strings"
	"testing"

	"github.com/dbpair/dbpair/api/v1alpha1"
)

func TestASpecThatIsNotCarriedOutNamesItsFields(t *testing.T) {
	strict := Allowed{Images: []string{"mysql:*", "registry.test/db/*"}, PriorityClasses: []string{"db-*"}}
	for name, c := range map[string]struct {
		allowed Allowed
		change  func(*v1alpha1.DatabasePairSpec)
		says    []string
	}{
		"nothing special":          {strict, func(*v1alpha1.DatabasePairSpec) {}, nil},
		"another registry allowed": {strict, func(s *v1alpha1.DatabasePairSpec) { s.MySQL.Image = "registry.test/db/percona/8.4" }, nil},
		"an image of elsewhere": {
			strict, func(s *v1alpha1.DatabasePairSpec) { s.MySQL.Image = "evil.test/mysql:9.7" },
			[]string{"spec.mysql.image", "evil.test/mysql:9.7", "--allowed-images", "registry.test/db/*"},
		},
		"a dot is no wildcard": {
			Allowed{Images: []string{"registry.test/*"}}, func(s *v1alpha1.DatabasePairSpec) { s.MySQL.Image = "registryXtest/a" },
			[]string{"spec.mysql.image"},
		},
		"any image where nothing is limited": {Allowed{}, func(s *v1alpha1.DatabasePairSpec) { s.MySQL.Image = "evil.test/mysql:9.7" }, nil},
		"a class of the nodes": {
			strict, func(s *v1alpha1.DatabasePairSpec) { s.PodTemplate.Spec.PriorityClassName = "system-node-critical" },
			[]string{"spec.podTemplate.spec.priorityClassName", "system-node-critical", "--allowed-priority-classes"},
		},
		"a class that is allowed": {strict, func(s *v1alpha1.DatabasePairSpec) { s.PodTemplate.Spec.PriorityClassName = "db-high" }, nil},
		"two settings and an image": {
			strict, func(s *v1alpha1.DatabasePairSpec) {
				s.MySQL.Image = "evil.test/mysql:9.7"
				s.MySQL.Config = map[string]v1alpha1.MySQLOptionValue{"authentication_polic": "x", "bind-address": "0.0.0.0"}
			},
			[]string{"spec.mysql.config", "authentication_polic", "bind-address", "remove it", "spec.mysql.image"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := &v1alpha1.DatabasePair{}
			p.Spec.MySQL.Image = "mysql:9.7"
			c.change(&p.Spec)
			got := c.allowed.refusal(p)
			if (got == "") != (len(c.says) == 0) {
				t.Errorf("refusal %q", got)
			}
			for _, part := range c.says {
				if !strings.Contains(got, part) {
					t.Errorf("refusal %q lacks %q", got, part)
				}
			}
		})
	}
}

func TestOptionsThatCountAtBirthStay(t *testing.T) {
	p := &v1alpha1.DatabasePair{}
	p.Spec.MySQL.Config = map[string]v1alpha1.MySQLOptionValue{"lower_case_table_names": "1"}
	if why := bornOtherwise(p, nil); why != "" {
		t.Errorf("a pair without data may be corrected: %s", why)
	}
	p.Status.Epoch = 1
	if why := bornOtherwise(p, nil); !strings.Contains(why, "spec.mysql.config") || !strings.Contains(why, "lower_case_table_names") {
		t.Errorf("refusal %q", why)
	}
	if why := bornOtherwise(p, map[string]string{"lower_case_table_names": "1"}); why != "" {
		t.Errorf("the data was made so: %s", why)
	}
}
