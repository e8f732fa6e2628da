// Package judge holds what an agent judges by rule from what it has read: whether a
// snapshot is complete, whether data may be given up, whether the reverse channel may
// open, who may acknowledge.
//
// It is pure, so that the simulator runs it as it is. It asks nobody and does nothing: the
// agent reads and acts around it.
package judge
