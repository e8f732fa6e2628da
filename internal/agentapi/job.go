package agentapi

import "net/url"

// JobURI names the operation that a certificate of RoleJob was issued for. It is a subject
// alternative name, since the accounts of mysqld demand one subject of all Jobs.
func JobURI(operation string) *url.URL {
	return &url.URL{Scheme: "dbpair", Host: "operation", Path: "/" + operation}
}

// JobRequest is what a Job may send. It is about one operation.
type JobRequest interface{ ForOperation() string }

var (
	_ JobRequest = RepairLeaseCommand{}
	_ JobRequest = RepairRightsCommand{}
	_ JobRequest = SaveRowsCommand{}
)

// ForOperation implements JobRequest.
func (c RepairLeaseCommand) ForOperation() string { return c.Operation }

// ForOperation implements JobRequest.
func (c RepairRightsCommand) ForOperation() string { return c.Operation }

// ForOperation implements JobRequest.
func (c SaveRowsCommand) ForOperation() string { return c.Operation }
