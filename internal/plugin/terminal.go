package plugin

import (
	"os"

	"golang.org/x/term"
	"k8s.io/client-go/tools/remotecommand"
	kubectlterm "k8s.io/kubectl/pkg/util/term"
)

// isTerminal reports whether a stream is a terminal, so that a person sits before it.
func isTerminal(stream any) bool {
	f, ok := stream.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// sizes tells a remote terminal how large the caller's is.
type sizes struct{ queue kubectlterm.TerminalSizeQueue }

// Next blocks until the size changes; nil ends the queue.
func (s sizes) Next() *remotecommand.TerminalSize {
	if s.queue == nil {
		return nil
	}
	size := s.queue.Next()
	if size == nil {
		return nil
	}
	return &remotecommand.TerminalSize{Width: size.Width, Height: size.Height}
}

// paint colors text for a terminal and leaves it alone otherwise.
type paint bool

const (
	red    = "31"
	green  = "32"
	yellow = "33"
	bold   = "1"
)

func (p paint) in(code, text string) string {
	if !p || text == "" {
		return text
	}
	return "\x1b[" + code + "m" + text + "\x1b[0m"
}
