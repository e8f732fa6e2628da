package agent

import (
	"io"
	"log"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"github.com/dbpair/dbpair/internal/agent/door"
	"github.com/dbpair/dbpair/internal/agentapi"
)

// metrics are the agent's figures. docs name them; there is no label with an open set of
// values.
type metrics struct {
	registry     *prometheus.Registry
	exits        prometheus.Counter
	corrections  prometheus.Counter
	settings     prometheus.Counter
	interrupted  prometheus.Counter
	openFailures prometheus.Counter
	locksEnded   prometheus.Counter
	vouches      *prometheus.CounterVec
	leaseReads   *prometheus.CounterVec
	held         *prometheus.CounterVec
	logins       *prometheus.CounterVec
	holdTime     prometheus.Histogram
}

// newMetrics registers the figures; refused and state are asked whenever the figures are.
func newMetrics(refused func() int64, state func() agentapi.State) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		exits:    counter("mysqld_exits_total", "Ends of mysqld seen."),
		interrupted: counter("waiting_interruptions_total",
			"Times commits of this open member were found not to wait for its peer, by an external change."),
		corrections: counter("read_only_corrections_total", "Times this closed member was found writable and corrected."),
		settings: counter("setting_corrections_total",
			"Times settings that dbpair owns were found changed in the running mysqld and set right."),
		locksEnded:   counter("job_locks_ended_total", "Sessions of Jobs that were ended because they held a lock too long."),
		openFailures: counter("open_failures_total", "Attempts to open that failed."),
		vouches:      counters("vouches_asked_total", "Confirmations asked of the peer, by result.", "result"),
		leaseReads:   counters("lease_reads_total", "Readings of the Lease, by outcome.", "outcome"),
		logins:       counters("logins_refused_total", "Logins that mysqld refused, by reason.", "reason"),
		held:         counters("door_held_total", "Clients whose holding at the door ended, by outcome.", "outcome"),
		holdTime: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: metricNamespace,
			Subsystem: metricSubsystem,
			Name:      "door_hold_seconds",
			Help:      "How long clients were held at the door.",
			Buckets:   []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30},
		}),
	}
	for _, outcome := range door.Outcomes {
		m.held.WithLabelValues(string(outcome))
	}
	for _, reason := range []string{refusedDenied, refusedInsecure} {
		m.logins.WithLabelValues(reason)
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.exits, m.corrections, m.settings, m.interrupted, m.openFailures, m.locksEnded, m.vouches, m.leaseReads, m.held, m.logins, m.holdTime,
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Namespace: metricNamespace,
			Subsystem: metricSubsystem,
			Name:      "door_refused_total",
			Help:      "Clients turned away at the door.",
		}, func() float64 { return float64(refused()) }),
	)
	m.registry.MustRegister(gauges(state)...)
	return m
}

const (
	metricNamespace = "dbpair"
	metricSubsystem = "agent"
)

func counter(name, help string) prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{
		Namespace: metricNamespace,
		Subsystem: metricSubsystem,
		Name:      name,
		Help:      help,
	})
}

func counters(name, help, label string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{
		Namespace: metricNamespace,
		Subsystem: metricSubsystem,
		Name:      name,
		Help:      help,
	}, []string{label})
}

// refused counts logins that mysqld refused.
func (m *metrics) refused(reason string, n int64) { m.logins.WithLabelValues(reason).Add(float64(n)) }

// gauges are read from the agent's state when they are asked for.
func gauges(state func() agentapi.State) []prometheus.Collector {
	gauge := func(name, help string, value func(agentapi.State) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: metricNamespace,
			Subsystem: metricSubsystem,
			Name:      name,
			Help:      help,
		}, func() float64 { return value(state()) })
	}
	server := func(value func(agentapi.Server) float64) func(agentapi.State) float64 {
		return func(s agentapi.State) float64 {
			if s.Server == nil {
				return 0
			}
			return value(*s.Server)
		}
	}
	return []prometheus.Collector{
		gauge("open", "1 while this member is open.", func(s agentapi.State) float64 { return one(s.Phase == agentapi.PhaseOpen) }),
		gauge("mysqld_up", "1 while mysqld runs.", func(s agentapi.State) float64 { return one(s.Mysqld.Running) }),
		gauge("known_epoch", "Highest epoch known, on the volume.", func(s agentapi.State) float64 { return float64(s.KnownEpoch) }),
		gauge("confirmation_age_seconds", "Age of the last confirmation; negative without one.",
			func(s agentapi.State) float64 { return s.ConfirmationAge.Seconds() }),
		gauge("peer_silent_seconds", "Time since the peer's agent answered.",
			func(s agentapi.State) float64 { return s.PeerSilentFor.Seconds() }),
		gauge("replication_lag_seconds", "Age of the oldest transaction that is received and not applied.",
			server(func(s agentapi.Server) float64 { return float64(s.LagSeconds) })),
		gauge("replication_lag_transactions", "Transactions that are received and not applied.",
			server(func(s agentapi.Server) float64 { return float64(s.LagTransactions) })),
		gauge("forces_rows", "1 while the applier forces rows through, for a repair.",
			func(s agentapi.State) float64 { return one(s.ForcesRowsFor != "") }),
		gauge("waiting_sessions", "Sessions whose commit waits for the peer.",
			server(func(s agentapi.Server) float64 { return float64(s.WaitSessions) })),
		gauge("door_held", "Clients that are held at the door now.", func(s agentapi.State) float64 { return float64(s.Door.Held) }),
		gauge("door_relayed", "Connections of clients that the door relays to mysqld now.",
			func(s agentapi.State) float64 { return float64(s.Door.Relayed) }),
		gauge("oldest_wait_seconds", "Age of the oldest commit that waits for the peer.",
			server(func(s agentapi.Server) float64 { return s.OldestWait.Seconds() })),
	}
}

func one(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// quiet swallows what net/http would print about clients that hang up.
func quiet() *log.Logger { return log.New(io.Discard, "", 0) }
