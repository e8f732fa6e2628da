package agent

import (
	"testing"

	"github.com/dbpair/dbpair/internal/gtid"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// TestAnApplierErrorIsPublishedWhileItKeepsReceivedTransactionsBack: a candidate that was
// read in the moment in which the agent ends its applier was refused as "the applier stopped
// with error 13121", and the primary that had been killed was appointed again.
func TestAnApplierErrorIsPublishedWhileItKeepsReceivedTransactionsBack(t *testing.T) {
	const source = "3e11fa47-71ca-11e1-9e33-c80aa9429562"
	for name, tt := range map[string]struct {
		receiver mysqlops.ReceiverState
		executed string
		received string
		want     int
	}{
		"the beginning of a transaction whose rest never came": {
			receiver: mysqlops.ReceiverStopped,
			executed: source + ":1-8",
			received: source + ":1-8",
		},
		"a whole transaction": {
			receiver: mysqlops.ReceiverStopped,
			executed: source + ":1-7",
			received: source + ":1-8",
			want:     13121,
		},
		"the rest may still come": {
			receiver: mysqlops.ReceiverStreaming,
			executed: source + ":1-8",
			received: source + ":1-8",
			want:     13121,
		},
	} {
		t.Run(name, func(t *testing.T) {
			var s mysqlops.Status
			s.Executed = gtid.MustParse(tt.executed)
			s.Received = gtid.MustParse(tt.received)
			s.Channel.Receiver = tt.receiver
			s.Channel.ApplierError = mysqlops.ChannelError{
				Number:  13121,
				Message: "Relay log read failure",
			}
			if got := describeServer(s).Applier.LastErrno; got != tt.want {
				t.Errorf("published error %d, want %d", got, tt.want)
			}
		})
	}
}
