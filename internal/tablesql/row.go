package tablesql

// Kind says how a row differs, from the passive's point of view.
type Kind string

// The kinds.
const (
	// Missing: the primary has it, the passive does not.
	Missing Kind = "Missing"
	// Extra: the passive has it, the primary does not.
	Extra Kind = "Extra"
	// Changed: both have it, and it differs.
	Changed Kind = "Different"
)

// Row is one differing row.
type Row struct {
	// Key is the row's key as SQL literals in the order of the key's columns;
	// without a key, empty.
	Key  []string `json:"key,omitempty"`
	Kind Kind     `json:"kind"`
	// Columns that differ, for Changed.
	Columns []string `json:"columns,omitempty"`
	// Primary and Passive are digests of the whole row in hex; empty where the
	// row is not there.
	Primary string `json:"primary,omitempty"`
	Passive string `json:"passive,omitempty"`
	// Copies is, in a table without a key, by how many equal rows the members differ.
	Copies int64 `json:"copies,omitempty"`
	// PrimaryValues and PassiveValues map columns to values as SQL literals,
	// cut at 256 bytes, only when asked for; of Changed rows only the columns
	// that differ.
	PrimaryValues map[string]string `json:"primaryValues,omitempty"`
	PassiveValues map[string]string `json:"passiveValues,omitempty"`
}
