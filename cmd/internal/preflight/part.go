package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
)

// part collects what is found of one part. It is safe for concurrent use, so that what was found is kept when the part
// hangs.
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
	for i, r := range c.Try {
		if plain, ok := plainSQL(r.Command); ok && kind(r.Command) == "sql" {
			c.Try[i].Command = plain
		}
	}
	if len(c.Try) > 0 {
		c.Command = c.Try[0].Command
	}
	p.checks = append(p.checks, c)
}

func (p *part) ok(slug, subject, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelOK, Subject: subject, Message: fmt.Sprintf(format, args...)})
}

func (p *part) warn(slug, subject, command, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelWarning, Subject: subject, Try: remedy("", command), Message: fmt.Sprintf(format, args...)})
}

// remedy is one way out; none if there is no command.
func remedy(by, command string) []cdc.Remedy {
	if command == "" {
		return nil
	}
	return []cdc.Remedy{{By: by, Command: command}}
}

func (p *part) fail(slug, subject, command, format string, args ...any) {
	p.failAs("", slug, subject, command, format, args...)
}

// failAs is fail, where the role that the SQL takes is known.
func (p *part) failAs(by, slug, subject, command, format string, args ...any) {
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Try: remedy(by, command), Message: fmt.Sprintf(format, args...)})
}

// error adds a failed check with the error's own ways out.
func (p *part) error(slug, subject string, err error) { p.problem(slug, subject, explain(err), err) }

// problem adds a failed check for what is said of an error.
func (p *part) problem(slug, subject string, said *cdc.Problem, err error) {
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Try: slices.Clone(said.Try), Message: said.What, away: !refused(err)})
}

// refused says that the part answered with a refusal.
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

// run checks the part for at most the time; a part that hangs has a failed check of the slug.
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
		p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Try: remedy("", try), away: true,
			Message: fmt.Sprintf("no answer to all questions within %s", limit)})
	}
}

// explain takes an error apart: what is wrong, in one line, and the ways out; of several errors in one line those of
// the first.
func explain(err error) *cdc.Problem {
	said := cdc.Explain(err)
	if first := cdc.ParseProblem(said.What); len(first.Try) > 0 {
		said = first
	}
	said.What = strings.TrimPrefix(oneLine(said.What), cdc.ErrRefused.Error()+": ")
	return said
}

// firstWay is the command of the first way out; empty if there is none.
func firstWay(p *cdc.Problem) string {
	if len(p.Try) == 0 {
		return ""
	}
	return p.Try[0].Command
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
