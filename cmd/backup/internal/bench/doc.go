// Package bench measures backups, restores and the archive of binary logs on real mysqlds of this machine and a
// real S3 server on loopback by TLS (make bench-backup). What it measures is the program that BENCH_PROGRAM names,
// in a process of its own. It prints tables in Markdown for docs/benchmarks.md.
//
//	BENCH_ROWS          what is measured (backup restore commits archiver durable outage replay)
//	BENCH_SIZE          size of the data, in MiB or GiB (4GiB); five times as much has to be free
//	BENCH_RUNS          how often backup, restore and commits are measured (3)
//	BENCH_SECONDS       how long clients are measured (60)
//	BENCH_TRANSACTIONS  how many transactions are replayed, once (1,000,000)
//	BENCH_OUTAGE        how long the store refuses (1h)
package bench
