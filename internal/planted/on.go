//go:build plantedbugs

package planted

// Active is the one bug that is switched on; empty for none.
var Active string

// On reports whether the bug of this name is switched on.
func On(name string) bool { return Active == name }
