// Package status turns an observation and the plan that followed from it into the
// status of a DatabasePair: conditions, members and columns.
//
// It is pure. Every condition is present from the first visit; a condition's reason is
// the name of the rule that decided it, its message a fact and, where someone has to
// act, the verb. GTID sets stay out of it.
package status
