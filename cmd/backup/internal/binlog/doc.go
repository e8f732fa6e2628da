// Package binlog has what an archive of binary logs has to know of MySQL's wire format: the
// header of an event, which transaction begins with it and how long that is, the sets of GTIDs
// in COM_BINLOG_DUMP_GTID, and packets whose size is not known to fit into memory.
//
// It refuses to interpret what a transaction does, and to hold more of one in memory than the
// event that it begins with.
package binlog
