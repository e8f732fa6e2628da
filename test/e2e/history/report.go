package history

import "time"

// Report is everything the witnesses of a run wrote down.
type Report struct {
	Attempts []Attempt `json:"attempts"`
	Samples  []Sample  `json:"samples"`
}

// Stats is a short view of a run.
type Stats struct {
	Acknowledged int    `json:"acknowledged"`
	Failed       int    `json:"failed"`
	LastAck      Stamp  `json:"lastAck"`
	LastServer   string `json:"lastServer"`
	LastError    string `json:"lastError"`
	Now          Stamp  `json:"now"`
}

// Dialed is what a TCP connect from inside the cluster ended in.
type Dialed struct {
	Connected bool          `json:"connected"`
	Error     string        `json:"error,omitempty"`
	Took      time.Duration `json:"took"`
}
