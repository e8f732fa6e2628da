// Package exporter runs mysqld_exporter in a container beside mysqld, and starts it again when it ends or when the password
// of the monitor account is rotated, which mysqld_exporter does not notice by itself.
//
// It opens no SQL and decides nothing about the member. It refuses to end because mysqld_exporter ends: a container that is
// down makes the member's pod unready, and readers of the passive have no part in that.
package exporter
