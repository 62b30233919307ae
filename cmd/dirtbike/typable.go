package main

import (
	"regexp"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"
)

// command is a command line in a text, of a verb that reads the config.
var command = regexp.MustCompile(`\bdirtbike (check|run|capture|load|wait|status|verify|resnapshot)\b( --config)?`)

// typable gives the command lines in a text the --config that this one was called with, so that they can be typed as they are.
func (a *app) typable(text string) string {
	if a.configFlag == nil || !a.configFlag.Changed {
		return text
	}
	return command.ReplaceAllStringFunc(text, func(line string) string {
		if strings.HasSuffix(line, " --config") {
			return line
		}
		return line + " --config " + quoted(a.configFile)
	})
}

// plainWord needs no quoting in a shell.
var plainWord = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

func quoted(word string) string {
	if plainWord.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// typableCore makes the command lines in log entries typable.
type typableCore struct {
	zapcore.Core
	app *app
}

// With implements zapcore.Core.
func (c typableCore) With(fields []zapcore.Field) zapcore.Core {
	return typableCore{c.Core.With(c.fields(fields)), c.app}
}

// Check implements zapcore.Core.
func (c typableCore) Check(e zapcore.Entry, checked *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return checked.AddCore(e, c)
	}
	return checked
}

// Write implements zapcore.Core.
func (c typableCore) Write(e zapcore.Entry, fields []zapcore.Field) error {
	e.Message = c.app.typable(e.Message)
	return c.Core.Write(e, c.fields(fields))
}

func (c typableCore) fields(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		switch f.Type { //nolint:exhaustive // other kinds hold no sentences
		case zapcore.StringType:
			f.String = c.app.typable(f.String)
		case zapcore.ErrorType:
			if err, ok := f.Interface.(error); ok && err != nil {
				f = zap.String(f.Key, c.app.typable(err.Error()))
			}
		}
		out[i] = f
	}
	return out
}
