// Package tablesql is what checksums and repairs know of tables: sessions on
// two members, the definition of a table, its best key, ranges of that key as
// SQL conditions, and the expression that makes a digest of a row.
//
// Its sessions go over TCP and TLS to the admin port. They have one time zone,
// one sql_mode and the character set "binary" whatever the server's defaults
// are, so that the same row has the same bytes on both members.
//
// It refuses to change anything: it has no statement that writes. It gives no
// verdict either; internal/checksum compares and internal/repair writes.
package tablesql
