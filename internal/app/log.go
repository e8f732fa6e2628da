package app

import (
	"fmt"
	"io"
	"time"

	"github.com/go-logr/logr"
	"github.com/go-logr/zapr"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

func level(name string) (zapcore.Level, error) {
	switch name {
	case "debug":
		return zapcore.DebugLevel, nil
	case "info":
		return zapcore.InfoLevel, nil
	case "error":
		return zapcore.ErrorLevel, nil
	}
	return 0, fmt.Errorf("--log-level %q: want debug, info or error", name)
}

// Logger writes one JSON object a line.
func Logger(o Options, out io.Writer) logr.Logger {
	at, err := level(o.LogLevel)
	if err != nil {
		at = zapcore.InfoLevel
	}
	conf := zap.NewProductionEncoderConfig()
	conf.TimeKey = "time"
	conf.MessageKey = "message"
	conf.EncodeTime = zapcore.TimeEncoderOfLayout(time.RFC3339Nano)
	conf.EncodeDuration = zapcore.StringDurationEncoder
	core := zapcore.NewCore(zapcore.NewJSONEncoder(conf), zapcore.AddSync(out), at)
	return zapr.NewLogger(zap.New(core, zap.AddStacktrace(zapcore.DPanicLevel))).WithValues("version", o.Version)
}
