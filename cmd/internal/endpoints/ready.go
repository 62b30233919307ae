package endpoints

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/checks"
	"dirtbike/cmd/internal/status"
)

// runner runs a check at most once at a time and keeps its answer.
type runner struct {
	status.Check
	mu   sync.Mutex
	done chan struct{} // of the run under way; nil if none
	at   time.Time     // of the answer
	err  error
	note string
}

// result gives the answer, a kept one if it is fresh. A check that hangs is not started again.
func (r *runner) result(ctx context.Context) error {
	r.mu.Lock()
	if r.done == nil {
		if !r.at.IsZero() && time.Since(r.at) < status.CheckCache {
			defer r.mu.Unlock()
			return r.err
		}
		r.done = make(chan struct{})
		go r.run(context.WithoutCancel(ctx))
	}
	done := r.done
	r.mu.Unlock()
	timer := time.NewTimer(status.CheckTime)
	defer timer.Stop()
	select {
	case <-done:
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.err
	case <-timer.C:
		return cdc.Failed("no answer within %s", status.CheckTime)
	case <-ctx.Done():
		return ctx.Err()
	}
}

// noted is what the last answer adds to "ok".
func (r *runner) noted() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.note == "" {
		return ""
	}
	return ": " + r.note
}

func (r *runner) run(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, status.CheckTime)
	defer cancel()
	err, note := r.Func(ctx), ""
	if err == nil && r.Note != nil {
		note = r.Note(ctx)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	close(r.done)
	r.done, r.at, r.err, r.note = nil, time.Now(), err, note
}

// check runs all checks at once, without the excluded ones. It gives one line for each, in their order.
func (s *Server) check(ctx context.Context, exclude []string) (text string, ok bool) {
	runners := s.views.Load().checks
	problems := make([]*cdc.Problem, len(runners))
	var wg sync.WaitGroup
	for i, c := range runners {
		if !slices.Contains(exclude, c.Name) {
			wg.Go(func() { problems[i] = c.Explain(c.result(ctx)) })
		}
	}
	wg.Wait()
	ok = true
	var b strings.Builder
	for i, c := range runners {
		switch explained, known := checks.Find(c.Name); {
		case slices.Contains(exclude, c.Name):
			fmt.Fprintf(&b, "[+]%s excluded: ok\n", c.Name)
		case problems[i] == nil:
			fmt.Fprintf(&b, "[+]%s ok%s\n", c.Name, c.noted())
		case known:
			ok = false
			fmt.Fprintf(&b, "[-]%s failed: %s (%s)\n", c.Name, problems[i], explained.Reference())
		default:
			ok = false
			fmt.Fprintf(&b, "[-]%s failed: %s\n", c.Name, problems[i])
		}
	}
	for _, name := range exclude {
		if !slices.ContainsFunc(runners, func(r *runner) bool { return r.Name == name }) {
			fmt.Fprintf(&b, "warn: no check is named %q, nothing excluded for it\n", name)
		}
	}
	return b.String(), ok
}
