package status

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"dirtbike/cmd/internal/checks"
)

const (
	// CheckTime is how long one check may take.
	CheckTime = 3 * time.Second
	// CheckCache is for how long its answer is used again, so that probes cost the parts nothing.
	CheckCache = time.Second
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

// WithTry makes an error of the check end with what to do, and say what is safe, as package checks has it under the check's name.
func (c Check) WithTry(err error) error {
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
