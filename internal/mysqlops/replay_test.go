package mysqlops

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dbpair/dbpair/internal/gtid"
)

func TestAReplayEndsAtTheTargetExactly(t *testing.T) {
	const server = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	unreachable := errors.New("nobody answers")
	streaming := ChannelStatus{
		Configured:     true,
		Receiver:       ReceiverStreaming,
		ApplierRunning: true,
	}
	stopped := streaming
	stopped.Receiver = ReceiverStopped
	stopped.ReceiverError = ChannelError{Number: 13114, Message: "object binlog/7 is damaged"}
	refused := streaming
	refused.ApplierRunning = false
	refused.ApplierError = ChannelError{Number: 1146, Message: "no such table"}
	away := streaming
	away.Receiver = ReceiverConnecting
	long := time.Now().Add(-2 * replayPatience)
	for name, c := range map[string]struct {
		executed string
		channel  ChannelStatus
		failed   error
		since    time.Time
		ended    bool
		says     string
	}{
		"at its beginning":              {":1-5", streaming, nil, time.Now(), false, ""},
		"at the target":                 {":1-9", streaming, nil, time.Now(), true, ""},
		"at the target, without source": {":1-9", stopped, nil, long, true, ""},
		"beyond the target":             {":1-10", streaming, nil, time.Now(), true, server + ":10 was executed and is beyond the target"},
		"not applied":                   {":1-5", refused, nil, time.Now(), false, "1146 no such table"},
		"the source refuses":            {":1-5", stopped, nil, time.Now(), false, "object binlog/7 is damaged"},
		"the source is away":            {":1-5", away, nil, time.Now(), false, ""},
		"the source is away for long":   {":1-5", away, nil, long, false, "its source is away for 30s"},
		"the member is busy":            {":1-5", ChannelStatus{}, unreachable, time.Now(), false, ""},
		"the member is silent for long": {":1-5", ChannelStatus{}, unreachable, long, false, unreachable.Error()},
	} {
		t.Run(name, func(t *testing.T) {
			var seen Replay
			r := newReplaying(gtid.MustParse(server+":1-9"), func(p Replay) { seen = p })
			r.answered = c.since
			r.streamed = c.since
			ended, err := r.look(Status{
				Executed: gtid.MustParse(server + c.executed),
				Channel:  c.channel,
			}, c.failed)
			if ended != c.ended || (err == nil) != (c.says == "") {
				t.Fatalf("ended %t, %v", ended, err)
			}
			if err != nil && !strings.Contains(err.Error(), c.says) {
				t.Errorf("%v, want %q", err, c.says)
			}
			if !ended && c.failed == nil && seen != (Replay{Done: 0, Total: 4}) {
				t.Errorf("progress %+v", seen)
			}
		})
	}
}

func TestAReplayCountsWhatIsDone(t *testing.T) {
	const server = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	var seen []Replay
	r := newReplaying(gtid.MustParse(server+":1-9"), func(p Replay) { seen = append(seen, p) })
	for _, executed := range []string{":1-5", ":1-8", ":1-9"} {
		if _, err := r.look(Status{Executed: gtid.MustParse(server + executed)}, nil); err != nil {
			t.Fatal(err)
		}
	}
	if len(seen) != 2 || seen[0] != (Replay{Done: 0, Total: 4}) || seen[1] != (Replay{Done: 3, Total: 4}) {
		t.Errorf("progress %+v", seen)
	}
}
