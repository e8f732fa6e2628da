package clonewire

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"time"
)

const (
	defaultLimit = 16 << 20
	defaultWait  = 24 * time.Hour
	// openingLimit bounds an opening, in bytes: names of plugins and collations.
	openingLimit = 1 << 20
	exitLimit    = 10 * time.Second
	// ddlTimeout is how many seconds the donor waits for DDL that runs, where the
	// clone has to; 300 is MySQL's own default. With 0 it fails by error 3633.
	ddlTimeout = 300
)

// ErrVersion: the donor speaks another version of the protocol.
var ErrVersion = errors.New("unsupported version of the clone protocol")

// Client copies a running mysqld. All fields without a default are needed.
type Client struct {
	// Address is host:port of the donor.
	Address string
	// User needs BACKUP_ADMIN; SERVICE_CONNECTION_ADMIN at an admin port.
	User, Password string
	// TLS has to verify the donor's certificate.
	TLS *tls.Config
	// Limit of one answer, in bytes; 0 is 16 MiB. The donor's clone_buffer_size
	// has to be below it.
	Limit int
	// Wait is how long the donor waits for a Recorder that blocks before it gives
	// up; 0 is 24 hours.
	Wait time.Duration
}

func (c Client) limit() int {
	if c.Limit > 0 {
		return c.Limit
	}
	return defaultLimit
}

func (c Client) wait() time.Duration {
	if c.Wait > 0 {
		return c.Wait
	}
	return defaultWait
}

// Clone hands everything of one clone to the recorder. It blocks until the copy
// is whole, which is what nil means, or has failed: with a DonorError when the
// donor refuses or gives up, with the error of the recorder, or with that of the
// context, whose end ends the clone in the donor too. A clone that failed has to
// begin a new recording. A donor serves one clone at a time: error 3634.
func (c Client) Clone(ctx context.Context, recorder Recorder) error {
	switch {
	case c.TLS == nil || (c.TLS.InsecureSkipVerify && c.TLS.VerifyConnection == nil):
		return errors.New("clone: TLS has to verify the donor: set RootCAs and ServerName")
	case c.Address == "" || c.User == "":
		return errors.New("clone: Address and User are needed")
	}
	running, cancel := context.WithCancel(ctx)
	defer cancel()
	err := c.clone(running, recorder)
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		err = context.Cause(ctx)
	}
	return fmt.Errorf("clone from %s: %w", c.Address, err)
}

func (c Client) clone(ctx context.Context, recorder Recorder) error {
	first, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer first.conn.Close()
	opening, locators, err := first.open()
	if err != nil {
		return fmt.Errorf("opening: %w", err)
	}
	if err := recorder.Open(ctx, opening); err != nil {
		return err
	}
	acks, err := c.dial(ctx)
	if err != nil {
		return err
	}
	defer acks.conn.Close()
	transfer := transfer{
		recorder: recorder,
		locators: locators.Engines,
		data:     first,
		acks:     acks,
	}
	if err := transfer.run(ctx); err != nil {
		return err
	}
	if err := recorder.Finish(ctx); err != nil {
		return err
	}
	// The copy is whole; a donor that goes away now takes nothing from it.
	for _, s := range []*session{first, acks} {
		_ = s.conn.SetDeadline(time.Now().Add(exitLimit))
		_ = s.complete(commandExit, nil)
	}
	return nil
}

// open sends INIT and returns the donor's opening.
func (s *session) open() (answers []Answer, locators Locators, err error) {
	hello := opening{
		version:    protocolVersion,
		ddlTimeout: ddlTimeout,
	}
	if err := s.command(commandInit, hello.encode()); err != nil {
		return nil, Locators{}, err
	}
	left := openingLimit
	for {
		answer, err := s.next()
		if err != nil {
			return nil, Locators{}, err
		}
		if answer.Code == AnswerComplete {
			break
		}
		left -= StoredSize(answer)
		switch {
		case !answer.Code.opens():
			return nil, Locators{}, fmt.Errorf("%w: answer %d", ErrMalformed, answer.Code)
		case left < 0:
			return nil, Locators{}, fmt.Errorf("%w of %d bytes", ErrTooLarge, openingLimit)
		}
		answers = append(answers, Answer{
			Code: answer.Code,
			Body: bytes.Clone(answer.Body),
		})
	}
	locators, err = locatorsOf(answers)
	return answers, locators, err
}

// locatorsOf finds the locators of an opening and checks its version.
func locatorsOf(opening []Answer) (Locators, error) {
	for _, answer := range opening {
		if answer.Code != AnswerLocators {
			continue
		}
		locators, err := ParseLocators(answer.Body)
		switch {
		case err != nil:
			return Locators{}, err
		case locators.Version != protocolVersion:
			return Locators{}, fmt.Errorf("%w: %#x, not %#x", ErrVersion, locators.Version, protocolVersion)
		case len(locators.Engines) != 1:
			return Locators{}, fmt.Errorf("%w: %d storage engines in place of one", ErrMalformed, len(locators.Engines))
		}
		return locators, nil
	}
	return Locators{}, fmt.Errorf("%w: an opening without locators", ErrMalformed)
}
