package pair

// Ports of a member's pod.
const (
	PortMySQL   = 3306
	PortAdmin   = 33062
	PortDoor    = 7306
	PortAgent   = 7443
	PortMetrics = 7080
	PortProbe   = 7081
)
