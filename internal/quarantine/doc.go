// Package quarantine reads what an agent has saved in the quarantine of its volume: it lists the
// entries, decodes the transactions in their binary logs and prints their files.
//
// It only reads, takes no lock and asks no mysqld, so that it works beside a running mysqld and
// on data that none starts on. Files are read as a stream, with bounded memory, since it runs
// in the container of mysqld. Entries and files are opened below the quarantine's directory only:
// a name or a symbolic link that leads out of it is refused.
//
// A file that is damaged, encrypted or cut is reported by its name and the place, after what could
// be read before it.
package quarantine
