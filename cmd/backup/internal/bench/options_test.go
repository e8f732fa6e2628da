//go:build bench

package bench

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/resource"
)

// rows are what can be measured, in this order.
var rows = []struct {
	name string
	run  func(*bench)
}{
	{"backup", (*bench).backup},
	{"restore", (*bench).restore},
	{"commits", (*bench).commits},
	{"archiver", (*bench).archiver},
	{"durable", (*bench).durable},
	{"outage", (*bench).outage},
	{"replay", (*bench).replay},
}

// options are what the environment says.
type options struct {
	program      string
	rows         []string
	size         int64
	runs         int
	length       time.Duration
	transactions int
	outage       time.Duration
}

func readOptions(t *testing.T) options {
	o := options{
		program:      os.Getenv("BENCH_PROGRAM"),
		rows:         strings.Fields(os.Getenv("BENCH_ROWS")),
		size:         size(t, "BENCH_SIZE", "4GiB"),
		runs:         number(t, "BENCH_RUNS", 3),
		length:       time.Duration(number(t, "BENCH_SECONDS", 60)) * time.Second,
		transactions: number(t, "BENCH_TRANSACTIONS", 1_000_000),
		outage:       duration(t, "BENCH_OUTAGE", time.Hour),
	}
	if info, err := os.Stat(o.program); err != nil || info.IsDir() {
		t.Fatalf("BENCH_PROGRAM=%q: name the built program backup, as make bench-backup does", o.program)
	}
	var known []string
	for _, row := range rows {
		known = append(known, row.name)
	}
	if len(o.rows) == 0 {
		o.rows = known
	}
	for _, name := range o.rows {
		if !slices.Contains(known, name) {
			t.Fatalf("BENCH_ROWS: there is no row %q, only %s", name, strings.Join(known, " "))
		}
	}
	return o
}

func number(t *testing.T, name string, fallback int) int {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q: want a number from 1", name, text)
	}
	return n
}

func duration(t *testing.T, name string, fallback time.Duration) time.Duration {
	text := os.Getenv(name)
	if text == "" {
		return fallback
	}
	d, err := time.ParseDuration(text)
	if err != nil || d < time.Second {
		t.Fatalf("%s=%q: want a duration from 1s, for example 5m", name, text)
	}
	return d
}

func size(t *testing.T, name, fallback string) int64 {
	text := os.Getenv(name)
	if text == "" {
		text = fallback
	}
	quantity, err := resource.ParseQuantity(strings.TrimSuffix(text, "B"))
	if err != nil || quantity.Value() < 64<<20 {
		t.Fatalf("%s=%q: want a size from 64MiB, for example 4GiB", name, text)
	}
	return quantity.Value()
}

// requireRoom fails unless the data, its copies and its backups fit on the disk and leave a part of it free.
func requireRoom(t *testing.T, dir string, data int64) {
	const (
		copies = 5
		full   = 0.85
	)
	var disk syscall.Statfs_t
	if err := syscall.Statfs(dir, &disk); err != nil {
		t.Fatal(err)
	}
	used := float64(disk.Blocks-disk.Bfree) * float64(disk.Bsize)
	free := float64(disk.Bavail) * float64(disk.Bsize)
	if room := full*(used+free) - used; room < copies*float64(data) {
		t.Fatalf("BENCH_SIZE: %s of data need %d times as much on the disk of %s; %s can be used before it is %.0f %% full",
			mebibytes(data), copies, dir, mebibytes(int64(max(room, 0))), 100*full)
	}
}

func mebibytes(bytes int64) string { return fmt.Sprintf("%d MiB", bytes>>20) }
