package clonewire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/netserve"
)

// Numbers of MySQL's errors that a donor answers with.
const (
	errTooManyClones = 3634
	errCloneDonor    = 3862
	errUnknown       = 1105
)

const (
	// loginLimit bounds a login.
	loginLimit = 30 * time.Second
	// maxConnections are those of one clone, and some that are about to be refused.
	maxConnections = 8
)

// Donor serves recordings to CLONE INSTANCE FROM of a mysqld of the same series.
// The recipient has to clone with one thread, which needs two settings:
// clone_autotune_concurrency = OFF and clone_max_concurrency = 1.
type Donor struct {
	// User and Password are those of the statement; the password may not be empty.
	User, Password string
	// TLS has the donor's certificate, and ClientAuth as the caller wants it.
	TLS *tls.Config
	// Source is what is served, as often as recipients ask.
	Source Source
	// Served is called at the end of each clone, with nil when the recipient has
	// taken everything, in a goroutine of the connection; it may be nil.
	Served func(error)
}

// Serve accepts connections until ctx ends, and closes the listener and all of
// them. It serves one clone at a time; another recipient meanwhile gets MySQL's
// error 3634. It returns nil at the end of ctx.
func (d Donor) Serve(ctx context.Context, listener net.Listener) error {
	handshake, err := d.handshake(ctx)
	if err != nil {
		_ = listener.Close()
		return fmt.Errorf("donor: %w", err)
	}
	serving := donation{
		donor: d,
		login: handshake,
	}
	if err := netserve.Serve(ctx, listener, maxConnections, serving.serve); err != nil {
		return fmt.Errorf("donor: %w", err)
	}
	return nil
}

// donation is what the connections of a Donor share.
type donation struct {
	donor Donor
	login *handshake

	mu      sync.Mutex
	running *clone
}

// clone is the one that runs.
type clone struct {
	// engine is the storage engine of the recording.
	engine byte
	acks   chan ack
	// end ends it, for instance when its other connection ends.
	end context.CancelCauseFunc
}

// begin makes a connection's clone the running one; false if there is one.
func (d *donation) begin(begun *clone) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running != nil {
		return false
	}
	d.running = begun
	return true
}

func (d *donation) finish(ended *clone) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.running == ended {
		d.running = nil
	}
}

func (d *donation) current() *clone {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.running
}

// serve answers one connection until it ends.
func (d *donation) serve(ctx context.Context, raw net.Conn) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer raw.Close()
	context.AfterFunc(ctx, func() { _ = raw.Close() })
	_ = raw.SetDeadline(time.Now().Add(loginLimit))
	conn, err := d.login.accept(raw)
	if err != nil {
		return
	}
	_ = raw.SetDeadline(time.Time{})
	c := recipient{
		donation: d,
		session:  newSession(conn, longestCommand),
		messages: make(chan []byte),
		cancel:   cancel,
	}
	// The only reader. It goes on reading while an answer is sent, so that the end
	// of the connection ends the clone.
	go c.read(ctx)
	err = c.answerAll(ctx)
	if c.clone != nil {
		c.served(fmt.Errorf("%w: %w", ErrRecipient, err))
	}
}

// recipient is one connection of a mysqld that clones.
type recipient struct {
	*session

	donation *donation
	messages chan []byte
	cancel   context.CancelCauseFunc
	// clone is the one that this connection began.
	clone *clone
}

func (c *recipient) read(ctx context.Context) {
	for {
		message, err := c.session.read(0)
		if err != nil {
			c.cancel(fmt.Errorf("recipient: %w", err))
			return
		}
		select {
		case c.messages <- bytes.Clone(message):
		case <-ctx.Done():
			return
		}
	}
}

// answerAll answers statements, and after COM_CLONE the commands of a clone. It
// returns why the connection ends, never nil.
func (c *recipient) answerAll(ctx context.Context) error {
	answer := c.statement
	for {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case message := <-c.messages:
			entered, err := answer(ctx, message)
			if err != nil {
				return err
			}
			answer = c.statement
			if entered {
				answer = c.command
			}
		}
	}
}

// served ends the clone of this connection and tells the donor's caller.
func (c *recipient) served(err error) {
	c.donation.finish(c.clone)
	c.clone = nil
	if c.donation.donor.Served != nil {
		c.donation.donor.Served(err)
	}
}

// The commands of MySQL that a recipient may send before COM_CLONE.
const (
	comQuit  = 1
	comQuery = 3
	comPing  = 14
)

var errQuit = errors.New("the recipient has said goodbye")

// statement answers what comes before a clone: settings of the session, which
// mean nothing here, and COM_CLONE. True means that a clone is entered.
func (c *recipient) statement(_ context.Context, message []byte) (bool, error) {
	if len(message) == 0 {
		return false, fmt.Errorf("%w: empty command", ErrMalformed)
	}
	switch message[0] {
	case comQuit:
		return false, errQuit
	case comQuery, comPing:
		return false, c.write(1, okPacket)
	case comClone:
		return true, c.write(1, okPacket)
	}
	refused := DonorError{
		Number:  errUnknown,
		Message: fmt.Sprintf("command %d is not served: this is a backup, not a server", message[0]),
	}
	return false, c.write(1, refused.appendErrorPacket(nil))
}

// command answers one command of a clone; false means that the clone is left.
func (c *recipient) command(ctx context.Context, message []byte) (bool, error) {
	code, body, err := splitCommand(message)
	if err != nil {
		return true, c.refuse(errCloneDonor, err)
	}
	switch code {
	case commandInit:
		return true, c.begin(ctx, body)
	case commandExecute:
		return true, c.execute(ctx)
	case commandAck:
		return true, c.acknowledge(ctx, body)
	case commandExit:
		return false, c.answer(Answer{Code: AnswerComplete})
	case commandAttach:
		return true, c.refuse(errCloneDonor,
			errors.New("one thread is served: SET GLOBAL clone_autotune_concurrency = OFF, clone_max_concurrency = 1 and clone again"))
	case commandReinit:
		return true, c.refuse(errCloneDonor, errors.New("a clone that was interrupted is not resumed: clone again"))
	}
	return true, nil
}

// refuse answers with an error; the connection stays.
func (c *recipient) refuse(number uint32, err error) error {
	text := err.Error()
	refused := DonorError{
		Number:  number,
		Message: text[:min(len(text), longestMessage)],
	}
	return c.answer(Answer{
		Code: AnswerError,
		Body: refused.encode(),
	})
}
