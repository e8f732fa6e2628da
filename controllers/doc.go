// Package controllers turns DatabasePairs into running pairs: it observes, asks
// failover.Decide, executes the first step, writes the status, and begins again.
//
// It decides nothing about roles itself, never sleeps and never opens a connection to
// mysqld. What it owns are the objects around the pair: Services, Secrets, policies and
// the StatefulSet.
package controllers
