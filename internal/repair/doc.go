// Package repair makes the passive's rows equal to the primary's, through
// replication, for one table at a time and only when asked.
//
// It compares the table again, saves both versions of every differing row, and
// then writes on the primary: DELETE and INSERT of each row that the passive
// lacks or has otherwise, INSERT and DELETE of each row that only the passive
// has. On the primary nothing changes by that; the passive applies it in
// replica_exec_mode=IDEMPOTENT, which someone else (IdempotentApplier) holds there for
// moments only. Afterwards the table, and every other table that the passive
// applied changes to in those moments, is compared again.
//
// It refuses tables without a primary key, tables with triggers and tables in
// cascading foreign keys, with the reason; it never sets a variable of mysqld,
// and writes nothing unless both versions are on disk.
package repair
