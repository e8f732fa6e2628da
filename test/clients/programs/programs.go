package programs

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"

	"github.com/dbpair/dbpair/internal/resources"
)

// Dir is where a program finds itself.
const Dir = "/etc/dbpair/programs"

// Command starts one program in a root file system.
type Command struct {
	Name string
	Argv []string
	// Env is what it needs beside Environment.
	Env []string
	// ConnectOnly: it says nothing new of a lost connection, since its driver is that of another program.
	ConnectOnly bool
}

// Environment is what every program gets.
func Environment() []string { return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"} }

// Commands are the programs that a root file system has what is needed for. Node's driver and Ruby may be missing; an error says
// that something else is.
func Commands(root string) ([]Command, error) {
	interpreter, errPHP := only(root, "usr/bin/php[0-9]*")
	java, errJava := only(root, "usr/lib/jvm/java-*/bin/java")
	if err := errors.Join(errPHP, errJava); err != nil {
		return nil, err
	}
	list := []Command{
		{
			Name: "PHP mysqli",
			Argv: php(interpreter, resources.KeyMySQLi),
		},
		{
			Name: "PHP PDO",
			Argv: php(interpreter, resources.KeyPDO),
		},
		{
			Name: "PyMySQL",
			Argv: []string{"/usr/bin/python3", Dir + "/python.py", resources.KeyPyMySQL},
		},
		{
			Name:        "SQLAlchemy",
			Argv:        []string{"/usr/bin/python3", Dir + "/python.py", resources.KeySQLAlchemy},
			ConnectOnly: true,
		},
		{
			Name: "Perl DBD::MariaDB",
			Argv: []string{"/usr/bin/perl", Dir + "/perl.pl"},
		},
		{
			Name: "Java MariaDB",
			Argv: []string{
				java, "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC",
				"-cp", "/usr/share/java/mariadb-java-client.jar", Dir + "/Java.java",
			},
		},
	}
	if _, err := os.Stat(filepath.Join(root, "usr/lib/node_modules/mysql2")); err == nil {
		list = append(list, Command{
			Name: "Node mysql2",
			Argv: []string{"/usr/bin/node", Dir + "/node.js"},
			Env:  []string{"NODE_PATH=/usr/lib/node_modules"},
		})
	}
	if interpreter, err := only(root, "usr/bin/ruby[0-9]*"); err == nil {
		list = append(list, Command{
			Name: "Ruby mysql2",
			Argv: []string{interpreter, Dir + "/ruby.rb"},
			// As in Debian: its library is that of Perl.
			ConnectOnly: true,
		})
	}
	return list, nil
}

// php switches extensions on: Debian does it when a package is configured, which it is not.
func php(interpreter, key string) []string {
	argv := []string{interpreter}
	for _, extension := range []string{"mysqlnd", "mysqli", "pdo", "pdo_mysql"} {
		argv = append(argv, "-d", "extension="+extension)
	}
	return append(argv, Dir+"/php.php", key)
}

// only returns the one file of root with a name of the pattern, as the root has it.
func only(root, pattern string) (string, error) {
	found, err := filepath.Glob(filepath.Join(root, pattern))
	if err != nil || len(found) == 0 {
		return "", fmt.Errorf("no %s in %s: %w", pattern, root, err)
	}
	name, err := filepath.Rel(root, found[0])
	return "/" + name, err
}

// Answer is one line of a program.
type Answer struct {
	OK    bool
	Value string // of an answer that is OK
	Code  string // of one that is not
	Class string
	Text  string
}

// ErrEnded is the error of a program that gave no answer, and ErrProtocol that of one whose answer is none.
var (
	ErrEnded    = errors.New("it ended without an answer")
	ErrProtocol = errors.New("no answer of the protocol")
)

// Session is a running program.
type Session struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	lines *bufio.Scanner
	end   sync.Once
}

// Start starts a program, and returns when it has said how its first connection went.
func Start(cmd *exec.Cmd) (*Session, Answer, error) {
	input, err := cmd.StdinPipe()
	if err != nil {
		return nil, Answer{}, err
	}
	output, err := cmd.StdoutPipe()
	if err != nil {
		return nil, Answer{}, err
	}
	if err := cmd.Start(); err != nil {
		return nil, Answer{}, err
	}
	s := &Session{
		cmd:   cmd,
		input: input,
		lines: bufio.NewScanner(output),
	}
	answer, err := s.read()
	return s, answer, err
}

// Ask sends a line and waits for the answer.
func (s *Session) Ask(line string) (Answer, error) {
	if _, err := io.WriteString(s.input, line+"\n"); err != nil {
		return Answer{}, fmt.Errorf("it does not read: %w", err)
	}
	return s.read()
}

// End kills the program. It is idempotent, and ends an Ask that waits.
func (s *Session) End() {
	s.end.Do(func() {
		_ = s.input.Close()
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	})
}

func (s *Session) read() (Answer, error) {
	if !s.lines.Scan() {
		return Answer{}, ErrEnded
	}
	return parse(s.lines.Text())
}

func parse(line string) (Answer, error) {
	field := strings.Split(line, "\t")
	switch {
	case field[0] == "ok" && len(field) == 1:
		return Answer{OK: true}, nil
	case field[0] == "ok":
		return Answer{OK: true, Value: field[1]}, nil
	case field[0] == "error" && len(field) == 4:
		return Answer{Code: field[1], Class: field[2], Text: field[3]}, nil
	}
	return Answer{Text: line}, fmt.Errorf("%w: %q", ErrProtocol, line)
}
