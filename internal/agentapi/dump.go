package agentapi

// Dump is a file of SQL statements that a pair begins with. A Job brings it to PathDump.
type Dump struct {
	// Name is what messages call it.
	Name string `json:"name"`
	// Job that brings it.
	Job string `json:"job"`
	// Strip leaves out the statements that bypass the binary log.
	Strip bool `json:"strip,omitempty"`
	// AllowMissingDefiners takes definitions of accounts that do not exist.
	AllowMissingDefiners bool `json:"allowMissingDefiners,omitempty"`
}

// DumpOperation is what the certificate of the Job is issued for that brings a dump. It is no
// operation's name, which has no slash.
const DumpOperation = "bootstrap/dump"

// DumpStep is what an agent wants of the Job that brings a dump, and what the Job does.
type DumpStep string

// The steps.
const (
	// DumpNothing: the agent does not wait for a dump now. Ask again.
	DumpNothing DumpStep = "nothing"
	// DumpCheck: the whole file, to be checked. Nothing is loaded.
	DumpCheck DumpStep = "check"
	// DumpLoad: the whole file once more, to be loaded.
	DumpLoad DumpStep = "load"
	// DumpUnreadable is sent in place of the file: a sentence that says why there is none.
	DumpUnreadable DumpStep = "unreadable"
	// DumpDone: the member has its data, and the Job has nothing more to do.
	DumpDone DumpStep = "done"
)

// DumpReply answers a GET of PathDump, and a POST that was taken.
type DumpReply struct {
	Want DumpStep `json:"want"`
}
