package agent

import (
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/pair"
)

func TestTheEnvironmentIsNamedWhereItIsWrong(t *testing.T) {
	good := map[string]string{
		agentapi.EnvPodName: "shop-1", agentapi.EnvPodNamespace: "ns", agentapi.EnvPodUID: "u", agentapi.EnvPodIP: "10.0.0.1",
		agentapi.EnvPairName: "shop", agentapi.EnvPairUID: "p",
	}
	read := func(name, value string) (Environment, error) {
		return ReadEnvironment(func(asked string) string {
			if asked == name {
				return value
			}
			return good[asked]
		})
	}
	e, err := read("", "")
	if err != nil || e.Ordinal != 1 || e.Peer != pair.MemberName("shop-0") || e.GracePeriod != 5*time.Minute {
		t.Errorf("got %+v, %v", e, err)
	}
	if e, err := read(agentapi.EnvGracePeriod, "90"); err != nil || e.GracePeriod != 90*time.Second {
		t.Errorf("got %+v, %v", e, err)
	}
	for name := range good {
		if _, err := read(name, ""); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("without %s: %v", name, err)
		}
	}
	for name, value := range map[string]string{agentapi.EnvPodIP: "ten", agentapi.EnvPodName: "shop-2", agentapi.EnvGracePeriod: "0s"} {
		if _, err := read(name, value); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestAnUnknownFlagIsRefused(t *testing.T) {
	if _, err := ParseOptions([]string{"--data-dirs=/x"}); err == nil || !strings.Contains(err.Error(), "data-dirs") {
		t.Errorf("got %v", err)
	}
	if o, err := ParseOptions(nil); err != nil || o.DataDir != agentapi.DataDir || o.AdminPort != pair.PortAdmin {
		t.Errorf("defaults: %+v, %v", o, err)
	}
}
