// Package controllers turns DatabasePairs into running pairs. PairReconciler observes, asks
// failover.Decide, executes the first step, writes the status, and begins again.
// childrenReconciler, with a queue of its own, keeps the objects around the pair: Secrets,
// Services, policies and the StatefulSet. JobReconciler does operations by Jobs.
// StoredBackupReconciler keeps an object for each backup that a Job found in a store.
//
// The package decides nothing about roles itself, never sleeps and never opens a connection to
// mysqld.
package controllers
