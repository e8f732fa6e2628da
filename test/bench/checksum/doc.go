// Package checksum measures comparisons on two real mysqlds of this machine (make
// bench-checksum), and what their statements cost (make bench-digest). It prints tables in
// Markdown for docs/benchmarks.md.
//
//	BENCH_NARROW   rows of the narrow table (10,000,000)
//	BENCH_WIDE     rows of the wide table (500,000)
//	BENCH_THINK    pause of each of the 8 writers between two writes (5ms)
//	BENCH_SECONDS  how long the writers are measured alone, and at least beside comparisons (30)
//	BENCH_BUSY_SHARE  percent of the time that is read while the writers run (what spec.checksum.busyShare says by default)
//	BENCH_ROUNDS   how often, in turns (3)
//	PT_TABLE_CHECKSUM  the program; Debian's is unpacked when it says nothing, and left out when it is empty
package checksum
