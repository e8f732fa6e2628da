package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// RejoinSpec says what becomes of the data of members that come back.
type RejoinSpec struct {
	// onDivergence says what becomes of a member with transactions that the primary lacks and that
	// no rewind takes away. Hold: its data stays as it is until an admin decides (kubectl dbpair
	// reseed). Automatic: where it is shown that none of them was acknowledged to a client,
	// they are saved in the member's quarantine, and it is copied again from the primary, which
	// goes on alone meanwhile; durability.onPassiveLoss has to be Continue for that. What may have
	// been acknowledged is held in any case: after a forced promotion, in Async, and when
	// mysqld of the primary was restarted since the ledger last named it.
	// +optional
	// +kubebuilder:default=Hold
	OnDivergence OnDivergence `json:"onDivergence,omitempty"`

	// maxBandwidth bounds what a copy of the primary's data may take of the network: a quantity of
	// bytes a second (50Mi), of which mysqld counts whole MiB (clone_max_network_bandwidth). A
	// change counts from the next copy on. Without it a copy is as fast as it can be.
	// +optional
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="isQuantity(self) && quantity(self).compareTo(quantity('1Mi')) >= 0 && quantity(self).compareTo(quantity('1Ti')) <= 0",message="spec.rejoin.maxBandwidth must be a quantity of bytes a second from 1Mi to 1Ti, such as 50Mi"
	MaxBandwidth string `json:"maxBandwidth,omitempty"`

	// quarantineRetention says how long what a member has given up stays in the quarantine on
	// its volume.
	// +optional
	// +kubebuilder:default={time: "720h", size: "20%"}
	QuarantineRetention QuarantineRetention `json:"quarantineRetention,omitempty"`
}

// OnDivergence says what becomes of a member with transactions that the primary lacks.
// +kubebuilder:validation:Enum=Automatic;Hold
type OnDivergence string

// What becomes of a member that has diverged.
const (
	// ReseedDiverged saves what was never acknowledged and copies the member again.
	ReseedDiverged OnDivergence = "Automatic"
	// HoldDiverged leaves its data as it is.
	HoldDiverged OnDivergence = "Hold"
)

// QuarantineRetention bounds the quarantine of each member. An entry is removed when it is
// older than time, and only as long as all entries together take more than size; the oldest
// goes first. Entries that are marked to be kept stay, and none is removed unless both members
// replicate in order.
type QuarantineRetention struct {
	// time is how long every entry stays, whatever the quarantine takes.
	// +optional
	// +kubebuilder:default="720h"
	// +kubebuilder:validation:XValidation:rule="duration(self) >= duration('1h')",message="spec.rejoin.quarantineRetention.time must be at least 1h: what is in the quarantine may exist nowhere else, and someone has to have the time to look; raise it"
	Time metav1.Duration `json:"time,omitempty"`

	// size is what the quarantine may take beyond that time: a quantity (10Gi) or a share of
	// the volume (20%). With 0 every entry that is older than time is removed.
	// +optional
	// +kubebuilder:default="20%"
	// +kubebuilder:validation:MaxLength=20
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]|[1-8][0-9]|90)%$') || (isQuantity(self) && quantity(self).compareTo(quantity('0')) >= 0)",message="spec.rejoin.quarantineRetention.size must be a share from 0% to 90% or a quantity such as 10Gi"
	Size string `json:"size,omitempty"`
}

// MemberCopy is how far the copy is that a member makes of the primary's data.
type MemberCopy struct {
	// stage of the copy: quarantine, initialize, and then MySQL's stages of a CLONE, such as FILE COPY.
	Stage string `json:"stage"`
	// bytes that this stage has copied.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// estimatedBytes that this stage will copy.
	// +optional
	EstimatedBytes int64 `json:"estimatedBytes,omitempty"`
	// bytesPerSecond is the rate over the last seconds.
	// +optional
	BytesPerSecond int64 `json:"bytesPerSecond,omitempty"`
	// remaining is what this stage still takes at that rate.
	// +optional
	Remaining *metav1.Duration `json:"remaining,omitempty"`
}

// MemberQuarantine is what a member has given up and keeps on its volume.
type MemberQuarantine struct {
	// entries in the quarantine.
	Entries int32 `json:"entries"`
	// bytes that they take, as a hard link may take some that the data takes too.
	// +optional
	Bytes int64 `json:"bytes,omitempty"`
	// kept says why entries that are due to be removed stay for now.
	// +optional
	Kept string `json:"kept,omitempty"`
	// lastRemoval is the last time that entries were removed.
	// +optional
	LastRemoval *QuarantineRemoval `json:"lastRemoval,omitempty"`
}

// QuarantineRemoval is what was removed from a quarantine at one time.
type QuarantineRemoval struct {
	// time of the removal, by the member's clock.
	Time metav1.Time `json:"time"`
	// entries that were removed, the first ten by name.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=10
	Entries []string `json:"entries,omitempty"`
	// total number of entries that were removed.
	Total int32 `json:"total"`
	// bytes that they took.
	Bytes int64 `json:"bytes"`
}
