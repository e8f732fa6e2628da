package clonewire

import (
	"context"
	"errors"
	"fmt"
)

var (
	// ErrIncomplete: a Source does not have the whole of a recording.
	ErrIncomplete = errors.New("the recording is not whole")
	// ErrRecipient: the recipient could not use what it was sent.
	ErrRecipient = errors.New("the recipient has given up")
)

// begin answers INIT by the opening of the recording and begins a clone.
func (c *recipient) begin(ctx context.Context, body []byte) error {
	hello, err := parseOpening(body)
	if err == nil && hello.version < protocolVersion {
		err = fmt.Errorf("%w: %#x is older than %#x", ErrVersion, hello.version, protocolVersion)
	}
	if err != nil {
		return c.refuse(errCloneDonor, err)
	}
	answers, err := c.donation.donor.Source.Opening(ctx)
	if err != nil {
		return c.refuse(errCloneDonor, err)
	}
	locators, err := locatorsOf(answers)
	if err != nil {
		return c.refuse(errCloneDonor, err)
	}
	begun := &clone{
		engine: locators.Engines[0].Engine,
		acks:   make(chan ack),
		end:    c.cancel,
	}
	if c.clone != nil || !c.donation.begin(begun) {
		return c.refuse(errTooManyClones, errors.New("this backup is being cloned by another recipient"))
	}
	c.clone = begun
	for _, answer := range answers {
		if err := c.answer(answer); err != nil {
			return err
		}
	}
	return c.answer(Answer{Code: AnswerComplete})
}

// fail ends the clone of this connection with an error that the recipient receives.
func (c *recipient) fail(err error) error {
	c.served(err)
	return c.refuse(errCloneDonor, err)
}

// execute replays all stages.
func (c *recipient) execute(ctx context.Context) error {
	if c.clone == nil {
		return c.refuse(errCloneDonor, errors.New("EXECUTE before INIT"))
	}
	for _, stage := range Stages() {
		if err := c.replay(ctx, stage); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx) // there is nobody to answer
			}
			return c.fail(fmt.Errorf("%s: %w", stage, err))
		}
	}
	if err := c.answer(Answer{Code: AnswerComplete}); err != nil {
		return err
	}
	c.served(nil)
	return nil
}

// replay sends the answers of one stage, waits where the recipient has to
// acknowledge, and checks that the stage has an end.
func (c *recipient) replay(ctx context.Context, stage Stage) error {
	ended := false
	for answer, err := range c.donation.donor.Source.Stage(ctx, stage) {
		switch {
		case err != nil:
			return err
		case ended && (stage != StageRedo || answer.Code != AnswerDescriptor):
			return fmt.Errorf("%w: an answer after the end", ErrIncomplete)
		case answer.Code == AnswerData:
			if err := c.answer(answer); err != nil {
				return err
			}
			continue
		case answer.Code != AnswerDescriptor:
			return fmt.Errorf("%w: answer %d", ErrIncomplete, answer.Code)
		}
		end, err := c.replayDescriptor(ctx, answer)
		if err != nil {
			return err
		}
		ended = ended || (end != nil && end.Stage == stage)
	}
	if !ended {
		return fmt.Errorf("%w: it has no end", ErrIncomplete)
	}
	return nil
}

// replayDescriptor sends a descriptor. One that ends a stage it returns, once the recipient has
// acknowledged it; nil for any other.
func (c *recipient) replayDescriptor(ctx context.Context, answer Answer) (*State, error) {
	described, err := ParseDescriptor(answer.Body)
	if err != nil {
		return nil, err
	}
	if err := c.answer(answer); err != nil {
		return nil, err
	}
	if described.Kind != DescriptorState || described.State.Flags != 0 {
		return nil, nil
	}
	return &described.State, c.awaitAck(ctx, described.State)
}

// awaitAck blocks until the recipient has taken everything before the end of a
// stage.
func (c *recipient) awaitAck(ctx context.Context, ended State) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case got := <-c.clone.acks:
		described, err := ParseDescriptor(append([]byte{got.locator.Engine, 0}, got.descriptor...))
		switch {
		case got.failure != 0:
			return fmt.Errorf("%w: error %d", ErrRecipient, got.failure)
		case err != nil:
			return err
		case described.Kind != DescriptorState || described.State.Stage != ended.Stage:
			return fmt.Errorf("%w: acknowledgment of %s in place of %s", ErrMalformed, described.State.Stage, ended.Stage)
		}
		return nil
	}
}

// acknowledge hands an ACK to the connection that sends the data. The end of the
// connection that it came by ends the clone.
func (c *recipient) acknowledge(ctx context.Context, body []byte) error {
	got, err := parseAck(body)
	if err != nil {
		return c.refuse(errCloneDonor, err)
	}
	running := c.donation.current()
	// The rest of the locator is the recipient's own by now.
	if running == nil || got.locator.Engine != running.engine {
		return c.refuse(errCloneDonor, errors.New("no such clone is running"))
	}
	context.AfterFunc(ctx, func() {
		if c.donation.current() == running {
			running.end(fmt.Errorf("%w: its second connection ended", ErrRecipient))
		}
	})
	select {
	case running.acks <- got:
		return c.answer(Answer{Code: AnswerComplete})
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
