// Package binlogtest makes binary log for tests that need no server: a format description and
// transactions of any size.
//
// It refuses to be what a server would execute: a transaction's body is noise.
package binlogtest
