package preflight

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
)

// part collects what is found of one part. It is safe for concurrent use, so that what was found stands when the part hangs.
type part struct {
	name string

	mu     sync.Mutex
	checks []Check
	closed bool
}

func (p *part) add(c Check) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return
	}
	c.Part, c.OK = p.name, c.Level != LevelError
	c.Message = strings.TrimRight(oneLine(c.Message), ".;, ")
	if plain, ok := plainSQL(c.Command); ok && kind(c.Command) == "sql" {
		c.Command = plain
	}
	p.checks = append(p.checks, c)
}

func (p *part) ok(slug, subject, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelOK, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

func (p *part) warn(slug, subject, command, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelWarning, Subject: subject, Command: command, Message: fmt.Sprintf(format, args...)})
}

func (p *part) fail(slug, subject, command, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Command: command, Message: fmt.Sprintf(format, args...)})
}

// failAs is fail, where the role that the SQL takes is known.
func (p *part) failAs(by, slug, subject, command, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Command: command, Message: fmt.Sprintf(format, args...), by: by})
}

// error adds a failed check with the error's own way out.
func (p *part) error(slug, subject string, err error) {
	message, try := splitTry(err)
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Command: try, Message: message, away: !refused(err)})
}

// refused says that somebody answered, and would not.
func refused(err error) bool {
	return errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) || errors.Is(err, cdc.ErrSchema) || errors.Is(err, cdc.ErrFenced)
}

// close gives what was found; what is found later is not heard any more.
func (p *part) close() []Check {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.checks
}

// failed reports whether something failed so far.
func (p *part) failed() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.checks {
		if !c.OK {
			return true
		}
	}
	return false
}

// run looks at the part for at most the time; a part that hangs has a failed check of the slug.
func (p *part) run(ctx context.Context, limit time.Duration, slug, subject, try string, look func(ctx context.Context)) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		look(bounded)
	}()
	select {
	case <-done:
	case <-bounded.Done():
		p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Command: try, away: true,
			Message: fmt.Sprintf("no answer to all questions within %s", limit)})
	}
}

// way is where the way out begins: "Try: …" or "Try, as the tables' owner: …".
var way = regexp.MustCompile(`[.,;]? Try(?:,[^:]*)?: `)

// splitTry takes an error apart: what is wrong, and the first way out.
func splitTry(err error) (message, try string) {
	message = oneLine(err.Error())
	if at := way.FindStringIndex(message); at != nil {
		message, try = message[:at[0]], message[at[1]:]
		if next := way.FindStringIndex(try); next != nil {
			try = try[:next[0]]
		}
	}
	return strings.TrimPrefix(message, cdc.ErrRefused.Error()+": "), try
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
