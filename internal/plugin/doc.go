// Package plugin is the subcommands of `kubectl dbpair`: status of a pair, why it is
// so, a client shell, comparison and repair of tables, and the verbs that resolve a doubt; the latter
// make a DatabasePairOperation.
//
// It only reads objects and logs, makes operations and runs commands in members' pods with the
// rights of anyone who calls it. It never writes a Lease, a Service or a label: what decides
// who may accept writes is changed by the operator alone.
package plugin
