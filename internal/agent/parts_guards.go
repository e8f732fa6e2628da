package agent

// addGuards makes the parts that look at mysqld and the volume all the time.
func (a *Agent) addGuards() {
	a.watch = &watch{
		log:      a.log,
		ops:      a.ops,
		mysqld:   a.mysqld,
		state:    a.state,
		peer:     a.peer,
		config:   a.settings.get,
		denied:   func() { a.settings.otherRoot() },
		relayLog: a.vol.NewestRelayLog,
		waiting:  a.waiting,
		readers:  a.readers,
		owned:    a.owned,
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
		live: &liveSettings{
			log:     a.log,
			ops:     a.ops,
			config:  a.settings.get,
			running: a.mysqld.running,
			publish: a.state.hasSettings,
		},
		libraries: a.libraries,
		logins: &logins{
			log:     a.log,
			ops:     a.ops,
			refused: func(reason string, n int64) { a.metrics.refused(reason, n) },
		},
		marks: &binlogMarks{
			log:  a.log,
			vol:  a.vol,
			data: a.data,
		},
		space: &volumeSpace{
			log:   a.log,
			vol:   a.vol,
			state: a.state,
		},
		passwords: &rotation{
			log:         a.log,
			ops:         a.ops,
			vol:         a.vol,
			settings:    a.settings,
			state:       a.state,
			peer:        a.peer,
			worksWith:   a.follow.channel.worksWith,
			acceptsRoot: a.acceptsRoot,
		},
		purging: a.newPurging(),
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

func (a *Agent) newPurging() *purging {
	return &purging{
		pairUID:  a.env.PairUID,
		self:     a.env.PodName,
		peerName: a.env.Peer,
		root:     a.vol.BinlogRoot(),
		log:      a.log,
		ops:      a.ops,
		state:    a.state,
		peer:     a.peer,
		archived: a.archived,
		full:     nearlyFull,
		config:   a.settings.get,
	}
}
