package agent

import (
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// Install copies this program into dir, where the member's container runs it from.
// Idempotent; a half-written copy never has the final name.
func Install(dir string) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	from, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	defer from.Close()
	target := filepath.Join(dir, "agent")
	to, err := os.OpenFile(target+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("install agent: %w", err)
	}
	_, err = io.Copy(to, from)
	if closeErr := to.Close(); err == nil {
		err = closeErr
	}
	if err == nil {
		err = os.Rename(target+".new", target)
	}
	if err != nil {
		return fmt.Errorf("install agent in %s: %w", dir, err)
	}
	return nil
}

// NewLog is the agent's structured log: one JSON object a line.
func NewLog(w io.Writer) logr.Logger {
	config := zap.NewProductionEncoderConfig()
	config.TimeKey = "time"
	config.EncodeTime = zapcore.RFC3339NanoTimeEncoder
	level := zapcore.InfoLevel
	if os.Getenv("DBPAIR_LOG") == "debug" {
		level = zapcore.DebugLevel
	}
	core := zapcore.NewCore(zapcore.NewJSONEncoder(config), zapcore.AddSync(w), level)
	return zapr.NewLogger(zap.New(core)).WithName("agent")
}
