package ops

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dirtbike/cmd/internal/checks"
)

const (
	// checkTime is how long one check may take.
	checkTime = 3 * time.Second
	// checkCache is for how long its answer is used again, so that probes cost the parts nothing.
	checkCache = time.Second
)

// Check is one named condition of readiness. Func returns nil if it holds; its error says in one line what is wrong and ends
// with "Try: …". It runs beside other checks, never twice at once, and should end when ctx does.
type Check struct {
	Name string
	Func func(ctx context.Context) error
	// Try is what to do if Func does not answer in time, or its error does not say it. Empty stands for what package checks
	// says of the name: every failed check is shown with a way out.
	Try string
}

// Reachable is a check that a part answers; try says what to do if it does not and the error says nothing better, as Check.Try.
func Reachable(name string, ping func(ctx context.Context) error, try string) Check {
	return Check{Name: name, Try: try, Func: func(ctx context.Context) error {
		err := ping(ctx)
		if err == nil || saysTry(err) {
			return err
		}
		return fmt.Errorf("no answer: %w", err)
	}}
}

func saysTry(err error) bool { return strings.Contains(err.Error(), "Try: ") }

// withTry makes an error of the check end with what to do, and say what is safe, as package checks has it under the check's name.
func (c Check) withTry(err error) error {
	if err == nil || saysTry(err) {
		return err
	}
	said, _ := checks.Find(c.Name) // without an entry there is nothing more to say
	safe := firstSentence(said.Safe)
	if safe != "" {
		safe = " " + safe + "."
	}
	return fmt.Errorf("%w.%s Try: %s", err, safe, cmp.Or(c.Try, lowerFirst(firstSentence(said.Do)), "see the log of this process"))
}

// firstSentence gives the first sentence of Markdown as plain text, without its full stop.
func firstSentence(markdown string) string {
	sentence, _, _ := strings.Cut(markdown+" ", ". ")
	return strings.ReplaceAll(strings.TrimSpace(sentence), "`", "")
}

func lowerFirst(s string) string {
	if s == "" {
		return s
	}
	return strings.ToLower(s[:1]) + s[1:]
}

// anchor is where the README explains a check, in brackets; empty for a check that it does not know.
func anchor(name string) string {
	if c, known := checks.Find(name); known {
		return " (" + c.Anchor() + ")"
	}
	return ""
}

// runner runs a check at most once at a time and keeps its answer.
type runner struct {
	Check
	mu   sync.Mutex
	done chan struct{} // of the run under way; nil if none
	at   time.Time     // of the answer
	err  error
}

// result gives the answer, a kept one if it is fresh. A check that hangs is not started again.
func (r *runner) result(ctx context.Context) error {
	r.mu.Lock()
	if r.done == nil {
		if !r.at.IsZero() && time.Since(r.at) < checkCache {
			defer r.mu.Unlock()
			return r.err
		}
		r.done = make(chan struct{})
		go r.run(context.WithoutCancel(ctx))
	}
	done := r.done
	r.mu.Unlock()
	timer := time.NewTimer(checkTime)
	defer timer.Stop()
	select {
	case <-done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.err
	case <-timer.C:
		return fmt.Errorf("no answer within %s", checkTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (r *runner) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, checkTime)
	defer cancel()
	err := r.Func(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.done)
	r.done, r.at, r.err = nil, time.Now(), err
}

// report is what all checks say.
type report struct {
	ok   bool
	text string // one line per check, in their order
}

// check runs all checks at once, without the excluded ones.
func (s *Server) check(ctx context.Context, exclude []string) report {
	checks := s.views.Load().checks
	errs := make([]error, len(checks))
	var wg sync.WaitGroup
	for i, c := range checks {
		if !slices.Contains(exclude, c.Name) {
			wg.Go(func() { errs[i] = c.withTry(c.result(ctx)) })
		}
	}
	wg.Wait()
	out, known := report{ok: true}, map[string]bool{}
	var b strings.Builder
	for i, c := range checks {
		known[c.Name] = true
		switch {
		case slices.Contains(exclude, c.Name):
			fmt.Fprintf(&b, "[+]%s excluded: ok\n", c.Name)
		case errs[i] != nil:
			out.ok = false
			fmt.Fprintf(&b, "[-]%s failed: %s%s\n", c.Name, oneLine(errs[i].Error()), anchor(c.Name))
		default:
			fmt.Fprintf(&b, "[+]%s ok\n", c.Name)
		}
	}
	for _, name := range exclude {
		if !known[name] {
			fmt.Fprintf(&b, "warn: no check is named %q, nothing excluded for it\n", name)
		}
	}
	out.text = b.String()
	return out
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }
