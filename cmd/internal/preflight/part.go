package preflight

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
)

// part collects the findings about one part, for concurrent use: they are kept when the part hangs.
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
	c.Message = strings.TrimRight(console.OneLine(c.Message), ".;, ")
	if len(c.Try) > 0 {
		c.Command = c.Try[0].Command
	}
	p.checks = append(p.checks, c)
}

// question is a check with two answers.
type question struct {
	slug, subject string
	// good is the finding if bad, the problem, is empty.
	good, bad string
	// command fixes the problem, and by is the role that may run it; both may be empty.
	by, command string
	// level is the level of a bad answer; empty is LevelError.
	level Level
	// advice are statements that may be run though the answer is good.
	advice string
	// about is the error behind a bad answer, if there is one.
	about error
}

func (p *part) judge(questions ...question) {
	for _, q := range questions {
		c := Check{Slug: q.slug, Level: LevelOK, Subject: q.subject, Message: q.good, Try: remedy("", q.advice)}
		if q.bad != "" {
			c.Level, c.Message, c.about = cmp.Or(q.level, LevelError), q.bad, q.about
			c.Try = remedy(q.by, q.command)
		}
		p.add(c)
	}
}

// when is the text if it holds, else empty.
func when(holds bool, format string, args ...any) string {
	if !holds {
		return ""
	}
	return fmt.Sprintf(format, args...)
}

func (p *part) ok(slug, subject, format string, args ...any) {
	p.judge(question{slug: slug, subject: subject, good: fmt.Sprintf(format, args...)})
}

func (p *part) warn(slug, subject, command, format string, args ...any) {
	p.judge(question{slug: slug, subject: subject, command: command, level: LevelWarning, bad: fmt.Sprintf(format, args...)})
}

func (p *part) fail(slug, subject, command, format string, args ...any) {
	p.judge(question{slug: slug, subject: subject, command: command, bad: fmt.Sprintf(format, args...)})
}

// remedy is one way out; none if there is no command.
func remedy(by, command string) []cdc.Remedy {
	if command == "" {
		return nil
	}
	return []cdc.Remedy{{By: by, Command: command}}
}

// error adds a failed check with the error's own ways out.
func (p *part) error(slug, subject string, err error) { p.problem(slug, subject, explain(err), err) }

// problem adds a failed check for a problem that was made of an error.
func (p *part) problem(slug, subject string, said *cdc.Problem, err error) {
	p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Try: slices.Clone(said.Try), Message: said.What, about: err, away: !refused(err)})
}

// refused says that the part answered with a refusal.
func refused(err error) bool {
	return errors.Is(err, cdc.ErrRefused) || errors.Is(err, cdc.ErrGap) || errors.Is(err, cdc.ErrSchema) || errors.Is(err, cdc.ErrFenced)
}

// close gives the findings; later ones are left out.
func (p *part) close() []Check {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	return p.checks
}

// any reports whether the condition holds for one of the checks so far.
func (p *part) any(is func(Check) bool) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.checks, is)
}

func failed(c Check) bool { return !c.OK }

// run checks the part for at most the time; a part that hangs has a failed check of the slug.
func (p *part) run(ctx context.Context, limit time.Duration, slug, subject, try string, check func(context.Context, *part)) {
	bounded, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	done := make(chan struct{})
	go func() {
		defer close(done)
		check(bounded, p)
	}()
	select {
	case <-done:
	case <-bounded.Done():
		p.add(Check{Slug: slug, Level: LevelError, Subject: subject, Try: remedy("", try), away: true,
			Message: fmt.Sprintf("no answer to all questions within %s", limit)})
	}
}

// explain gives the problem in one line, with the ways out; of several errors in one line those of the first.
func explain(err error) *cdc.Problem {
	said := cdc.Explain(err)
	if first := cdc.ParseProblem(said.What); len(first.Try) > 0 {
		said = first
	}
	said.What = strings.TrimPrefix(console.OneLine(said.What), cdc.ErrRefused.Error()+": ")
	return said
}

// firstWay is the command of the first way out; empty if there is none.
func firstWay(p *cdc.Problem) string {
	if len(p.Try) == 0 {
		return ""
	}
	return p.Try[0].Command
}
