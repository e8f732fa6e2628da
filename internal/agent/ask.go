package agent

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"strconv"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/agentclient"
)

// AskState asks the agent that runs in this container for its state, with the member's
// own certificate. It is what `agent state` prints, for people and for the kubectl
// plugin. It blocks until the answer or the end of ctx.
func AskState(ctx context.Context, opt Options, env Environment) (agentapi.State, error) {
	client, err := ownClient(opt, env)
	if err != nil {
		return agentapi.State{}, err
	}
	state, err := client.State(ctx, 0, 0, false)
	if err != nil {
		return agentapi.State{}, fmt.Errorf("ask the agent of %s for its state: %w", env.PodName, err)
	}
	return state, nil
}

// AskSessions asks the agent of this container for the sessions of clients.
func AskSessions(ctx context.Context, opt Options, env Environment) (agentapi.SessionsReply, error) {
	client, err := ownClient(opt, env)
	if err != nil {
		return agentapi.SessionsReply{}, err
	}
	reply, err := client.Sessions(ctx)
	if err != nil {
		return agentapi.SessionsReply{}, fmt.Errorf("ask the agent of %s for the sessions of clients: %w", env.PodName, err)
	}
	return reply, nil
}

// ownClient is a client of the agent of this container.
func ownClient(opt Options, env Environment) (*agentclient.Client, error) {
	opt = opt.complete(env)
	c, err := readCerts(opt.TLSDir)
	if err != nil {
		return nil, err
	}
	host := opt.BindAddress
	if host == "" {
		host = "127.0.0.1"
	}
	return &agentclient.Client{
		Address: net.JoinHostPort(host, strconv.Itoa(opt.AgentPort)),
		TLS:     func() (*tls.Config, error) { return c.client(agentapi.RolePeerPrefix + string(env.PodName)) },
	}, nil
}
