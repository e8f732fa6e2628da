package gtid_test

import (
	"fmt"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/dbpair/dbpair/internal/gtid"
)

// drawText draws the text of a set over few numbers, so that sets meet.
func drawText(t *rapid.T, label string) string {
	servers := []string{a, b, "0c0c0c0c-0000-1111-2222-333333333333"}
	group := rapid.Custom(func(t *rapid.T) string {
		var g strings.Builder
		g.WriteString(rapid.SampledFrom(servers).Draw(t, "server"))
		for range rapid.IntRange(1, 5).Draw(t, "parts") {
			if rapid.Bool().Draw(t, "tagged") {
				g.WriteString(":" + rapid.SampledFrom([]string{"t", "tag_2", "_"}).Draw(t, "tag"))
			}
			first := rapid.IntRange(1, 40).Draw(t, "first")
			fmt.Fprintf(&g, ":%d-%d", first, first+rapid.IntRange(0, 9).Draw(t, "length"))
		}
		return g.String()
	})
	return strings.Join(rapid.SliceOfN(group, 0, 4).Draw(t, label), ",")
}

// members spells a set out, number by number: the slow and obvious model.
func members(set gtid.Set) map[string]bool {
	found := make(map[string]bool)
	for _, server := range set.Servers() {
		for _, tag := range []gtid.Tag{"", "t", "tag_2", "_"} {
			for number := int64(1); number <= 60; number++ {
				if id := (gtid.GTID{Server: server, Tag: tag, Number: number}); set.Contains(id) {
					found[id.String()] = true
				}
			}
		}
	}
	return found
}

func TestAlgebraAgreesWithCounting(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := gtid.MustParse(drawText(t, "x"))
		y := gtid.MustParse(drawText(t, "y"))
		inX := members(x)
		inY := members(y)
		union := members(x.Union(y))
		less := members(x.Subtract(y))
		covers := true
		for id := range inY {
			covers = covers && inX[id]
			if !union[id] || less[id] {
				t.Fatalf("%s of y: in union %t, in difference %t", id, union[id], less[id])
			}
		}
		for id := range inX {
			if !union[id] || less[id] == inY[id] {
				t.Fatalf("%s of x: in union %t, in difference %t, in y %t", id, union[id], less[id], inY[id])
			}
		}
		if len(union) != len(inY)+len(less) {
			t.Fatalf("the union has %d, not %d", len(union), len(inY)+len(less))
		}
		if x.Covers(y) != covers || uint64(len(inX)) != x.Count() {
			t.Fatalf("covers %t, want %t; count %d, want %d", x.Covers(y), covers, x.Count(), len(inX))
		}
	})
}

func TestLaws(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		x := gtid.MustParse(drawText(t, "x"))
		y := gtid.MustParse(drawText(t, "y"))
		for law, holds := range map[string]bool{
			"printing and parsing give the same":         gtid.MustParse(x.String()).Equal(x) && gtid.MustParse(x.String()).String() == x.String(),
			"union commutes":                             x.Union(y).Equal(y.Union(x)),
			"union covers both":                          x.Union(y).Covers(x) && x.Union(y).Covers(y),
			"a difference meets what was taken nowhere":  x.Subtract(y).Intersect(y).IsEmpty(),
			"difference and intersection make the whole": x.Subtract(y).Union(x.Intersect(y)).Equal(x),
			"covering both ways is equality":             (x.Covers(y) && y.Covers(x)) == x.Equal(y),
			"equal sets print equally":                   x.Equal(y) == (x.String() == y.String()),
		} {
			if !holds {
				t.Fatalf("%s: x %v, y %v", law, x, y)
			}
		}
	})
}

func FuzzParse(f *testing.F) {
	for _, seed := range []string{"", a + ":1-3:5", a + ":t:1-3," + b + ":1", a + ":1-9223372036854775806", a + " : 5 - 3"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		set, err := gtid.Parse(text)
		if err != nil {
			return
		}
		again, err := gtid.Parse(set.String())
		if err != nil || !again.Equal(set) || again.String() != set.String() {
			t.Errorf("%q is %v and then %v, %v", text, set, again, err)
		}
		if !set.Subtract(set).IsEmpty() || !set.Covers(set) || !set.Union(set).Equal(set) {
			t.Errorf("%v is not equal to itself", set)
		}
	})
}
