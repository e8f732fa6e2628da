// Package packetrule has the kernel refuse new clients of a member: while the member's agent says so, it answers each new
// connection to a port with a TCP reset, whatever the process does that listens there.
//
// The rule is of a container of its own, the only one of the pod with the capability NET_ADMIN, which asks the agent over a
// socket on a volume that the two share (Run, Serve). It acts on the first packet of a connection only, so established
// connections go on, and it leaves out those from within the pod. A port is refused for a few seconds, a time that the kernel
// itself watches over and that is renewed while the agent goes on saying so: whatever dies, the rule is void soon after.
//
// It decides nothing, and refuses nobody on its own: without an agent that says so, every client passes. It is no protection
// of the data either: the agent closes mysqld whether there is a rule or not.
package packetrule
