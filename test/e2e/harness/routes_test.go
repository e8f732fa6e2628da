package harness

import "testing"

func TestRouteOrder(t *testing.T) {
	cases := map[string]struct {
		moves   []move
		deleted map[string]int64
		ok      bool
	}{
		"the former pod's deletion came first":           {[]move{{key: "1", version: 10}, {key: "3", version: 30}}, map[string]int64{"a": 20}, true},
		"the Service moved before the deletion":          {[]move{{key: "1", version: 10}, {key: "3", version: 30}}, map[string]int64{"a": 31}, false},
		"the former pod was never deleted":               {[]move{{key: "1", version: 10}, {key: "3", version: 30}}, nil, false},
		"the same pod at a new epoch needs no deletion":  {[]move{{key: "1", version: 10}, {key: "2", version: 30}}, nil, true},
		"the deletion of another pod does not count":     {[]move{{key: "1", version: 10}, {key: "3", version: 30}}, map[string]int64{"b": 20}, false},
		"there and back needs both deletions":            {[]move{{key: "1", version: 10}, {key: "3", version: 30}, {key: "5", version: 50}}, map[string]int64{"a": 20, "b": 40}, true},
		"there and back with one deletion is not enough": {[]move{{key: "1", version: 10}, {key: "3", version: 30}, {key: "5", version: 50}}, map[string]int64{"a": 20}, false},
	}
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			w := &RouteWatch{moves: c.moves, deleted: c.deleted, open: map[string]string{"1": "a", "2": "a", "3": "b", "5": "c"}}
			if err := w.judge(); (err == nil) != c.ok {
				t.Errorf("judged: %v", err)
			}
		})
	}
}
