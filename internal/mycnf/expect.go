package mycnf

// Expectation is one variable and the value a running mysqld must show.
type Expectation struct {
	Variable string
	Want     string
}
