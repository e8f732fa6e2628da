package agentapi

// Paths of the listener for routers, which takes no client certificate and answers GET with nothing
// but a status: http.StatusOK for yes, http.StatusNotFound for a primary that keeps its sessions and
// takes no new clients, and http.StatusServiceUnavailable for no.
const (
	PathPrimary = "/primary" // is this member open, and may clients be led to its mysqld?
	PathPassive = "/passive" // is this member closed for writes, and fit for reads?
)
