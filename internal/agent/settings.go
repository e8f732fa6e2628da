package agent

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
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
	// rootBefore is root's password before the last change. Until it is known that
	// mysqld has the new one, either may be the right one.
	rootBefore string
	useBefore  bool
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
	hash := sha256.New()
	for _, name := range []string{
		agentapi.PasswordFileRoot, agentapi.PasswordFileReplication, agentapi.PasswordFileClone,
		agentapi.PasswordFileMonitor, agentapi.PasswordFileChecksum, agentapi.PasswordFileRepair, agentapi.PasswordFileApp,
	} {
		text, err := os.ReadFile(filepath.Join(s.opt.InternalDir, name))
		if err != nil {
			return fmt.Errorf("read password %q: %w; it comes from the pair's Secrets", name, err)
		}
		if passwords[name] = strings.TrimRight(string(text), "\r\n"); passwords[name] == "" {
			return fmt.Errorf("read password %q: the file is empty; delete the pair's Secret to have it made again", name)
		}
		fmt.Fprintf(hash, "%s\x00%s\x00", name, passwords[name])
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if before := s.passwords[agentapi.PasswordFileRoot]; before != "" && before != passwords[agentapi.PasswordFileRoot] {
		s.rootBefore = before
		s.useBefore = true
	}
	s.config = config
	s.passwords = passwords
	s.revision = hex.EncodeToString(hash.Sum(nil))[:12]
	return nil
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
	if s.useBefore && s.rootBefore != "" {
		return mysqlops.NewSecret(s.rootBefore)
	}
	return mysqlops.NewSecret(s.passwords[agentapi.PasswordFileRoot])
}

// otherRoot has the next login use the other one of root's passwords, if there are two.
func (s *settings) otherRoot() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useBefore = !s.useBefore && s.rootBefore != ""
}

// rootChanged: mysqld has the new password.
func (s *settings) rootChanged() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.useBefore = false
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
