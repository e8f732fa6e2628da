package agent

import (
	"context"
	"path/filepath"
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

// addGuards makes the parts that look at mysqld and the volume all the time.
func (a *Agent) addGuards() {
	a.watch = &watch{
		log:     a.log,
		ops:     a.ops,
		mysqld:  a.mysqld,
		state:   a.state,
		peer:    a.peer,
		config:  a.settings.get,
		denied:  a.settings.otherRoot,
		waiting: a.waiting,
		owned:   a.owned,
		lacking: lacking{
			pairUID: a.env.PairUID,
			log:     a.log,
			state:   a.state,
			data:    a.data,
		},
		readOnly: readOnlyGuard{
			log:       a.log,
			ops:       a.ops,
			state:     a.state,
			follow:    a.follow,
			corrected: func() { a.metrics.corrections.Inc() },
		},
		acks: ackGuard{
			pairUID: a.env.PairUID,
			ordinal: a.env.Ordinal,
			log:     a.log,
			ops:     a.ops,
			state:   a.state,
			peer:    a.peer,
			foreign: a.waiting.foreign,
		},
	}
	a.events = &eventGuard{
		log:    a.log,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
	}
	a.room = &roomGuard{
		log:    a.log,
		mysqld: a.mysqld,
		state:  a.state,
		room: &adminRoom{
			limit:     a.ops.ConnectionLimit,
			setLimit:  a.ops.SetConnectionLimit,
			connected: func() (int, error) { return establishedAt(a.opt.AdminPort) },
		},
	}
	a.upkeep = a.newUpkeep()
}

func (a *Agent) newUpkeep() *upkeep {
	return &upkeep{
		log:    a.log,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
		rights: a.rights,
		space: &volumeSpace{
			log:   a.log,
			vol:   a.vol,
			state: a.state,
		},
		passwords: &rotation{
			log:       a.log,
			ops:       a.ops,
			vol:       a.vol,
			settings:  a.settings,
			state:     a.state,
			peer:      a.peer,
			worksWith: a.follow.channel.worksWith,
		},
		purging: &purging{
			pairUID:  a.env.PairUID,
			self:     a.env.PodName,
			peerName: a.env.Peer,
			root:     a.vol.Root(),
			log:      a.log,
			ops:      a.ops,
			state:    a.state,
			peer:     a.peer,
			config:   a.settings.get,
		},
		saved: &quarantineGuard{
			peerName: a.env.Peer,
			log:      a.log,
			vol:      a.vol,
			state:    a.state,
			peer:     a.peer,
			config:   a.settings.get,
		},
	}
}

// addParts makes what carries out the operator's commands beside the machine.
func (a *Agent) addParts() {
	a.gate = gate{pairUID: a.env.PairUID, state: a.state}
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
	a.rights = &repairRights{
		gate:   a.gate,
		log:    a.log,
		ops:    a.ops,
		state:  a.state,
		permit: a.permit,
		vol:    a.vol,
	}
	a.waiting = &waiting{
		log:   a.log,
		ops:   a.ops,
		state: a.state,
		post:  a.queue.post,
		lost:  func() { a.metrics.interrupted.Inc() },
	}
	a.draining = &draining{
		gate:  a.gate,
		log:   a.log,
		ops:   a.ops,
		state: a.state,
		life:  func() context.Context { return a.ctx },
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
}
