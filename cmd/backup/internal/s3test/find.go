package s3test

import (
	"os"
	"path/filepath"
	"testing"
)

// require returns the server's program, or skips the test saying what is missing. In order:
// the program DBPAIR_S3_SERVER, and where hack/tools/build.sh leaves its result.
func require(tb testing.TB) string {
	tb.Helper()
	if testing.Short() {
		tb.Skip("SKIPPED: -short leaves out everything that needs a real S3 server")
	}
	for _, candidate := range candidates() {
		if info, err := os.Stat(candidate); err == nil && info.Mode()&0o111 != 0 {
			// .ci/run counts these lines: a green run without a real server is none.
			tb.Log("TIER s3:", filepath.Base(candidate))
			return candidate
		}
	}
	const message = "no S3 server for tests: run hack/tools/build.sh versitygw, or set DBPAIR_S3_SERVER to the program"
	if os.Getenv("DBPAIR_REQUIRE_S3") == "1" {
		tb.Fatal(message)
	}
	tb.Skip("SKIPPED: " + message)
	return ""
}

func candidates() []string {
	var list []string
	if program := os.Getenv("DBPAIR_S3_SERVER"); program != "" {
		list = append(list, program)
	}
	dirs := []string{os.Getenv("DBPAIR_CACHE")}
	if home, err := os.UserCacheDir(); err == nil {
		dirs = append(dirs, filepath.Join(home, "dbpair"))
	}
	for _, dir := range dirs {
		if dir == "" {
			continue
		}
		built, _ := filepath.Glob(filepath.Join(dir, "bin", "versitygw-*")) // the pattern is right
		list = append(list, built...)
	}
	return list
}
