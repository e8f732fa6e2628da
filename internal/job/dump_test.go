package job

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"

	"github.com/dbpair/dbpair/internal/agentapi"
)

// scriptedAgent wants one step after the other, and takes what comes.
type scriptedAgent struct {
	wants []any // a DumpStep, or an error
	takes []error
	got   []string
	step  func(n int) // called before each question
	asked int
}

// WantedDump implements DumpAgent.
func (s *scriptedAgent) WantedDump(context.Context) (agentapi.DumpStep, error) {
	if s.step != nil {
		s.step(s.asked)
	}
	want := s.wants[s.asked]
	s.asked++
	if err, failed := want.(error); failed {
		return "", err
	}
	return want.(agentapi.DumpStep), nil
}

// SendDump implements DumpAgent.
func (s *scriptedAgent) SendDump(_ context.Context, step agentapi.DumpStep, body io.Reader, size int64) error {
	text, err := io.ReadAll(body)
	if err != nil || int64(len(text)) != size {
		return errors.Join(err, errors.New("the size is wrong"))
	}
	s.got = append(s.got, string(step)+": "+string(text))
	if len(s.takes) == 0 {
		return nil
	}
	answer := s.takes[0]
	s.takes = s.takes[1:]
	return answer
}

// The Job sends the file when it is wanted, again after every failure, and ends only when the
// member has its data.
func TestADumpIsBroughtUntilTheMemberHasItsData(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "a", "app.sql")
	if err := errors.Join(os.Mkdir(filepath.Dir(path), 0o755), os.WriteFile(path, []byte("one"), 0o600)); err != nil {
		t.Fatal(err)
	}
	agent := &scriptedAgent{
		wants: []any{
			errors.New("it does not answer"), agentapi.DumpNothing, agentapi.DumpCheck, agentapi.DumpLoad,
			agentapi.DumpNothing, agentapi.DumpCheck, agentapi.DumpLoad, agentapi.DumpDone,
		},
		takes: []error{nil, errors.New("the connection broke"), nil, nil},
		step: func(n int) {
			if n == 5 { // replaced after the first attempt
				if err := os.WriteFile(path, []byte("two"), 0o600); err != nil {
					t.Error(err)
				}
			}
		},
	}
	d := Dump{
		Dir:   dir,
		Path:  "a/app.sql",
		Agent: agent,
		Pause: time.Millisecond,
		Log:   logr.Discard(),
	}
	if err := d.Bring(t.Context()); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"check: one", "load: one", "check: two", "load: two"}, agent.got); diff != "" {
		t.Error(diff)
	}
}

// What keeps the Job from reading the file is sent in its place. A link does not lead out of the volume.
func TestADumpThatCannotBeReadIsToldWithItsReason(t *testing.T) {
	dir := t.TempDir()
	outside := filepath.Join(t.TempDir(), "secret")
	err := errors.Join(os.WriteFile(outside, []byte("no dump"), 0o600), os.Symlink(outside, filepath.Join(dir, "link")),
		os.Mkdir(filepath.Join(dir, "folder"), 0o755))
	if err != nil {
		t.Fatal(err)
	}
	for path, says := range map[string]string{
		"gone.sql": "no such file",
		"link":     "escapes",
		"folder":   "is no file",
	} {
		agent := &scriptedAgent{wants: []any{agentapi.DumpCheck, agentapi.DumpDone}}
		d := Dump{
			Dir:   dir,
			Path:  path,
			Agent: agent,
			Pause: time.Millisecond,
			Log:   logr.Discard(),
		}
		if err := d.Bring(t.Context()); err != nil {
			t.Fatal(err)
		}
		if len(agent.got) != 1 || !strings.HasPrefix(agent.got[0], "unreadable: ") || !strings.Contains(agent.got[0], says) {
			t.Errorf("%s: %q, want %q", path, agent.got, says)
		}
	}
}
