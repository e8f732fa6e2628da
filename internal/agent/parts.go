package agent

import (
	"context"
	"path/filepath"

	"github.com/dbpair/dbpair/internal/authority"
)

// addProgram makes what is known of the image's mysqld and of its settings.
func (a *Agent) addProgram() {
	a.image = &image{
		mysqld:  a.opt.Mysqld,
		running: a.mysqld,
		state:   a.state,
	}
	a.options = &optionFile{
		opt:    a.opt,
		env:    a.env,
		log:    a.log,
		config: a.settings.get,
		vol:    a.vol,
		mysqld: a.mysqld,
		state:  a.state,
		ask:    a.image.ask,
	}
	a.trials = trials{
		env:    a.env,
		dir:    filepath.Join(a.opt.RunDir, "validate-config"),
		member: a.options.member,
		ask:    a.image.ask,
		server: a.ops,
		isUp:   a.mysqld.isUp,
	}
	a.owned = &ownedSettings{
		log:       a.log,
		ops:       a.ops,
		member:    a.options.own,
		state:     a.state,
		corrected: func() { a.metrics.settings.Inc() },
	}
}

// addReplication makes the standing order, and what carries it out.
func (a *Agent) addReplication() {
	a.discards = &discards{
		log:      a.log,
		ops:      a.ops,
		vol:      a.vol,
		data:     a.data,
		state:    a.state,
		peer:     a.peer,
		failures: a.failures,
	}
	channel := &channel{
		log:      a.log,
		ops:      a.ops,
		settings: a.settings,
		peer:     a.peer,
		source:   func() (string, int, error) { return peerAdmin(a.opt, a.env.Peer, a.settings.get()) },
		tls:      a.certs.files,
		failures: a.failures,
	}
	applier := &applier{
		log:    a.log,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
		keepOwned: func(ctx context.Context) error {
			_, err := a.owned.keep(ctx, false)
			return err
		},
	}
	a.follow = (&replication{
		pairUID:  a.env.PairUID,
		log:      a.log,
		ops:      a.ops,
		mysqld:   a.mysqld,
		state:    a.state,
		data:     a.data,
		settings: a.settings,
		peer:     a.peer,
		channel:  channel,
		applier:  applier,
		discards: a.discards,
	}).begin()
}

// addRepairs makes what a repair of table rows is permitted by.
func (a *Agent) addRepairs() {
	a.permit = &permit{
		gate:  a.gate,
		log:   a.log,
		state: a.state,
	}
	a.forcing = &forcing{
		gate:   a.gate,
		log:    a.log,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
		follow: a.follow,
		permit: a.permit,
	}
	a.archived = &archived{pairUID: a.env.PairUID}
	a.users = &users{
		gate:   a.gate,
		log:    a.log,
		ops:    a.ops,
		state:  a.state,
		config: a.settings.get,
	}
	a.rights = &repairRights{
		gate:   a.gate,
		log:    a.log,
		ops:    a.ops,
		state:  a.state,
		permit: a.permit,
		vol:    a.vol,
	}
}

// addRoles makes what opens and closes mysqld.
func (a *Agent) addRoles() {
	a.readers = &readers{
		log:  a.log,
		ops:  a.ops,
		port: a.newReadersPort(),
	}
	a.waiting = &waiting{
		log:        a.log,
		ops:        a.ops,
		state:      a.state,
		post:       a.queue.post,
		lost:       func() { a.metrics.interrupted.Inc() },
		endReaders: a.readers.end,
	}
	a.jobs = &jobGuard{
		log:    a.log,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
		roles:  a.follow,
		config: a.settings.get,
		ended:  func() { a.metrics.locksEnded.Inc() },
	}
	record := openRecord{
		log:    a.log,
		mysqld: a.mysqld,
		state:  a.state,
	}
	a.opening = &opening{
		log:      a.log,
		ops:      a.ops,
		mysqld:   a.mysqld,
		state:    a.state,
		follow:   a.follow,
		jobs:     a.jobs,
		forcing:  a.forcing,
		waiting:  a.waiting,
		member:   a.options.own,
		config:   a.settings.get,
		post:     a.queue.post,
		failed:   func() { a.metrics.openFailures.Inc() },
		failures: a.failures,
	}
	a.closing = &closing{
		log:      a.log,
		ops:      a.ops,
		mysqld:   a.mysqld,
		state:    a.state,
		follow:   a.follow,
		jobs:     a.jobs,
		record:   record,
		config:   a.settings.get,
		post:     a.queue.post,
		failures: a.failures,
	}
}

// addConfirmations makes what finds out for the machine whether this member may be open, and what
// it remembers.
func (a *Agent) addConfirmations() {
	a.tail = &tailCheck{
		pairUID: a.env.PairUID,
		ops:     a.ops,
		mysqld:  a.mysqld,
		state:   a.state,
		peer:    a.peer,
		post:    a.queue.post,
	}
	a.confirming = &confirming{
		pairUID:     a.env.PairUID,
		self:        a.env.PodName,
		lease:       a.lease,
		peer:        a.peer,
		state:       a.state,
		post:        a.queue.post,
		countRead:   func(o authority.ReadOutcome) { a.metrics.leaseReads.WithLabelValues(string(o)).Inc() },
		countAnswer: func(result string) { a.metrics.vouches.WithLabelValues(result).Inc() },
	}
	a.memory = &memoryFile{
		log:      a.log,
		vol:      a.vol,
		state:    a.state,
		post:     a.queue.post,
		due:      make(chan memory, 8),
		failures: a.failures,
	}
	a.beat = &volumeBeat{
		log:  a.log,
		vol:  a.vol,
		node: a.env.Node,
		post: a.queue.post,
	}
}
