package main

import (
	"io"
	"os"
	"regexp"
	"strings"

	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
)

// command is a command line in a text, of a verb that reads the config.
var command = regexp.MustCompile("(?:^|[\\s(`])dirtbike (?:check|run|capture|load|wait|status|inventory|verify|resnapshot|purge)\\b")

// typable adds the --config of this process to the command lines in a text, so that they can be typed.
func (a *app) typable(text string) string {
	if a.configFlag == nil || !a.configFlag.Changed {
		return text
	}
	var out strings.Builder
	done := 0
	for _, at := range command.FindAllStringIndex(text, -1) {
		quotes := strings.Count(text[:at[1]], `"`) // between two is a name
		if quotes%2 == 1 || strings.HasPrefix(text[at[1]:], " --config") {
			continue
		}
		out.WriteString(text[done:at[1]] + " --config " + console.Shell(a.configFile))
		done = at[1]
	}
	return out.String() + text[done:]
}

// advice is a text that is printed while a capture may run.
func (a *app) advice(text string) string { return a.typable(cdc.StopFirst(text)) }

// typableWriter makes printed command lines typable, except inside the frames of tables, which have their width.
type typableWriter struct {
	io.Writer
	app *app
}

// Write implements io.Writer; each call gives whole lines.
func (w typableWriter) Write(b []byte) (int, error) {
	lines := strings.SplitAfter(string(b), "\n")
	for i, line := range lines {
		if !strings.HasPrefix(line, "│") {
			lines[i] = w.app.advice(line)
		}
	}
	_, err := io.WriteString(w.Writer, strings.Join(lines, ""))
	return len(b), err
}

// Fd names the terminal that it writes to, if it is one.
func (w typableWriter) Fd() uintptr {
	if file, is := w.Writer.(*os.File); is {
		return file.Fd()
	}
	return ^uintptr(0)
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
	e.Message = c.app.advice(e.Message)
	return c.Core.Write(e, c.fields(fields))
}

func (c typableCore) fields(fields []zapcore.Field) []zapcore.Field {
	out := make([]zapcore.Field, len(fields))
	for i, f := range fields {
		if err, ok := f.Interface.(error); ok && f.Type == zapcore.ErrorType && err != nil {
			f = zap.String(f.Key, c.app.advice(err.Error()))
		}
		if f.Type == zapcore.StringType && f.Key == "error" {
			f.String = c.app.advice(f.String)
		}
		out[i] = f
	}
	return out
}
