package agentclient

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// maxBody bounds an answer, in bytes.
const maxBody = 8 << 20

// Client speaks to one agent over mutual TLS. Every method blocks until the answer or
// the end of its context; without a deadline of its own a request gets Timeout. After a
// request that got no answer the next one uses a new connection: a half-dead one would
// otherwise be found out only much later. It is safe for concurrent use.
type Client struct {
	// Address is host:port of the agent.
	Address string
	// TLS is asked for each new connection, so that renewed certificates are used.
	TLS func() (*tls.Config, error)
	// Dial makes a connection to Address; over the network when nil.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Timeout of a request whose context has no deadline; 10 s when zero.
	Timeout time.Duration

	mu        sync.Mutex
	transport *http.Transport
}

// State reads the agent's state. since > 0 with wait > 0 waits until the revision is
// another than since, or wait is over. fresh has mysqld asked again.
func (c *Client) State(ctx context.Context, since int64, wait time.Duration, fresh bool) (agentapi.State, error) {
	q := url.Values{}
	if since > 0 && wait > 0 {
		q.Set("since", strconv.FormatInt(since, 10))
		q.Set("wait", wait.String())
	}
	if fresh {
		q.Set("fresh", "1")
	}
	path := agentapi.PathState
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait+c.timeout())
		defer cancel()
	}
	var out agentapi.State
	return out, c.call(ctx, http.MethodGet, path, nil, &out)
}

// Vouch asks for the agent's word.
func (c *Client) Vouch(ctx context.Context, r agentapi.VouchRequest) (agentapi.VouchReply, error) {
	var out agentapi.VouchReply
	return out, c.call(ctx, http.MethodPost, agentapi.PathVouch, r, &out)
}

// Cease has the agent raise its highest known epoch.
func (c *Client) Cease(ctx context.Context, r agentapi.Command) (agentapi.FenceReply, error) {
	return c.fence(ctx, agentapi.PathCease, r, r)
}

// Fence has the agent cease and close.
func (c *Client) Fence(ctx context.Context, r agentapi.Command) (agentapi.FenceReply, error) {
	return c.fence(ctx, agentapi.PathFence, r, r)
}

// AckFence has the agent cease and stop its receiver, once it has received what the command
// names.
func (c *Client) AckFence(ctx context.Context, r agentapi.AckFenceCommand) (agentapi.FenceReply, error) {
	return c.fence(ctx, agentapi.PathAckFence, r.Command, r)
}

func (c *Client) fence(ctx context.Context, path string, r agentapi.Command, body any) (agentapi.FenceReply, error) {
	var out agentapi.FenceReply
	err := c.call(ctx, http.MethodPost, path, body, &out)
	if err == nil && out.RequestID != r.RequestID {
		err = fmt.Errorf("%s of agent %s: the answer is to another request", path, c.Address)
	}
	return out, err
}

// Drain has the open member close the sessions of its clients in order, or stop that.
func (c *Client) Drain(ctx context.Context, r agentapi.DrainCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathDrain, r)
}

// Sessions lists the sessions of clients.
func (c *Client) Sessions(ctx context.Context) (agentapi.SessionsReply, error) {
	var out agentapi.SessionsReply
	return out, c.call(ctx, http.MethodGet, agentapi.PathSessions, nil, &out)
}

// ReadLease has the agent read the Lease now, and answers when it has.
func (c *Client) ReadLease(ctx context.Context, r agentapi.Command) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathReadLease, r)
}

// Archived says what the archive of binary logs has. Idempotent.
func (c *Client) Archived(ctx context.Context, r agentapi.ArchivedCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathArchived, r)
}

// ReleaseHeld has the door let clients through to the mysqld that is open at the command's
// epoch, now or later. Idempotent.
func (c *Client) ReleaseHeld(ctx context.Context, r agentapi.Command) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathReleaseHeld, r)
}

// Hold begins, or cancels, the time for which the door holds clients during a planned change
// of roles. Idempotent: the time is not extended.
func (c *Client) Hold(ctx context.Context, r agentapi.HoldCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathHold, r)
}

// Initialize begins to make an empty volume a data directory; idempotent for one DataID.
func (c *Client) Initialize(ctx context.Context, r agentapi.InitializeCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathInitialize, r)
}

// Seed begins to replace the member's data by a copy; idempotent for one DataID.
func (c *Client) Seed(ctx context.Context, r agentapi.SeedCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathSeed, r)
}

// Rewind cuts the member's errant tail.
func (c *Client) Rewind(ctx context.Context, r agentapi.RewindCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathRewind, r)
}

// Discard has the member save and give up what it has received and not applied, and answers
// when it has; idempotent.
func (c *Client) Discard(ctx context.Context, r agentapi.DiscardCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathDiscard, r)
}

// RepairLease grants, renews or ends the lease under which the passive's applier forces
// rows through; idempotent for one operation.
func (c *Client) RepairLease(ctx context.Context, r agentapi.RepairLeaseCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathRepairLease, r)
}

// RepairRights gives, renews or takes back the right to write one table of the primary;
// idempotent for one operation.
func (c *Client) RepairRights(ctx context.Context, r agentapi.RepairRightsCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathRepairRights, r)
}

// PermitRepair permits an operation to repair one table; idempotent.
func (c *Client) PermitRepair(ctx context.Context, r agentapi.PermitRepairCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathPermitRepair, r)
}

// EnsureUser makes an account for an application what it has to be; idempotent.
func (c *Client) EnsureUser(ctx context.Context, r agentapi.EnsureUserCommand) (agentapi.UserReply, error) {
	var out agentapi.UserReply
	path := agentapi.PathEnsureUser
	if r.Replication {
		path = agentapi.PathEnsureReader
	}
	return out, c.call(ctx, http.MethodPost, path, r, &out)
}

// RemoveUser locks or drops an account that EnsureUser made; idempotent.
func (c *Client) RemoveUser(ctx context.Context, r agentapi.RemoveUserCommand) (agentapi.UserReply, error) {
	var out agentapi.UserReply
	return out, c.call(ctx, http.MethodPost, agentapi.PathRemoveUser, r, &out)
}

// SaveRows appends rows to the operation's file in the quarantine of the passive.
func (c *Client) SaveRows(ctx context.Context, r agentapi.SaveRowsCommand) (agentapi.Done, error) {
	return c.done(ctx, agentapi.PathSaveRows, r)
}

func (c *Client) done(ctx context.Context, path string, r any) (agentapi.Done, error) {
	var out agentapi.Done
	return out, c.call(ctx, http.MethodPost, path, r, &out)
}

// Snapshot reads what the member's binlog holds.
func (c *Client) Snapshot(ctx context.Context, r agentapi.Command) (agentapi.SnapshotReply, error) {
	var out agentapi.SnapshotReply
	return out, c.call(ctx, http.MethodPost, agentapi.PathSnapshot, r, &out)
}

// Covers asks whether a GTID set is received there.
func (c *Client) Covers(ctx context.Context, r agentapi.CoversRequest) (agentapi.CoversReply, error) {
	var out agentapi.CoversReply
	return out, c.call(ctx, http.MethodPost, agentapi.PathCovers, r, &out)
}

// ValidateConfig asks whether the member's mysqld would take settings. It changes nothing and
// takes some seconds.
func (c *Client) ValidateConfig(ctx context.Context, r agentapi.ValidateConfigRequest) (agentapi.ValidateConfigReply, error) {
	var out agentapi.ValidateConfigReply
	return out, c.call(ctx, http.MethodPost, agentapi.PathValidateConfig, r, &out)
}

// WantedDump asks which part of a dump the agent wants now.
func (c *Client) WantedDump(ctx context.Context) (agentapi.DumpStep, error) {
	var out agentapi.DumpReply
	err := c.call(ctx, http.MethodGet, agentapi.PathDump, nil, &out)
	return out.Want, err
}

// SendDump brings size bytes of a dump for a step. It blocks until the agent has read and used
// all of them, which has no limit in time but that of ctx. A Refusal says why they are not taken.
func (c *Client) SendDump(ctx context.Context, step agentapi.DumpStep, body io.Reader, size int64) error {
	path := agentapi.PathDump + "?" + url.Values{"step": {string(step)}}.Encode()
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "https://"+c.Address+path, io.NopCloser(body))
	if err != nil {
		return fmt.Errorf("%s of agent %s: %w", agentapi.PathDump, c.Address, err)
	}
	request.ContentLength = size
	request.Header.Set("Content-Type", "application/octet-stream")
	var out agentapi.DumpReply
	if err := c.exchange(request, &out); err != nil {
		c.Renew()
		return fmt.Errorf("%s of agent %s: %w", agentapi.PathDump, c.Address, err)
	}
	return nil
}

// Renew has the next request use a new connection.
func (c *Client) Renew() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		c.transport.CloseIdleConnections()
		c.transport = nil
	}
}

func (c *Client) timeout() time.Duration {
	if c.Timeout > 0 {
		return c.Timeout
	}
	return 10 * time.Second
}

func (c *Client) connect() (*http.Transport, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.transport != nil {
		return c.transport, nil
	}
	conf, err := c.TLS()
	if err != nil {
		return nil, err
	}
	c.transport = &http.Transport{
		DialContext:         c.Dial,
		TLSClientConfig:     conf,
		MaxIdleConns:        4,
		MaxIdleConnsPerHost: 4,
		IdleConnTimeout:     time.Minute,
		TLSHandshakeTimeout: 5 * time.Second,
		// HTTP/1.1: a lost connection then costs one request, not all of them.
		TLSNextProto: map[string]func(string, *tls.Conn) http.RoundTripper{},
	}
	return c.transport, nil
}

func (c *Client) call(ctx context.Context, method, path string, in, out any) error {
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.timeout())
		defer cancel()
	}
	err := c.roundTrip(ctx, method, path, in, out)
	if err == nil {
		return nil
	}
	var refusal *Refusal
	if !errors.As(err, &refusal) {
		c.Renew()
	}
	name, _, _ := bytes.Cut([]byte(path), []byte("?"))
	return fmt.Errorf("%s of agent %s: %w", name, c.Address, err)
}

func (c *Client) roundTrip(ctx context.Context, method, path string, in, out any) error {
	var body io.Reader
	if in != nil {
		text, err := json.Marshal(in)
		if err != nil {
			return err
		}
		body = bytes.NewReader(text)
	}
	request, err := http.NewRequestWithContext(ctx, method, "https://"+c.Address+path, body)
	if err != nil {
		return err
	}
	request.Header.Set("Content-Type", "application/json")
	return c.exchange(request, out)
}

// exchange sends a request and decodes the answer.
func (c *Client) exchange(request *http.Request, out any) error {
	transport, err := c.connect()
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody+1))
	if err != nil {
		return err
	}
	if len(text) > maxBody {
		return fmt.Errorf("the answer is longer than %d MiB", maxBody>>20)
	}
	if response.StatusCode != http.StatusOK {
		refusal := &Refusal{Status: response.StatusCode}
		if response.StatusCode == http.StatusNotFound {
			return ErrNoSuchPath
		}
		if json.Unmarshal(text, &refusal.ErrorReply) != nil || refusal.Code == "" {
			return fmt.Errorf("status %d", response.StatusCode)
		}
		return refusal
	}
	return json.Unmarshal(text, out)
}
