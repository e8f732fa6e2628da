// Package clonewire speaks the clone protocol of MySQL on both sides, so that
// the data of a running server becomes a recording, and a recording the data of
// a server, without a second mysqld and without disk of its own.
//
// Client connects to a mysqld as the recipient of a clone and hands each answer
// of the donor to a Recorder. Donor listens like a mysqld and serves what a
// Source has to CLONE INSTANCE FROM of a real one. A recording is the same
// sequence of answers in both directions:
//
//	opening    the donor's answers before any data: version, plugins, settings
//	StageFile  descriptors of all files, then their data
//	StagePage  pages that changed meanwhile, and what DDL did to files
//	StageRedo  the redo log up to the point that the copy stands for
//
// A recording is whole when Recorder.Finish has returned without an error;
// everything before that is worthless. Which answers belong together is the
// protocol's business: what stores a recording keeps the opening and, for
// each stage and stream, the order, byte by byte. WriteAnswer and ReadAnswer
// are a form of answers for files; ParseDescriptor tells what is in them.
//
// The package asks for version 0x0102 of the protocol and for no backup lock,
// so that DDL of the donor is not held up. Memory is bounded by one answer for
// each connection, which is at most a limit of the caller's: a Recorder that blocks makes
// the donor wait, and with it statements there that drop or rename the very file
// that is being sent.
//
// It refuses to decide anything about data: which files may be restored where,
// compression, encryption and checksums are the caller's. It refuses connections
// without TLS in both directions, a donor of another protocol version, an answer
// above the limit, and to resume a clone that was interrupted: that starts over.
package clonewire
