package judge

import (
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/authority"
)

func TestWhatAReceiverStoresIsTimed(t *testing.T) {
	type observation struct {
		at     time.Duration
		broken bool
		file   string
		size   int64
	}
	const second = time.Second
	for name, c := range map[string]struct {
		seen              []observation
		streaming, stored time.Duration // ten seconds after the begin
	}{
		"nothing yet":            {seen: []observation{{at: second, file: "relay.000002", size: 5}}},
		"nothing that grows":     {seen: []observation{{at: second, file: "relay.000002", size: 5}, {at: 4 * second, file: "relay.000002", size: 5}}},
		"a file that grows":      {[]observation{{second, false, "relay.000002", 5}, {4 * second, false, "relay.000002", 9}}, 9 * second, 6 * second},
		"another file":           {[]observation{{second, false, "relay.000002", 5}, {4 * second, false, "relay.000003", 4}}, 9 * second, 6 * second},
		"a connection that ends": {seen: []observation{{second, false, "relay.000002", 5}, {4 * second, false, "relay.000002", 9}, {at: 5 * second, broken: true}}},
		"and is there again": {[]observation{{second, false, "relay.000002", 5}, {at: 5 * second, broken: true},
			{6 * second, false, "relay.000003", 1}, {8 * second, false, "relay.000003", 2}}, 4 * second, 2 * second},
	} {
		t.Run(name, func(t *testing.T) {
			var r Reception
			begin := authority.Instant(1000)
			for _, o := range c.seen {
				r.Saw(!o.broken, o.file, o.size, begin.Add(o.at))
			}
			if streaming, stored := r.Ages(begin.Add(10 * second)); streaming != c.streaming || stored != c.stored {
				t.Errorf("streams for %s, stored %s ago; want %s and %s", streaming, stored, c.streaming, c.stored)
			}
		})
	}
}
