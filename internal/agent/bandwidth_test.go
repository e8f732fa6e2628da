package agent

import (
	"errors"
	"strings"
	"testing"

	"github.com/dbpair/dbpair/internal/agentapi"
)

func TestABandwidthIsAQuantityOfBytesASecond(t *testing.T) {
	for text, want := range map[string]int64{"": 0, "1Mi": 1 << 20, "50Mi": 50 << 20, "1M": 1_000_000} {
		if got, err := bandwidth(text); err != nil || got != want {
			t.Errorf("%q is %d (%v), want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"fast", "0", "-1Mi", "10%"} {
		if _, err := bandwidth(text); err == nil || !strings.Contains(err.Error(), "spec.rejoin.maxBandwidth") {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// The copy of a server outside of the pair is bounded like that of the peer.
func TestTheCopyOfADonorIsBounded(t *testing.T) {
	d := &donorCopies{opt: Options{RunDir: "/run/dbpair"}, settings: &settings{config: agentapi.Config{MaxBandwidth: "50Mi"}}}
	from, err := d.source(agentapi.ForeignDonor{
		Host: "old",
		Port: 3306,
		CA:   "pem",
	})
	if err != nil || from.MaxBandwidth != 50<<20 || from.TLS.CA != "/run/dbpair/donor-ca.crt" {
		t.Errorf("%+v, %v", from, err)
	}
	d.settings.config.MaxBandwidth = "fast"
	var config configError
	if _, err := d.source(agentapi.ForeignDonor{}); !errors.As(err, &config) {
		t.Errorf("error %v", err)
	}
}
