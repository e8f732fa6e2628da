package agentapi

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"time"
)

// maxBody bounds an answer.
const maxBody = 8 << 20

// ErrRefused is wrapped by the error of every command that the agent refused; the error
// then is a *Refusal.
var ErrRefused = errors.New("refused by the agent")

// ErrNoSuchPath is wrapped when the agent is of a version that does not know the request.
var ErrNoSuchPath = errors.New("the agent does not know this request, it is of an earlier version")

// Refusal is the agent's answer that it did not do what was asked.
type Refusal struct {
	ErrorReply
	Status int
}

// Error names code and reason.
func (r *Refusal) Error() string { return fmt.Sprintf("%s: %s", r.Code, r.Message) }

// Unwrap makes every refusal ErrRefused.
func (r *Refusal) Unwrap() error { return ErrRefused }

// Client speaks to one agent over mutual TLS. Every method blocks until the answer or
// the end of its context; without a deadline of its own a request gets Timeout. After a
// request that got no answer the next one uses a new connection: a half-dead one would
// otherwise be found out only much later. It is safe for concurrent use.
type Client struct {
	// Address is host:port of the agent.
	Address string
	// TLS is asked for each new connection, so that renewed certificates are used.
	TLS func() (*tls.Config, error)
	// Timeout of a request whose context has no deadline; 10 s when zero.
	Timeout time.Duration

	mu        sync.Mutex
	transport *http.Transport
}

// State reads the agent's state. since > 0 with wait > 0 waits until the revision is
// another than since, or wait is over. fresh has mysqld asked again.
func (c *Client) State(ctx context.Context, since int64, wait time.Duration, fresh bool) (State, error) {
	q := url.Values{}
	if since > 0 && wait > 0 {
		q.Set("since", strconv.FormatInt(since, 10))
		q.Set("wait", wait.String())
	}
	if fresh {
		q.Set("fresh", "1")
	}
	path := PathState
	if len(q) > 0 {
		path += "?" + q.Encode()
	}
	if _, has := ctx.Deadline(); !has {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, wait+c.timeout())
		defer cancel()
	}
	var out State
	return out, c.call(ctx, http.MethodGet, path, nil, &out)
}

// Vouch asks for the agent's word.
func (c *Client) Vouch(ctx context.Context, r VouchRequest) (VouchReply, error) {
	var out VouchReply
	return out, c.call(ctx, http.MethodPost, PathVouch, r, &out)
}

// Cease has the agent raise its highest known epoch.
func (c *Client) Cease(ctx context.Context, r Command) (FenceReply, error) {
	return c.fence(ctx, PathCease, r, r)
}

// Fence has the agent cease and close.
func (c *Client) Fence(ctx context.Context, r Command) (FenceReply, error) {
	return c.fence(ctx, PathFence, r, r)
}

// AckFence has the agent cease and stop its receiver, once it has received what the command
// names.
func (c *Client) AckFence(ctx context.Context, r AckFenceCommand) (FenceReply, error) {
	return c.fence(ctx, PathAckFence, r.Command, r)
}

func (c *Client) fence(ctx context.Context, path string, r Command, body any) (FenceReply, error) {
	var out FenceReply
	err := c.call(ctx, http.MethodPost, path, body, &out)
	if err == nil && out.RequestID != r.RequestID {
		err = fmt.Errorf("%s of agent %s: the answer is to another request", path, c.Address)
	}
	return out, err
}

// Drain has the open member close the sessions of its clients in order, or stop that.
func (c *Client) Drain(ctx context.Context, r DrainCommand) (Done, error) {
	return c.done(ctx, PathDrain, r)
}

// Sessions lists the sessions of clients.
func (c *Client) Sessions(ctx context.Context) (SessionsReply, error) {
	var out SessionsReply
	return out, c.call(ctx, http.MethodGet, PathSessions, nil, &out)
}

// ReadLease has the agent read the Lease now, and answers when it has.
func (c *Client) ReadLease(ctx context.Context, r Command) (Done, error) {
	return c.done(ctx, PathReadLease, r)
}

// ReleaseHeld has the door let clients through to the mysqld that is open at the command's
// epoch, now or later. Idempotent.
func (c *Client) ReleaseHeld(ctx context.Context, r Command) (Done, error) {
	return c.done(ctx, PathReleaseHeld, r)
}

// Hold begins, or cancels, the time for which the door holds clients during a planned change
// of roles. Idempotent: the time is not extended.
func (c *Client) Hold(ctx context.Context, r HoldCommand) (Done, error) {
	return c.done(ctx, PathHold, r)
}

// Initialize begins to make an empty volume a data directory; idempotent for one DataID.
func (c *Client) Initialize(ctx context.Context, r InitializeCommand) (Done, error) {
	return c.done(ctx, PathInitialize, r)
}

// Seed begins to replace the member's data by a copy; idempotent for one DataID.
func (c *Client) Seed(ctx context.Context, r SeedCommand) (Done, error) {
	return c.done(ctx, PathSeed, r)
}

// Rewind cuts the member's errant tail.
func (c *Client) Rewind(ctx context.Context, r RewindCommand) (Done, error) {
	return c.done(ctx, PathRewind, r)
}

// Discard has the member save and give up what it has received and not applied, and answers
// when it has; idempotent.
func (c *Client) Discard(ctx context.Context, r DiscardCommand) (Done, error) {
	return c.done(ctx, PathDiscard, r)
}

// RepairLease grants, renews or ends the lease under which the passive's applier forces
// rows through; idempotent for one operation.
func (c *Client) RepairLease(ctx context.Context, r RepairLeaseCommand) (Done, error) {
	return c.done(ctx, PathRepairLease, r)
}

// RepairRights gives, renews or takes back the right to write one table of the primary;
// idempotent for one operation.
func (c *Client) RepairRights(ctx context.Context, r RepairRightsCommand) (Done, error) {
	return c.done(ctx, PathRepairRights, r)
}

// PermitRepair permits an operation to repair one table; idempotent.
func (c *Client) PermitRepair(ctx context.Context, r PermitRepairCommand) (Done, error) {
	return c.done(ctx, PathPermitRepair, r)
}

// SaveRows appends rows to the operation's file in the quarantine of the passive.
func (c *Client) SaveRows(ctx context.Context, r SaveRowsCommand) (Done, error) {
	return c.done(ctx, PathSaveRows, r)
}

func (c *Client) done(ctx context.Context, path string, r any) (Done, error) {
	var out Done
	return out, c.call(ctx, http.MethodPost, path, r, &out)
}

// Snapshot reads what the member's binlog holds.
func (c *Client) Snapshot(ctx context.Context, r Command) (SnapshotReply, error) {
	var out SnapshotReply
	return out, c.call(ctx, http.MethodPost, PathSnapshot, r, &out)
}

// Covers asks whether a GTID set is received there.
func (c *Client) Covers(ctx context.Context, r CoversRequest) (CoversReply, error) {
	var out CoversReply
	return out, c.call(ctx, http.MethodPost, PathCovers, r, &out)
}

// ValidateConfig asks whether the member's mysqld would take settings. It changes nothing and
// takes some seconds.
func (c *Client) ValidateConfig(ctx context.Context, r ValidateConfigRequest) (ValidateConfigReply, error) {
	var out ValidateConfigReply
	return out, c.call(ctx, http.MethodPost, PathValidateConfig, r, &out)
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
	transport, err := c.connect()
	if err != nil {
		return err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, maxBody))
	if err != nil {
		return err
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
