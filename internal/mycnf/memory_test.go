package mycnf

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestSettingsThatDoNotFitTheMemoryLimitAreRefusedWithTheSum(t *testing.T) {
	const gibibyte = 1 << 30
	for name, c := range map[string]struct {
		settings map[string]string
		limit    int64
		says     []string
	}{
		"defaults in 1Gi":                   {nil, gibibyte, nil},
		"defaults in 768Mi":                 {nil, 768 * mebibyte, nil},
		"a large pool without a limit":      {map[string]string{"innodb_buffer_pool_size": "1T"}, 0, nil},
		"what is no number is for mysqld":   {map[string]string{"innodb_buffer_pool_size": "plenty"}, gibibyte, nil},
		"a small pool that fits":            {map[string]string{"innodb-buffer-pool-size": "64M", "max_connections": "100"}, 640 * mebibyte, nil},
		"defaults in 512Mi":                 {nil, 512 * mebibyte, []string{"512Mi itself", "the limit is 512Mi", "raise the limit to 768Mi"}},
		"a pool above the limit":            {map[string]string{"innodb_buffer_pool_size": "2G"}, 600 * mebibyte, []string{"2176Mi for innodb_buffer_pool_size", "lower innodb_buffer_pool_size"}},
		"a pool of the whole limit":         {map[string]string{"loose_innodb_buffer_pool_size": "4G"}, 4 * gibibyte, []string{"the limit is 4096Mi"}},
		"more connections than fit":         {map[string]string{"max_connections": "20000"}, 2 * gibibyte, []string{"20000 connections", "lower max_connections"}},
		"more applier workers than fit":     {map[string]string{"innodb_buffer_pool_size": "256M", "replica_parallel_workers": "64"}, gibibyte, []string{"576Mi for 64 applier workers", "lower replica_parallel_workers"}},
		"a pool is counted as it rounds up": {map[string]string{"innodb_buffer_pool_size": "300M", "max_connections": "16"}, 900 * mebibyte, []string{"408Mi"}},
	} {
		t.Run(name, func(t *testing.T) {
			err := CheckMemory(c.settings, c.limit)
			if (err != nil) != (c.says != nil) || (err != nil && !errors.Is(err, ErrMemory)) {
				t.Fatalf("got %v", err)
			}
			for _, part := range c.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%q does not say %q", err, part)
				}
			}
		})
	}
}

func TestTheDefaultPoolFitsEveryLimit(t *testing.T) {
	for limit := int64(768 * mebibyte); limit < 64<<30; limit += 61 * mebibyte {
		for _, connections := range []string{"16", "500"} {
			if err := CheckMemory(map[string]string{"max_connections": connections}, limit); err != nil {
				t.Fatalf("limit %dMi, %s connections: %v", limit/mebibyte, connections, err)
			}
		}
	}
	if got := poolFor(8<<30, defaultConnections); got != 4<<30 {
		t.Errorf("the pool of 8Gi is %d", got)
	}
}

// A passive starts all its applier workers at once, and is killed when they do not fit: 64 did not in the 1Gi of config/samples/shop.yaml.
func TestTheDefaultApplierWorkersFitEveryLimit(t *testing.T) {
	for limit := int64(768 * mebibyte); limit < 8<<30; limit += 61 * mebibyte {
		for _, settings := range []map[string]string{nil, {"max_connections": "16"}, {"innodb_buffer_pool_size": "128M"}} {
			need := needOf(settings, limit)
			need.appliers = appliersFor(settings, limit)
			if need.total() > limit || need.appliers < fewestAppliers || need.appliers > applierWorkers {
				t.Fatalf("limit %dMi, %v: %d workers need %s", limit/mebibyte, settings, need.appliers, mebibytes(need.total()))
			}
		}
	}
	for limit, want := range map[int64]int64{768 * mebibyte: 6, 1 << 30: 19, 2 << 30: 64} {
		settings := map[string]string{"innodb_buffer_pool_size": "256M"}
		if limit < 1<<30 {
			settings = nil
		}
		if got := appliersFor(settings, limit); got != want {
			t.Errorf("limit %dMi: %d workers, want %d", limit/mebibyte, got, want)
		}
	}
}

// The table of docs/settings.md has what a member gets.
func TestTheDefaultsByMemoryAreThoseOfTheDocs(t *testing.T) {
	text, err := os.ReadFile("../../docs/settings.md")
	if err != nil {
		t.Fatal(err)
	}
	for limit, name := range map[int64]string{768 * mebibyte: "768Mi, the least", 1 << 30: "1Gi", 2 << 30: "2Gi", 4 << 30: "4Gi"} {
		pool := poolFor(limit, defaultConnections)
		size := fmt.Sprintf("%dM", pool/mebibyte)
		if pool%(1<<30) == 0 {
			size = fmt.Sprintf("%dG", pool>>30)
		}
		if row := fmt.Sprintf("| %s | %s | %d |", name, size, appliersFor(nil, limit)); !strings.Contains(string(text), row) {
			t.Errorf("docs/settings.md lacks the row %s", row)
		}
	}
}

// A mysqld on data without time zone tables does not start with a named default_time_zone:
// a member could never be seeded again.
func TestNewDataNeedsNoTimeZoneTables(t *testing.T) {
	if flags := NewDataFlags(); !slices.Contains(flags, "--default-time-zone=SYSTEM") {
		t.Errorf("new data runs with %q", flags)
	}
}
