package cdc

import (
	"errors"
	"strings"
)

// Problems are several things to mend, each with its own way out. Their text is one line, for logs; Lines gives one line each.
type Problems []error

func (p Problems) Error() string { return strings.Join(p.lines(), "; ") }

func (p Problems) Unwrap() []error { return p }

func (p Problems) lines() []string {
	out := make([]string, len(p))
	for i, err := range p {
		out[i] = oneLine{err}.Error()
	}
	return out
}

// Lines gives the text of err for people: where it is about several things to mend, each stands on a line of its own below what they
// are about.
func Lines(err error) string {
	text := err.Error()
	var several Problems
	if !errors.As(err, &several) || len(several) < 2 {
		return text
	}
	before, after, found := strings.Cut(text, several.Error())
	if !found {
		return text
	}
	return strings.TrimRight(before, " ") + "\n" + strings.Join(several.lines(), "\n") + after
}
