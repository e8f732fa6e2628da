package clonewire

import (
	"context"
	"iter"
)

// Recorder takes what a Client receives. Its calls come in this order:
//
//	Open
//	Record for StageFile, EndStage(StageFile)
//	Record for StagePage, EndStage(StagePage)
//	Record for StageRedo, EndStage(StageRedo)
//	Finish
//
// Record is called by one goroutine for each connection of the clone, at the
// same time for different streams and in order for one; everything else is
// called alone. All may block, which makes the donor wait: the client keeps
// nothing that a Recorder has not taken. An error of any of them ends the clone,
// and nothing is called after it.
type Recorder interface {
	// Open takes the donor's opening, once. Unlike a body handed to Record, what
	// it is given stays valid.
	Open(ctx context.Context, opening []Answer) error
	// Record takes the next AnswerDescriptor or AnswerData of a stream. The
	// body is valid until it returns. A data answer belongs to the descriptor
	// before it and may not be parted from it in another order.
	Record(ctx context.Context, place Place, answer Answer) error
	// EndStage says that all connections have handed over all of a stage. The
	// donor goes on only after it has returned: what it drops then is not sent
	// again.
	EndStage(ctx context.Context, stage Stage) error
	// Finish says that the donor has sent everything: with it the recording is
	// whole.
	Finish(ctx context.Context) error
}

// Place says what an answer belongs to.
type Place struct {
	Stage Stage
	// Stream numbers the sequences of a stage from 0. Each is in order by itself;
	// a Source yields them one after the other by this number. Stream 0 is the
	// first connection's, with the descriptors of all files; the last one has what
	// DDL did to files during the stage, and may be missing as any other but 0.
	Stream int
}

// Source has a whole recording for a Donor. It is read by one clone at a time,
// and again from the start by the next.
type Source interface {
	// Opening returns what Recorder.Open was given, unchanged.
	Opening(ctx context.Context) ([]Answer, error)
	// Stage yields what Recorder.Record was given for a stage: all of stream 0 in
	// its order, then all of stream 1, and so on. A body is valid until the next answer is asked for. An error is yielded as
	// the last element and ends the clone; the loop may end before that.
	Stage(ctx context.Context, stage Stage) iter.Seq2[Answer, error]
}

// Stages are those with answers, in the order of a clone.
func Stages() []Stage { return []Stage{StageFile, StagePage, StageRedo} }

// Setting returns the value of one of the donor's settings in an opening, such
// as "version" or "innodb_page_size"; "" if it is not there.
func Setting(opening []Answer, name string) string {
	for _, answer := range opening {
		switch answer.Code {
		case AnswerSetting, AnswerMoreSettings, AnswerSettings103:
			if texts, err := answer.Strings(); err == nil && len(texts) == 2 && texts[0] == name {
				return texts[1]
			}
		default:
		}
	}
	return ""
}
