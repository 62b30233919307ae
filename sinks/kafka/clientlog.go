package kafka

import (
	"fmt"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// clientLog passes on what the Kafka client logs, one level down: the client warns about what it then retries, and
// returns as an error what it cannot retry. The client logs no keys and values.
type clientLog struct{ log *zap.Logger }

// Level implements kgo.Logger.
func (l clientLog) Level() kgo.LogLevel {
	if l.log.Core().Enabled(zapcore.DebugLevel) {
		return kgo.LogLevelInfo
	}
	return kgo.LogLevelWarn
}

// Log implements kgo.Logger.
func (l clientLog) Log(level kgo.LogLevel, msg string, keyvals ...any) {
	fields := make([]zap.Field, 0, len(keyvals)/2)
	for i := 0; i+1 < len(keyvals); i += 2 {
		fields = append(fields, zap.Any(fmt.Sprint(keyvals[i]), keyvals[i+1]))
	}
	to := zapcore.InfoLevel
	if level >= kgo.LogLevelInfo {
		to = zapcore.DebugLevel
	}
	l.log.Log(to, msg, fields...)
}

var _ kgo.Logger = clientLog{}
