//go:build !failpoints

package agent

func armedFailpoints() map[Failpoint]bool { return nil }

func fire(Failpoint) bool { return false }

func die() {}
