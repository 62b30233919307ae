package status

import (
	"cmp"
	"context"
	"strings"
	"time"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/checks"
)

const (
	// CheckTime is how long one check may take.
	CheckTime = 3 * time.Second
	// CheckCache is for how long its answer is used again, so that probes cost the parts nothing.
	CheckCache = time.Second
)

// Check is one named condition of readiness. Func returns nil if it holds; its error says what is wrong. It runs while
// other checks do, never twice at once, and should end when ctx does.
type Check struct {
	Name string
	Func func(ctx context.Context) error
}

// Reachable is a check that a part answers.
func Reachable(name string, ping func(ctx context.Context) error) Check {
	return Check{Name: name, Func: func(ctx context.Context) error {
		err := ping(ctx)
		if err == nil || len(cdc.Explain(err).Remedies()) > 0 {
			return err
		}
		return cdc.Failed("no answer").Because(err)
	}}
}

// Explain gives an error of the check a way out, and what is safe, as package checks says it; nil for nil.
func (c Check) Explain(err error) *cdc.Problem {
	p := cdc.Explain(err)
	if p == nil || len(p.Try) > 0 {
		return p
	}
	said, _ := checks.Find(c.Name) // without an entry there is nothing more to say
	p.Safe = cmp.Or(p.Safe, firstSentence(said.Safe))
	try := firstSentence(said.Do)
	if try != "" {
		try = strings.ToLower(try[:1]) + try[1:]
	}
	return p.Fix("%s", cmp.Or(try, "see the log of this process"))
}

// firstSentence gives the first sentence of Markdown as plain text, without its full stop.
func firstSentence(markdown string) string {
	sentence, _, _ := strings.Cut(markdown+" ", ". ")
	return strings.ReplaceAll(strings.TrimSpace(sentence), "`", "")
}
