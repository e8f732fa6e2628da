package agent

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/go-logr/logr"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agent/process"
	"github.com/dbpair/dbpair/internal/agent/volume"
	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/authority"
	"github.com/dbpair/dbpair/internal/mysqlops"
	"github.com/dbpair/dbpair/internal/pair"
)

// Agent is one agent process.
type Agent struct {
	opt      Options
	env      Environment
	version  string
	self     string // own program
	log      logr.Logger
	settings *settings
	certs    *certs
	vol      *volume.Volume
	lease    *leaseReader
	peer     *peerLink
	door     *door.Door
	metrics  *metrics
	start    pair.AgentStart
	ops      *mysqlops.Server
	gate     gate
	state    *board
	data     *dataset
	mysqld   *instance
	failures *failpoints
	image    *image
	options  *optionFile
	trials   trials

	// What the machine asks for.
	confirming *confirming
	memory     *memoryFile
	beat       *volumeBeat
	launcher   *launcher
	starter    *starter
	libraries  *libraries
	opening    *opening
	closing    *closing
	tail       *tailCheck
	waiting    *waiting
	readers    *readers
	follow     *replication

	// What looks at mysqld and the volume all the time.
	owned  *ownedSettings
	watch  *watch
	upkeep *upkeep
	events *eventGuard
	room   *roomGuard
	jobs   *jobGuard

	// What the operator, the peer and Jobs ask for.
	commands     *commands
	reports      *reports
	roles        *roles
	doorOrders   *doorOrders
	draining     *draining
	initializing *initializing
	dumpIntake   *dumpIntake
	seeding      *seeding
	rewinding    *rewinding
	discards     *discards
	discarding   *discarding
	forcing      *forcing
	rights       *repairRights
	users        *users
	archived     *archived
	permit       *permit

	queue   *queue
	answers answers

	machine *authority.Machine // of the loop only
	ctx     context.Context    // of Run, for work that outlives a request
}

// New makes the agent; it reads every file it depends on and fails naming the one that
// is missing. It starts nothing.
func New(opt Options, env Environment, version string, log logr.Logger) (*Agent, error) {
	opt = opt.complete(env)
	settings, err := readSettings(opt)
	if err != nil {
		return nil, err
	}
	certs, err := readCerts(opt.TLSDir)
	if err != nil {
		return nil, err
	}
	lease, err := newLeaseReader(opt, env, os.Getenv, certs.verify)
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find own program: %w", err)
	}
	config := settings.get()
	a := &Agent{
		opt:      opt,
		env:      env,
		version:  version,
		self:     self,
		log:      log.WithValues("pair", env.PairName, "member", env.PodName),
		settings: settings,
		certs:    certs,
		vol:      volume.Open(opt.DataDir, opt.BinlogDir),
		lease:    lease,
		start:    pair.AgentStart(random()),
		mysqld:   &instance{},
		queue:    newQueue(),
	}
	a.state = newBoard(a.log, selfOf(env, a.start, version), settings.get)
	a.data = &dataset{over: func() { a.state.progress(nil) }}
	a.failures = newFailpoints(a.log)
	a.peer = newPeerLink(opt, env, config, certs)
	a.door = a.newDoor()
	a.door.Configure(policyOf(config))
	a.ops = a.server(settings.root)
	a.gate = gate{pairUID: env.PairUID, state: a.state}
	a.addProgram()
	a.addReplication()
	a.addRepairs()
	a.addRoles()
	a.addConfirmations()
	a.addStarter()
	a.addData()
	a.addCommands()
	a.addGuards()
	a.metrics = newMetrics(a.door.Refused.Load, a.state.snapshot)
	a.metrics.registry.MustRegister(volumeGauges(a.state, dataVolume)...)
	if a.vol.HasBinlogVolume() {
		a.metrics.registry.MustRegister(volumeGauges(a.state, binlogVolume)...)
	}
	a.state.from = a.sources()
	return a, nil
}

// selfOf is what the state says of the member all its life.
func selfOf(env Environment, start pair.AgentStart, version string) agentapi.State {
	return agentapi.State{
		PairUID:      env.PairUID,
		Member:       env.PodName,
		PodUID:       env.PodUID,
		AgentStart:   start,
		AgentVersion: version,
		TellsRole:    true,
	}
}

// sources are the parts that the board asks.
func (a *Agent) sources() sources {
	return sources{
		peer:   a.peer.last,
		door:   a.doorOrders.describe,
		member: a.memberNow,
		forces: a.forcing.holder,
		drain:  a.draining.describe,
	}
}

func (a *Agent) memberNow() memberNow {
	identity, busy := a.data.now()
	child, lastOpen := a.mysqld.now()
	return memberNow{
		child:    child,
		lastOpen: lastOpen,
		identity: identity,
		busy:     busy,
	}
}

func (a *Agent) intake() *intake {
	return &intake{
		env:   a.env,
		log:   a.log,
		vol:   a.vol,
		lease: a.lease,
		state: a.state,
		data:  a.data,
	}
}

// server is the mysqld of this member, with timeouts that fit into T.
func (a *Agent) server(password func() mysqlops.Secret) *mysqlops.Server {
	return mysqlops.Open(mysqlops.Config{
		Socket:   a.opt.socket(),
		Password: password,
		Timeouts: mysqlops.Timeouts{Fence: max(a.settings.get().LeaseDuration/8, 200*time.Millisecond)},
	})
}

// Run serves until SIGTERM was obeyed, ctx ends or something makes going on impossible.
// terminate is what SIGTERM does. mysqld never outlives it.
func (a *Agent) Run(ctx context.Context, terminate <-chan os.Signal) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer a.mysqld.kill()
	a.ctx = ctx
	failed := make(chan error, 8)
	if err := a.listen(ctx, failed); err != nil {
		return err
	}
	a.servePacketRule(ctx)
	go a.watchFiles(ctx)
	found, err := a.intake().await(ctx, terminate, failed)
	if errors.Is(err, errEnded) {
		return nil
	}
	if err != nil {
		return err
	}
	a.begin(found)
	go a.discards.remember()
	for _, part := range []func(context.Context){
		a.loop, a.memory.run, a.beat.run, a.watch.runPeer, a.watch.runServer, a.follow.run, a.upkeep.run, a.events.run,
		a.jobs.run, a.forcing.run, a.room.run,
	} {
		go part(ctx)
	}
	for {
		select {
		case <-terminate:
			grace := process.Now().Add(a.env.GracePeriod - min(endBefore, a.env.GracePeriod/5))
			a.log.Info("asked to end", "graceUntil", grace)
			a.queue.post(authority.Terminate{At: process.Now(), Until: grace})
		case <-a.queue.done:
			return nil
		case err := <-failed:
			return err
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// endBefore is how long before the end of the pod's grace period the agent has ended its
// mysqld; a fifth of a short one.
const endBefore = 10 * time.Second

// errEnded: asked to end before there was anything to end.
var errEnded = errors.New("ended")

// begin makes the machine from what the volume remembers.
func (a *Agent) begin(found foundVolume) {
	config := a.settings.get()
	a.machine = authority.NewMachine(authority.Config{
		PairUID:             a.env.PairUID,
		Self:                pair.Holder{Member: a.env.PodName, PodUID: a.env.PodUID},
		Peer:                a.env.Peer,
		T:                   config.LeaseDuration,
		Margin:              config.SafetyMargin,
		RestartInPlaceAfter: config.RestartInPlaceAfter,
		Moved:               found.moved,
		Seed:                uint64(process.Now()) ^ uint64(a.env.Ordinal+1)<<32,
		Start:               a.start,
		Linger:              a.opt.Linger,
		Verify:              a.certs.verify,
	}, found.memory.Durable, process.Now())
	a.beat.moved = found.moved
	a.state.remember(found)
	if found.identity.DataID != "" && !found.identity.Void {
		a.queue.post(authority.DataReady{
			At:        process.Now(),
			DataID:    found.identity.DataID,
			EpochFile: found.remembered,
			Renewed:   found.renewed,
		})
	}
	a.log.Info("agent begins", "agentStart", a.start, "agentVersion", a.version, "epoch", found.memory.Known,
		"dataID", found.identity.DataID, "openAt", found.memory.OpenAt, "void", found.identity.Void)
}

// random is a random identifier.
func random() string {
	var b [8]byte
	_, _ = rand.Read(b[:])
	return hex.EncodeToString(b[:])
}

// watchFiles takes up what the operator changes in files.
func (a *Agent) watchFiles(ctx context.Context) {
	every(ctx, 2*time.Second, func() {
		if err := a.settings.reload(); err != nil {
			a.log.Error(err, "cannot take up the operator's files; what was read before stays in use")
		} else {
			config := a.settings.get()
			a.door.Configure(policyOf(config))
			a.queue.post(authority.Reconfigured{At: process.Now(), RestartInPlaceAfter: config.RestartInPlaceAfter})
		}
		changed, err := a.certs.reload()
		if err != nil {
			a.state.problem(agentapi.ProblemCertificate, err.Error())
			return
		}
		a.state.resolve(agentapi.ProblemCertificate)
		if changed {
			a.log.Info("certificates changed")
			a.peer.client.Renew()
			a.peer.word.Renew()
			a.state.tlsDue(true)
		}
	})
}

// every runs f now and then every period until ctx ends.
func every(ctx context.Context, period time.Duration, f func()) {
	ticker := time.NewTicker(period)
	defer ticker.Stop()
	for {
		f()
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
