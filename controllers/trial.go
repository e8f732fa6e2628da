package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
	"github.com/dbpair/dbpair/internal/fencing"
	"github.com/dbpair/dbpair/internal/pair"
)

const (
	// trialTimeout bounds the question to one member, whose mysqld takes some seconds to start.
	trialTimeout = 30 * time.Second
	// trialPatience is how long settings wait for a member that can try them. A pair that has
	// none must get them all the same: they may be what it needs to start.
	trialPatience = time.Minute
)

// trial has a member's mysqld try the settings of one generation, beside the reconcile.
type trial struct {
	generation int64
	since      time.Time
	result     chan tried
}

// tried is what a mysqld says: why it would not take the settings, empty when it would, or
// an error when it could not be asked.
type tried struct {
	why string
	err error
}

// trySettings has a member try settings before they are published, and takes its answer up
// when it is there.
func (r *childrenReconciler) trySettings(ctx context.Context, v *childrenVisit, published, wanted agentapi.Config) {
	s := v.memory
	if s.trial == nil || s.trial.generation != v.pair.Generation {
		s.trial = &trial{generation: v.pair.Generation, since: r.Now()}
		r.beginTrial(ctx, v, published, wanted)
		return
	}
	select {
	case got := <-s.trial.result:
		switch {
		case got.err == nil:
			s.settle(v.pair.Generation, got.why)
		case r.Now().Sub(s.trial.since) < trialPatience && !errors.Is(got.err, agentclient.ErrNoSuchPath):
			v.log.V(1).Info("no member could try the settings, trying again", "why", got.err.Error())
			r.beginTrial(ctx, v, published, wanted)
		default:
			v.log.Info("the settings are published untried, each member checks them at its next start", "why", got.err.Error())
			s.settle(v.pair.Generation, "")
		}
	default:
	}
}

// settle ends the trial of a generation.
func (s *childrenMemory) settle(generation int64, why string) {
	s.judged = judged{generation: generation, why: why}
	s.trial = nil
}

// trying reports whether the settings of this generation wait for a member that tries them.
func (s *childrenMemory) trying(generation int64) bool {
	return s.judged.generation != generation && s.trial != nil && s.trial.generation == generation
}

// beginTrial asks the members one after the other, the passive first: a second mysqld beside
// the primary takes memory and CPU from it for a moment.
func (r *childrenReconciler) beginTrial(ctx context.Context, v *childrenVisit, published, wanted agentapi.Config) {
	result := make(chan tried, 1)
	v.memory.trial.result = result
	var asked []*agentclient.Client
	for i, pod := range v.pods {
		if pod == nil {
			continue
		}
		member := ordinals[i].Member(v.pair.Name)
		agent, err := r.agents.command(v.name, v.pods, fencing.Subject{Member: member, PodUID: pair.PodUID(pod.UID)})
		switch {
		case err != nil:
		case string(member) == v.pair.Status.Primary:
			asked = append(asked, agent)
		default:
			asked = append([]*agentclient.Client{agent}, asked...)
		}
	}
	request := agentapi.ValidateConfigRequest{
		PairUID:    pair.UID(v.pair.UID),
		Settings:   wanted.MySQL,
		Components: wanted.Components,
		Plugins:    wanted.Plugins,
	}
	ctx = context.WithoutCancel(ctx)
	go func() { result <- askInTurn(ctx, asked, request, published) }()
}

// askInTurn is the answer of the first agent that has one.
func askInTurn(
	ctx context.Context,
	agents []*agentclient.Client,
	request agentapi.ValidateConfigRequest,
	published agentapi.Config,
) tried {
	last := tried{err: errors.New("no member has an agent that can be reached")}
	for _, agent := range agents {
		ctx, cancel := context.WithTimeout(ctx, trialTimeout)
		reply, err := agent.ValidateConfig(ctx, request)
		cancel()
		if err == nil {
			return tried{why: notTaken(reply.Problems, published, request.Settings)}
		}
		last.err = err
	}
	return last
}

// notTaken names what mysqld does not take of what differs from the published configuration:
// what it takes in its own way already runs like that.
func notTaken(problems []agentapi.SettingProblem, published agentapi.Config, settings map[string]string) string {
	var found, libraries []string
	for _, p := range problems {
		before, had := published.MySQL[p.Option]
		switch {
		case p.Field != "":
			if !slices.Contains(published.Components, p.Option) && !slices.Contains(published.Plugins, p.Option) {
				libraries = append(libraries, fmt.Sprintf("%s: %q: %s", p.Field, p.Option, p.Message))
			}
		case p.Option == "":
			found = append(found, p.Message)
		case !had || before != settings[p.Option]:
			found = append(found, fmt.Sprintf("%s: %s", p.Option, p.Message))
		}
	}
	if len(found) > 0 {
		libraries = append([]string{"spec.mysql.config: mysqld does not take this as it is given, correct it: " + strings.Join(found, "; ")},
			libraries...)
	}
	return strings.Join(libraries, "; ")
}
