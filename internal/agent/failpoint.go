package agent

import "github.com/go-logr/logr"

// Failpoint names a boundary between two steps at which a test may kill the agent.
type Failpoint string

// The failpoints, in the order in which a member's life passes them.
const (
	failAfterMark       Failpoint = "after-mark"       // identity written, nothing made
	failAfterInit       Failpoint = "after-init"       // data directory made, no accounts
	failAfterAccounts   Failpoint = "after-accounts"   // accounts made, not installed
	failAfterInstall    Failpoint = "after-install"    // installed, identity not written
	failAfterQuarantine Failpoint = "after-quarantine" // void, nothing wiped
	failAfterClone      Failpoint = "after-clone"      // copied, never started
	failInReplay        Failpoint = "in-replay"        // copied, nothing replayed
	failAfterReplay     Failpoint = "after-replay"     // replayed, the accounts not made again
	failAfterLoad       Failpoint = "after-load"       // a dump loaded, the accounts not made again
	failAfterReset      Failpoint = "after-reset"      // donor's channel forgotten, not noted
	failBeforeRewind    Failpoint = "before-rewind"
	failAfterRewind     Failpoint = "after-rewind"  // cut, the unclean end still noted
	failBeforeSave      Failpoint = "before-save"   // the applier stopped, the relay log not saved
	failAfterSave       Failpoint = "after-save"    // saved, not discarded
	failAfterDiscard    Failpoint = "after-discard" // discarded, not noted
	failBeforePersist   Failpoint = "before-persist"
	failAfterPersist    Failpoint = "after-persist"
	failBeforeStart     Failpoint = "before-start"
	failBeforeReceiver  Failpoint = "before-receiver"
	failBeforeOpen      Failpoint = "before-open" // open-at written, closed
	failAfterOpen       Failpoint = "after-open"
	failBeforeClose     Failpoint = "before-close"
)

// Failpoints lists all of them.
func Failpoints() []Failpoint {
	return []Failpoint{
		failAfterMark, failAfterInit, failAfterAccounts, failAfterInstall, failAfterQuarantine, failAfterClone, failInReplay, failAfterReplay,
		failAfterLoad, failAfterReset,
		failBeforeRewind, failAfterRewind, failBeforeSave, failAfterSave, failAfterDiscard,
		failBeforePersist, failAfterPersist, failBeforeStart, failBeforeReceiver, failBeforeOpen, failAfterOpen, failBeforeClose,
	}
}

// failpoints kill this process where they are asked to. In a build without the tag
// "failpoints" they do nothing.
type failpoints struct {
	log   logr.Logger
	armed map[Failpoint]bool
}

func newFailpoints(log logr.Logger) *failpoints {
	f := &failpoints{log: log, armed: armedFailpoints()}
	if len(f.armed) > 0 {
		log.Info("failpoints are armed", "failpoints", f.armed)
	}
	return f
}

func (f *failpoints) at(p Failpoint) {
	if f.armed[p] && fire(p) {
		f.log.Info("failpoint reached", "failpoint", p)
		die()
	}
}
