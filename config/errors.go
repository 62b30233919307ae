package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/agnivade/levenshtein"

	"dirtbike/cdc"
)

// Error is one problem of a file. It holds keys and places, never the content of a secret.
type Error struct {
	// File is the name given to Load or Parse.
	File string
	// Line and Column count from 1; both are 0 if the problem has no place of its own.
	Line, Column int
	// Key is the path of the setting ("source.tables[1]"); empty if the file is no YAML at all.
	Key string
	// What is wrong, without a full stop.
	What string
	// Try is what would be right, or what to do; empty if What says it.
	Try string
	// Table is the table of the source, schema.table, that the problem is about and that is there; empty if there is
	// none.
	Table string
	// NoColumn says that it is about the name of a column that Table does not have.
	NoColumn bool
}

// Error writes "file:line:column: key: what. Try: …".
func (e *Error) Error() string { return e.problem().Error() }

// Unwrap makes it a cdc.Problem.
func (e *Error) Unwrap() error { return e.problem() }

func (e *Error) problem() *cdc.Problem {
	where := Named(e.File)
	if e.Line > 0 {
		where += fmt.Sprintf(":%d:%d", e.Line, e.Column)
	}
	if e.Key != "" {
		where += ": " + Named(e.Key)
	}
	p := cdc.Failed("%s", e.What).At(where)
	if e.Try != "" {
		p.Fix("%s", e.Try)
	}
	return p
}

// fix sets what would be right.
func (e *Error) fix(format string, args ...any) *Error {
	e.Try = fmt.Sprintf(format, args...)
	return e
}

// Errors is every problem found in one file.
type Errors []*Error

// Error writes one problem a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, one := range e {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}

// Unwrap gives errors.As the single problems.
func (e Errors) Unwrap() []error {
	all := make([]error, len(e))
	for i, one := range e {
		all[i] = one
	}
	return all
}

func (e Errors) sorted() Errors {
	slices.SortStableFunc(e, func(a, b *Error) int {
		return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Key, b.Key))
	})
	return e
}

// asError is nil for an empty list: a typed nil must not become an error.
func (e Errors) asError() error {
	if len(e) == 0 {
		return nil
	}
	return e.sorted()
}

// keyPath is the place of a setting: the keys that lead to it; an entry of a list is "[0]", "[1]" …
type keyPath []string

func (p keyPath) child(key string) keyPath { return append(slices.Clip(p), key) }

func (p keyPath) entry(index int) keyPath { return p.child("[" + strconv.Itoa(index) + "]") }

// isEntry says that it is an entry of a list.
func (p keyPath) isEntry() bool { return len(p) > 0 && strings.HasPrefix(p[len(p)-1], "[") }

func (p keyPath) String() string {
	var b strings.Builder
	for i, key := range p {
		if i > 0 && !strings.HasPrefix(key, "[") {
			b.WriteByte('.')
		}
		b.WriteString(key)
	}
	return b.String()
}

// id distinguishes paths that are written alike, because a table's name has a dot in it.
func (p keyPath) id() string { return strings.Join(p, "\x00") }

// place is a line and a column, both from 1. The zero place is unknown.
type place struct{ line, column int }

// positions remembers the place of each key and each entry of a list, and which values came out of a reference.
type positions struct {
	file       string
	of         map[string]place
	referenced map[string]bool
}

func newPositions(file string) *positions {
	return &positions{file: file, of: map[string]place{}, referenced: map[string]bool{}}
}

// quote returns the value for use in an error. What came out of a reference may be a secret, under any key.
func (p *positions) quote(path keyPath, value string) string {
	if p != nil && p.referenced[path.id()] {
		return "the value of the reference"
	}
	return strconv.Quote(value)
}

func (p *positions) fileName() string {
	if p == nil {
		return "config"
	}
	return p.file
}

// find returns the place of the key, or of the nearest section around it that the file has.
func (p *positions) find(path keyPath) place {
	if p == nil {
		return place{}
	}
	for n := len(path); n > 0; n-- {
		if at, ok := p.of[path[:n].id()]; ok {
			return at
		}
	}
	return place{line: 1, column: 1}
}

func (p *positions) errorf(path keyPath, format string, args ...any) *Error {
	return (&collector{at: p}).failf(path, format, args...)
}

// collector notes what is wrong with a file; the caller adds what would be right.
type collector struct {
	at   *positions
	errs Errors
}

func (c *collector) failf(path keyPath, format string, args ...any) *Error {
	return c.failAt(c.at.find(path), path, format, args...)
}

func (c *collector) failAt(at place, path keyPath, format string, args ...any) *Error {
	err := &Error{File: c.at.fileName(), Line: at.line, Column: at.column, Key: path.String(), What: fmt.Sprintf(format, args...)}
	c.errs = append(c.errs, err)
	return err
}

const (
	// mostListed is how many names an error lists at most: a database can have thousands.
	mostListed = 8
	// removeIt is the way out for a name that matches nothing.
	removeIt = "remove it"
)

// tryNearest is the way out of an unknown name: the nearest candidate, else a list of them, or what else to do.
func tryNearest(word string, candidates []string, or string) string {
	if best := Nearest(word, candidates); best != "" {
		return strconv.Quote(best)
	}
	if len(candidates) == 0 {
		return or
	}
	if len(candidates) == 1 {
		return strconv.Quote(candidates[0]) + ", or " + or
	}
	names, more := slices.Sorted(slices.Values(candidates)), ""
	if len(names) > mostListed {
		names, more = names[:mostListed], ", …"
	}
	return fmt.Sprintf("one of %s%s; or %s", strings.Join(names, ", "), more, or)
}

// tryFree is tryNearest where names are unique: what is nearest to one that is taken can only be removed.
func tryFree(word string, candidates, taken []string, or string) string {
	if slices.Contains(taken, Nearest(word, candidates)) {
		return or
	}
	return tryNearest(word, slices.DeleteFunc(slices.Clone(candidates), func(name string) bool { return slices.Contains(taken, name) }), or)
}

// Nearest is the candidate nearest to word, by edits and without regard to case; empty if none is near. That one is the
// beginning of the other counts as a single edit.
func Nearest(word string, candidates []string) string {
	best, least := "", max(2, len(word)/3)+1
	word = strings.ToLower(word)
	for _, candidate := range slices.Sorted(slices.Values(candidates)) {
		lower := strings.ToLower(candidate)
		distance := levenshtein.ComputeDistance(word, lower)
		if len(word) >= 3 && distance > 0 && (strings.HasPrefix(lower, word) || strings.HasPrefix(word, lower)) {
			distance = 1
		}
		if distance < least && distance < len(candidate) {
			best, least = candidate, distance
		}
	}
	return best
}

func enumeration[T ~string](values ...T) []string {
	texts := make([]string, len(values))
	for i, value := range values {
		texts[i] = string(value)
	}
	return texts
}
