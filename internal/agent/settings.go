package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dbpair/dbpair/internal/agentapi"
	"github.com/dbpair/dbpair/internal/mysqlops"
)

// settings are what the operator gives in files, read again whenever they change. A file
// that became unreadable leaves what was read before.
type settings struct {
	opt Options

	mu        sync.Mutex
	config    agentapi.Config
	passwords map[string]string
	revision  string // of the passwords
	// former are the passwords before the last change, of accounts with which the agent logs
	// in. Until it is known that mysqld has the new one, either may be the right one.
	former map[string]string
	// useFormer has root log in with the former one.
	useFormer bool
}

func readSettings(opt Options) (*settings, error) {
	s := &settings{opt: opt}
	return s, s.reload()
}

// reload reads everything; on an error it keeps what it had.
func (s *settings) reload() error {
	config, err := readConfig(filepath.Join(s.opt.ConfigDir, agentapi.ConfigFile))
	if err != nil {
		return err
	}
	passwords := map[string]string{}
	for _, name := range agentapi.PasswordFiles() {
		if passwords[name], err = s.readPassword(name); err != nil {
			return fmt.Errorf("read password %q: %w; it comes from the pair's Secrets", name, err)
		}
		if passwords[name] == "" {
			return fmt.Errorf("read password %q: the file is empty; delete the pair's Secret to have it made again", name)
		}
	}
	former := map[string]string{}
	for _, name := range agentapi.FormerPasswords() {
		file := agentapi.FormerPasswordFile(name)
		if former[name], err = s.readPassword(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read password %q: %w; it comes from the pair's Secret", file, err)
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	before := s.passwords[agentapi.PasswordFileRoot]
	changed := before != "" && before != passwords[agentapi.PasswordFileRoot]
	if former[agentapi.PasswordFileRoot] == "" {
		former[agentapi.PasswordFileRoot] = s.former[agentapi.PasswordFileRoot]
		if changed {
			former[agentapi.PasswordFileRoot] = before
		}
	}
	s.useFormer = s.useFormer || changed
	s.former = former
	s.config = config
	s.passwords = passwords
	s.revision = agentapi.PasswordsRevision(passwords)
	return nil
}

func (s *settings) readPassword(file string) (string, error) {
	text, err := os.ReadFile(filepath.Join(s.opt.InternalDir, file))
	return strings.TrimRight(string(text), "\r\n"), err
}

func readConfig(path string) (agentapi.Config, error) {
	var c agentapi.Config
	text, err := os.ReadFile(path)
	if err != nil {
		return c, fmt.Errorf("read the agent's configuration: %w; it comes from the pair's ConfigMap", err)
	}
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("read the agent's configuration %s: %w", path, err)
	}
	var problems []error
	for field, value := range map[string]time.Duration{"leaseDuration": c.LeaseDuration, "heartbeatInterval": c.HeartbeatInterval} {
		if value <= 0 {
			problems = append(problems, fmt.Errorf("agent's configuration %s: %s must be above 0", path, field))
		}
	}
	if c.Domain == "" {
		problems = append(problems, fmt.Errorf("agent's configuration %s: domain is empty", path))
	}
	return c, errors.Join(problems...)
}

func (s *settings) get() agentapi.Config {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.config
}

func (s *settings) password(name string) mysqlops.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mysqlops.NewSecret(s.passwords[name])
}

// root is the password to log in with.
func (s *settings) root() mysqlops.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	if former := s.former[agentapi.PasswordFileRoot]; s.useFormer && former != "" {
		return mysqlops.NewSecret(former)
	}
	return mysqlops.NewSecret(s.passwords[agentapi.PasswordFileRoot])
}

// otherRoot has the next login use the other one of root's passwords, if there are two, and
// reports whether that one is still to be tried: the present one comes first.
func (s *settings) otherRoot() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useFormer = !s.useFormer && s.former[agentapi.PasswordFileRoot] != ""
	return s.useFormer
}

// formerPassword is the one before the last change; zero when there is none.
func (s *settings) formerPassword(name string) mysqlops.Secret {
	s.mu.Lock()
	defer s.mu.Unlock()
	return mysqlops.NewSecret(s.former[name])
}

// rootChanged: mysqld has the new password.
func (s *settings) rootChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useFormer = false
}

func (s *settings) passwordsRevision() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.revision
}

func (s *settings) all() mysqlops.Passwords {
	return mysqlops.Passwords{
		Root:        s.password(agentapi.PasswordFileRoot),
		Replication: s.password(agentapi.PasswordFileReplication),
		Clone:       s.password(agentapi.PasswordFileClone),
		Monitor:     s.password(agentapi.PasswordFileMonitor),
		Checksum:    s.password(agentapi.PasswordFileChecksum),
		Repair:      s.password(agentapi.PasswordFileRepair),
		App:         s.password(agentapi.PasswordFileApp),
	}
}
