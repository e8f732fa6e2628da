package clonewire

import (
	"context"
	"fmt"
)

const (
	firstStream = 0
	// ddlStream is replayed after those of all connections.
	ddlStream = 1
)

// transfer is the part of a clone after its opening.
type transfer struct {
	recorder   Recorder
	locators   []Locator
	data, acks *session
	// stage is the one that the next answer belongs to, StageDone after the last;
	// begun is false until the donor begins it.
	stage  Stage
	begun  bool
	stream int
}

// run sends EXECUTE and hands over everything up to the donor's completion.
func (t *transfer) run(ctx context.Context) error {
	if err := t.data.command(commandExecute, nil); err != nil {
		return err
	}
	t.stage = StageFile
	for {
		answer, err := t.data.next()
		if err != nil {
			return fmt.Errorf("%s: %w", t.stage, err)
		}
		switch answer.Code {
		case AnswerComplete:
			if t.stage != StageDone {
				return fmt.Errorf("%w: complete before the end of %s", ErrMalformed, t.stage)
			}
			return t.recorder.EndStage(ctx, StageRedo)
		case AnswerDescriptor:
			if err := t.describe(ctx, answer); err != nil {
				return err
			}
		default:
			return fmt.Errorf("%s: %w: answer %d without a descriptor", t.stage, ErrMalformed, answer.Code)
		}
	}
}

// describe takes a descriptor and what it announces.
func (t *transfer) describe(ctx context.Context, answer Answer) error {
	described, err := ParseDescriptor(answer.Body)
	if err != nil {
		return fmt.Errorf("%s: %w", t.stage, err)
	}
	switch described.Kind {
	case DescriptorState:
		return t.state(ctx, answer, described)
	case DescriptorFile:
		if t.stage == StageDone {
			return fmt.Errorf("%w: a file after the last stage", ErrMalformed)
		}
		if described.File.Stage > t.stage {
			t.stream = ddlStream
		}
		return t.record(ctx, answer)
	case DescriptorData:
		return t.block(ctx, answer, described.Data)
	case DescriptorTask:
		return t.record(ctx, answer)
	}
	return nil
}

func (t *transfer) record(ctx context.Context, answer Answer) error {
	place := Place{
		Stage:  t.stage,
		Stream: t.stream,
	}
	if t.stage == StageDone {
		place = Place{
			Stage:  StageRedo,
			Stream: ddlStream,
		}
	}
	return t.recorder.Record(ctx, place, answer)
}

// block records the descriptor of data and the data.
func (t *transfer) block(ctx context.Context, answer Answer, described Data) error {
	if err := t.record(ctx, answer); err != nil {
		return err
	}
	data, err := t.data.next()
	switch {
	case err != nil:
		return fmt.Errorf("%s: %w", t.stage, err)
	case data.Code != AnswerData:
		return fmt.Errorf("%s: %w: answer %d in place of data", t.stage, ErrMalformed, data.Code)
	case uint64(len(data.Body)) != uint64(described.Length):
		return fmt.Errorf("%s: %w: %d bytes of data in place of %d", t.stage, ErrMalformed, len(data.Body), described.Length)
	}
	return t.record(ctx, data)
}

// state begins or ends a stage. The end of stageInit, before any data, is kept
// in front of the first stage.
func (t *transfer) state(ctx context.Context, answer Answer, described Descriptor) error {
	state := described.State
	starts := state.Flags == StateStart && state.Stage == t.stage && !t.begun
	ends := state.Flags == 0 && state.Stage == t.stage && t.begun
	initialized := state.Flags == 0 && state.Stage == stageInit && t.stage == StageFile && !t.begun
	switch {
	case starts:
		t.begun = true
		return t.record(ctx, answer)
	case initialized:
		if err := t.record(ctx, answer); err != nil {
			return err
		}
		return t.acknowledge(described)
	case ends:
		return t.end(ctx, answer, described)
	}
	return fmt.Errorf("%w: %s with flags %d during %s", ErrMalformed, state.Stage, state.Flags, t.stage)
}

func (t *transfer) end(ctx context.Context, answer Answer, described Descriptor) error {
	t.stream = ddlStream
	if err := t.record(ctx, answer); err != nil {
		return err
	}
	// What is said about StageDone is kept at the end of the last stage.
	if t.stage < StageRedo {
		if err := t.recorder.EndStage(ctx, t.stage); err != nil {
			return err
		}
	}
	if err := t.acknowledge(described); err != nil {
		return err
	}
	if t.stage == StageDone {
		return nil
	}
	t.stage++
	t.begun = false
	t.stream = firstStream
	return nil
}

// acknowledge lets the donor go on.
func (t *transfer) acknowledge(described Descriptor) error {
	if int(described.Locator) >= len(t.locators) {
		return fmt.Errorf("%w: locator %d of %d", ErrMalformed, described.Locator, len(t.locators))
	}
	state := described.State
	state.Flags = StateAck
	body := ack{
		locator:    t.locators[described.Locator],
		descriptor: state.raw(),
	}.encode()
	if err := t.acks.complete(commandAck, body); err != nil {
		return fmt.Errorf("acknowledge the end of %s: %w", state.Stage, err)
	}
	return nil
}
