// Package checksum compares the tables of both members of a pair while they
// replicate and serve clients.
//
// Both members are read in consistent snapshots that stand at one place of the
// history (docs/adr/0008): under a short table lock on the primary where that
// lock is to be had at once, otherwise without any table lock, and then every
// row that seems to differ is read again under a row lock before it is called
// different. Tables are scanned in chunks of their key by several sessions on
// each member, a digest per chunk; a chunk that differs is narrowed to rows.
//
// No lock is held longer than Options.MaxLockTime: a second session kills the
// holder. No snapshot keeps a table's metadata lock across chunks, so that an
// ALTER, replicated or not, never waits for more than one chunk.
//
// It refuses to write, to compare members that are not primary and passive of
// each other, and to go on when the roles change (ErrRolesChanged). What it
// could not compare it calls Skipped and says why, never Consistent.
package checksum
