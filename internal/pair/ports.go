package pair

// Ports of a member's pod.
const (
	PortMySQL   = 3306
	PortAdmin   = 33062
	PortDoor    = 7306
	PortAgent   = 7443
	PortMetrics = 7080
	PortProbe   = 7081
	// PortBinlog is that of readers of the binary logs, and PortBinlogService what the read-only
	// Service has for it.
	PortBinlog        = 7307
	PortBinlogService = 3307
	// PortRole tells routers whether the member is the primary or a passive that serves reads.
	PortRole = 7082
	// PortMysqldMetrics is that of the exporter of mysqld's counters, where the spec has it.
	PortMysqldMetrics = 9104
)
