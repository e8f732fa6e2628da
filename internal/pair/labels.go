package pair

import (
	"strconv"
	"strings"
)

// Labels and the finalizer of members' pods. The rules decide about them, the builders of a
// pair's objects select by them.
const (
	// LabelRole is informative: RolePrimary or RolePassive. Nothing selects by it.
	LabelRole = "dbpair.io/role"
	// LabelReadable is on the pods that the passive Service leads to.
	LabelReadable = "dbpair.io/readable"
	// LabelEpochPrefix is followed by an epoch: with it the client Service finds its one pod.
	LabelEpochPrefix = "epoch.dbpair.io/"
	// FinalizerFence keeps the holder's pod object until the end of its process is proven.
	FinalizerFence = "dbpair.io/fence"
)

// Values of LabelRole.
const (
	RolePrimary = "primary"
	RolePassive = "passive"
)

// EpochLabel is the key by which the client Service finds its one pod at an epoch.
func EpochLabel(e Epoch) string { return LabelEpochPrefix + strconv.FormatInt(int64(e), 10) }

// EpochOfLabel is the epoch in a label key of EpochLabel; false for any other key.
func EpochOfLabel(key string) (Epoch, bool) {
	digits, found := strings.CutPrefix(key, LabelEpochPrefix)
	if !found {
		return 0, false
	}
	e, err := strconv.ParseInt(digits, 10, 64)
	return Epoch(e), err == nil
}
