package gtid_test

import (
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/gtid"
)

const (
	a = "0a0a0a0a-0000-1111-2222-333333333333"
	b = "0b0b0b0b-0000-1111-2222-333333333333"
)

func TestParseGivesTheCanonicalForm(t *testing.T) {
	for name, test := range map[string]struct{ in, want string }{
		"the empty set":                          {"", ""},
		"white space and empty groups":           {" ,\n, ", ""},
		"one number":                             {a + ":7", a + ":7"},
		"an interval of one number":              {a + ":7-7", a + ":7"},
		"adjacent intervals":                     {a + ":1-3:4:5-6", a + ":1-6"},
		"overlapping, unordered intervals":       {a + ":5-9:1-6", a + ":1-9"},
		"groups of one server":                   {a + ":1," + b + ":1," + a + ":2", a + ":1-2," + b + ":1"},
		"upper case":                             {strings.ToUpper(a) + ":1", a + ":1"},
		"a tag":                                  {a + ":tag:1-3", a + ":tag:1-3"},
		"tags after plain numbers":               {a + ":1-3:zz:1:aa:2", a + ":1-3:aa:2:zz:1"},
		"a tag in upper case":                    {a + ":Tag_1:1", a + ":tag_1:1"},
		"white space within":                     {a + " : 1 - 3 : 5 ,\n" + b + ":1", a + ":1-3:5," + b + ":1"},
		"an interval that ends before it begins": {a + ":5-3", ""},
		"the largest number":                     {a + ":9223372036854775806", a + ":9223372036854775806"},
	} {
		t.Run(name, func(t *testing.T) {
			set, err := gtid.Parse(test.in)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, set.String()); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

func TestParseRefuses(t *testing.T) {
	for name, in := range map[string]string{
		"no UUID":                  "hello:1",
		"a UUID without numbers":   a,
		"a UUID without dashes":    strings.ReplaceAll(a, "-", "") + ":1",
		"a tag without numbers":    a + ":tag",
		"two tags in a row":        a + ":tag",
		"zero":                     a + ":0",
		"a sign":                   a + ":-1",
		"a number too large":       a + ":9223372036854775807",
		"a number far too large":   a + ":99999999999999999999999",
		"a tag with a digit first": a + ":1tag:1",
		"a tag of 33 characters":   a + ":" + strings.Repeat("t", 33) + ":1",
		"an open interval":         a + ":1-",
		"three ends":               a + ":1-2-3",
		"an empty number":          a + "::1",
		"a comment":                a + ":1#2",
	} {
		t.Run(name, func(t *testing.T) {
			if set, err := gtid.Parse(in); !errors.Is(err, gtid.ErrSyntax) {
				t.Errorf("got %v, %v, want ErrSyntax", set, err)
			}
		})
	}
}

func TestAlgebra(t *testing.T) {
	for name, test := range map[string]struct {
		x, y                       string
		union, subtract, intersect string
		covers                     bool
		count                      uint64
	}{
		"nothing with nothing": {covers: true},
		"something with nothing": {
			x: a + ":1-5", union: a + ":1-5", subtract: a + ":1-5", covers: true, count: 5,
		},
		"a hole in the middle": {
			x: a + ":1-9", y: a + ":4-6", union: a + ":1-9", subtract: a + ":1-3:7-9", intersect: a + ":4-6", covers: true, count: 9,
		},
		"a partial overlap": {
			x: a + ":1-5", y: a + ":4-8", union: a + ":1-8", subtract: a + ":1-3", intersect: a + ":4-5", count: 5,
		},
		"several holes across several intervals": {
			x: a + ":1-5:10-15:20", y: a + ":2:4-11:13:20-30",
			union: a + ":1-15:20-30", subtract: a + ":1:3:12:14-15", intersect: a + ":2:4-5:10-11:13:20", count: 12,
		},
		"tags are streams of their own": {
			x: a + ":1-3:t:1-3", y: a + ":2:t:1", union: a + ":1-3:t:1-3", subtract: a + ":1:3:t:2-3", intersect: a + ":2:t:1", covers: true, count: 6,
		},
		"servers are streams of their own": {
			x: a + ":1-3", y: b + ":1-3", union: a + ":1-3," + b + ":1-3", subtract: a + ":1-3", count: 3,
		},
	} {
		t.Run(name, func(t *testing.T) {
			x := gtid.MustParse(test.x)
			y := gtid.MustParse(test.y)
			got := []any{x.Union(y).String(), x.Subtract(y).String(), x.Intersect(y).String(), x.Covers(y), x.Count()}
			want := []any{test.union, test.subtract, test.intersect, test.covers, test.count}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("union, subtract, intersect, covers, count (-want +got):\n%s", diff)
			}
			if x.String() != test.x || y.String() != test.y {
				t.Errorf("the operands changed: %v, %v", x, y)
			}
		})
	}
}

func TestParts(t *testing.T) {
	set := gtid.MustParse(a + ":1-3:t:1," + b + ":5")
	if diff := cmp.Diff([]gtid.ServerUUID{a, b}, set.Servers()); diff != "" {
		t.Errorf("servers (-want +got):\n%s", diff)
	}
	if got := set.OfServer(a).String(); got != a+":1-3:t:1" {
		t.Errorf("of server a: %s", got)
	}
	for text, want := range map[string]bool{
		a + ":3":   true,
		a + ":4":   false,
		a + ":t:1": true,
		b + ":t:1": false,
		b + ":5":   true,
	} {
		id, err := gtid.ParseGTID(text)
		if err != nil {
			t.Fatal(err)
		}
		if id.String() != text || set.Contains(id) != want {
			t.Errorf("%v in %v: %t", id, set, !want)
		}
	}
	for _, text := range []string{"", a, a + ":t", a + ":t:u:1", a + ":1-2"} {
		if id, err := gtid.ParseGTID(text); !errors.Is(err, gtid.ErrSyntax) {
			t.Errorf("parsed %q as %v, %v", text, id, err)
		}
	}
	huge := gtid.MustParse(a + ":1-9223372036854775806," + b + ":1-9223372036854775806:t:1-9223372036854775806")
	if huge.Count() != math.MaxUint64 {
		t.Errorf("count of a made-up set %d", huge.Count())
	}
	var back gtid.Set
	text, err := set.MarshalText()
	if err != nil || back.UnmarshalText(text) != nil || !back.Equal(set) {
		t.Errorf("text %s came back as %v, %v", text, back, err)
	}
	if back.UnmarshalText([]byte("x")) == nil || !back.Equal(set) {
		t.Error("a failed parse changed the set")
	}
}
