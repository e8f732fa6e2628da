package agent

import (
	"context"
	"fmt"

	"github.com/dbpair/dbpair/internal/mysqlops"
)

// addStarter makes what starts mysqld and sees that it has ended.
func (a *Agent) addStarter() {
	a.libraries = &libraries{
		log:    a.log,
		ops:    a.ops,
		config: a.settings.get,
		vol:    a.vol,
		data:   a.data,
		state:  a.state,
	}
	a.launcher = &launcher{
		opt:      a.opt,
		self:     a.self,
		log:      a.log,
		image:    a.image,
		options:  a.options,
		vol:      a.vol,
		mysqld:   a.mysqld,
		state:    a.state,
		failures: a.failures,
	}
	a.starter = &starter{
		log:       a.log,
		ops:       a.ops,
		launcher:  a.launcher,
		options:   a.options,
		libraries: a.libraries,
		vol:       a.vol,
		data:      a.data,
		mysqld:    a.mysqld,
		state:     a.state,
		post:      a.queue.post,
		denied:    a.settings.otherRoot,
		beside:    a.beside,
		failures:  a.failures,
		reseed:    fmt.Sprintf("kubectl dbpair reseed %s %s -n %s", a.env.PairName, a.env.PodName, a.env.Namespace),
		exits: &exits{
			log:    a.log,
			socket: a.opt.socket(),
			mysqld: a.mysqld,
			state:  a.state,
			follow: a.follow,
			record: a.closing.record,
			post:   a.queue.post,
			count:  func() { a.metrics.exits.Inc() },
		},
	}
}

// life is the context of Run, for work that outlives a request.
func (a *Agent) life() context.Context { return a.ctx }

// beside runs work in a goroutine of its own, which ends with the agent and not with who began it.
type beside func(work func(context.Context))

func (a *Agent) beside(work func(context.Context)) { go work(a.ctx) }

// addData makes what replaces the data.
func (a *Agent) addData() {
	judged := dataGate{
		gate:     a.gate,
		self:     a.env.PodName,
		peerName: a.env.Peer,
		lease:    a.lease,
		data:     a.data,
	}
	create := a.newData()
	donors := a.donorCopies(create)
	adopt := &adoption{
		vol:      a.vol,
		data:     a.data,
		settings: a.settings,
		state:    a.state,
		post:     a.queue.post,
	}
	a.initializing = &initializing{
		gate:     judged,
		log:      a.log,
		vol:      a.vol,
		data:     a.data,
		state:    a.state,
		make:     create,
		donors:   donors,
		dumps:    a.dumpLoads(create),
		adoption: adopt,
		beside:   a.beside,
		failures: a.failures,
	}
	a.seeding = &seeding{
		gate:     judged,
		log:      a.log,
		vol:      a.vol,
		data:     a.data,
		mysqld:   a.mysqld,
		state:    a.state,
		follow:   a.follow,
		make:     create,
		adoption: adopt,
		givenUp:  a.discards,
		post:     a.queue.post,
		beside:   a.beside,
		failures: a.failures,
		backups:  a.backupSeeds(donors),
		copier: &cloning{
			opt:      a.opt,
			peerName: a.env.Peer,
			make:     create,
			settings: a.settings,
			tls:      a.certs.files,
			vol:      a.vol,
			mysqld:   a.mysqld,
			state:    a.state,
		},
	}
	a.addCuts(judged)
}

// backupSeeds copy backups of the pair.
func (a *Agent) backupSeeds(copies *donorCopies) *backupSeeds {
	return &backupSeeds{
		copies:   copies,
		settings: a.settings,
		tls:      a.certs.files,
		source:   func() (string, int, error) { return peerAdmin(a.opt, a.env.Peer, a.settings.get()) },
		has:      a.discards.primaryHas,
		failures: a.failures,
	}
}

// addCuts makes what gives up a part of the data.
func (a *Agent) addCuts(judged dataGate) {
	a.rewinding = &rewinding{
		gate:     judged,
		log:      a.log,
		vol:      a.vol,
		data:     a.data,
		mysqld:   a.mysqld,
		state:    a.state,
		post:     a.queue.post,
		beside:   a.beside,
		failures: a.failures,
	}
	a.discarding = &discarding{
		gate:   judged,
		state:  a.state,
		follow: a.follow,
		life:   a.life,
	}
}

// newData makes data directories, whose root has no password at first.
func (a *Agent) newData() *newData {
	return &newData{
		opt:      a.opt,
		image:    a.image,
		options:  a.options,
		launcher: a.launcher,
		zones:    &timeZones{log: a.log, mysqld: a.opt.Mysqld},
		settings: a.settings,
		vol:      a.vol,
		mysqld:   a.mysqld,
		connect:  func() *mysqlops.Server { return a.server(func() mysqlops.Secret { return mysqlops.Secret{} }) },
	}
}

// donorCopies copies servers outside of the pair.
func (a *Agent) donorCopies(create *newData) *donorCopies {
	return &donorCopies{
		attempts: &attempts{log: a.log, state: a.state},
		opt:      a.opt,
		make:     create,
		settings: a.settings,
		vol:      a.vol,
		mysqld:   a.mysqld,
		state:    a.state,
		accounts: a.takeover(create),
		failures: a.failures,
	}
}

// dumpLoads load dumps.
func (a *Agent) dumpLoads(create *newData) *dumpLoads {
	a.dumpIntake = newDumpIntake(a.entrance(), func() bool {
		id := a.data.get()
		return id.DataID != "" && !id.Void
	})
	return &dumpLoads{
		attempts: &attempts{log: a.log, state: a.state},
		opt:      a.opt,
		make:     create,
		settings: a.settings,
		vol:      a.vol,
		state:    a.state,
		connect:  a.server,
		accounts: a.takeover(create),
		intake:   a.dumpIntake,
		failures: a.failures,
	}
}

func (a *Agent) takeover(create *newData) *takeover {
	return &takeover{
		opt:      a.opt,
		make:     create,
		settings: a.settings,
		vol:      a.vol,
		connect:  a.server,
		failures: a.failures,
	}
}

// addCommands makes what answers the operator and the peer.
func (a *Agent) addCommands() {
	a.draining = &draining{
		gate:  a.gate,
		log:   a.log,
		ops:   a.ops,
		state: a.state,
		life:  a.life,
	}
	a.doorOrders = &doorOrders{
		gate:  a.gate,
		log:   a.log,
		door:  a.door,
		state: a.state,
	}
	a.commands = &commands{
		self:    a.state.self,
		gate:    a.gate,
		log:     a.log,
		ops:     a.ops,
		mysqld:  a.mysqld,
		state:   a.state,
		answers: &a.answers,
		post:    a.queue.post,
	}
	a.reports = &reports{
		access: a.access(),
		gate:   a.gate,
		ops:    a.ops,
		mysqld: a.mysqld,
		state:  a.state,
	}
	a.roles = &roles{
		self:   a.env.PodName,
		state:  a.state,
		config: a.settings.get,
	}
}

// access says who may ask this agent.
func (a *Agent) access() access {
	return access{
		pairName: a.env.PairName,
		self:     a.env.PodName,
		peerName: a.env.Peer,
		config:   a.settings.get,
	}
}

// entrance is what every command passes.
func (a *Agent) entrance() entrance {
	return entrance{
		access: a.access(),
		log:    a.log,
		begun:  a.state.hasBegun,
	}
}
