package router_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/router"
)

// haproxy is the program that the configuration is for, from DBPAIR_HAPROXY. Without it the test is
// skipped, or fails when DBPAIR_REQUIRE_HAPROXY=1.
func haproxy(t *testing.T) string {
	t.Helper()
	program := os.Getenv("DBPAIR_HAPROXY")
	if program != "" {
		t.Log("TIER haproxy:", program)
		return program
	}
	const message = "no HAProxy for tests: export DBPAIR_HAPROXY=$(hack/haproxy.sh)"
	if os.Getenv("DBPAIR_REQUIRE_HAPROXY") == "1" {
		t.Fatal(message)
	}
	t.Skip("SKIPPED: " + message)
	return ""
}

func plain() router.Config {
	c := router.Config{
		Pair:           "shop",
		Namespace:      "db",
		Bind:           "${POD_IP}",
		Ports:          router.Ports{ReadWrite: 3306, ReadOnly: 3307, Health: 8404},
		Service:        "127.0.0.1:3306",
		CAFile:         "/etc/dbpair/router/ca.crt",
		MaxConnections: 2000,
		Keepalive: router.Keepalive{
			Idle:     10 * time.Second,
			Interval: 3 * time.Second,
			Probes:   3,
		},
	}
	for i, name := range []string{"shop-0", "shop-1"} {
		c.Members[i] = router.Member{
			Name:        name,
			Host:        "127.0.0.1",
			MySQL:       3306,
			Role:        7082,
			Certificate: name + ".shop-pods.db.svc",
		}
	}
	return c
}

func TestConfigurationsSayWhatTheyAreGiven(t *testing.T) {
	for name, tc := range map[string]struct {
		change func(*router.Config)
		has    []string
		lacks  []string
	}{
		"a plain pair": {
			change: func(*router.Config) {},
			has: []string{
				"server shop-1 127.0.0.1:3306 check port 7082 check-sni shop-1.shop-pods.db.svc verifyhost shop-1.shop-pods.db.svc",
				"server service 127.0.0.1:3306 backup",
				"on-marked-down shutdown-sessions tcp-ut 19s",
				"option clitcpka\n    clitcpka-idle 10s\n    clitcpka-intvl 3s\n    clitcpka-cnt 3\n",
				"\n    maxconn 4020\n", "\n    maxconn 2000\n",
			},
			lacks: []string{"use_backend", "send-proxy", "accept-proxy"},
		},
		"readers may be led to the primary": {
			change: func(c *router.Config) { c.FallbackToPrimary = true },
			has:    []string{"use_backend primary if { nbsrv(passive) eq 0 }"},
		},
		"an address of IPv6, and other limits": {
			change: func(c *router.Config) {
				c.Bind = "::1"
				c.Keepalive = router.Keepalive{Idle: time.Minute, Interval: 10 * time.Second, Probes: 6}
				c.MaxConnections = 10
			},
			has: []string{`bind "::1:3307" tcp-ut 120s`, "srvtcpka-idle 60s", "\n    maxconn 40\n"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := plain()
			tc.change(&c)
			text, err := router.Render(c)
			if err != nil {
				t.Fatal(err)
			}
			for _, part := range tc.has {
				if !strings.Contains(text, part) {
					t.Errorf("lacks %q:\n%s", part, text)
				}
			}
			for _, part := range tc.lacks {
				if strings.Contains(text, part) {
					t.Errorf("has %q:\n%s", part, text)
				}
			}
		})
	}
}

// check has HAProxy read a configuration, and returns what it says about it.
func check(t *testing.T, program, text string) (string, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	command := exec.CommandContext(t.Context(), program, "-c", "-f", file)
	command.Env = append(os.Environ(), "POD_IP=127.0.0.1")
	out, err := command.CombinedOutput()
	return string(out), err
}

// TestHAProxyTakesTheConfigurationsWithoutAWarning: a warning tells of an option that does nothing.
func TestHAProxyTakesTheConfigurationsWithoutAWarning(t *testing.T) {
	program := haproxy(t)
	ca := newAuthority(t)
	for name, change := range map[string]func(*router.Config){
		"a plain pair":                      func(*router.Config) {},
		"readers may be led to the primary": func(c *router.Config) { c.FallbackToPrimary = true },
		"an address of IPv6":                func(c *router.Config) { c.Bind = "::1" },
		"the smallest limit":                func(c *router.Config) { c.MaxConnections = 10 },
	} {
		t.Run(name, func(t *testing.T) {
			c := plain()
			change(&c)
			c.CAFile = ca.file
			text, err := router.Render(c)
			if err != nil {
				t.Fatal(err)
			}
			out, err := check(t, program, text)
			if err != nil || strings.Contains(out, "WARNING") || strings.Contains(out, "ALERT") {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
	if out, err := check(t, program, "defaults\n    mode tcp\n    option nonsense\n"); err == nil {
		t.Errorf("an option that does not exist is taken: %s", out)
	}
}
