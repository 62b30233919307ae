package cdc

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Problem is an error for the person who must act on it: what failed, where, what is already safe, and what to do. It
// is written as text in one place, Error; everything else reads its fields. It never holds a row value or a secret.
//
// The zero value is not a problem; make one with Failed, Refused or Gap, or as a literal. A Problem is not changed once
// it has been returned: the methods that add to it are for the place that makes it.
type Problem struct {
	// Kind is what the problem means for the pipeline: ErrRefused, ErrGap or another Err… value, found by errors.Is.
	// nil says only that something failed, so that another try may succeed.
	Kind  error
	Where string // the object: a table, a topic and offset, an LSN, a host. Empty if What names it.
	// What failed or does not fit, without a full stop.
	What  string
	Cause error    // the error beneath, nil if there is none. Its ways out are the problem's own, unless Try has some.
	Safe  string   // what is not affected, a sentence without its full stop; empty if there is nothing to say
	Try   []Remedy // the ways out: any one of them is enough. Empty if all that helps is to wait.
}

// Remedy is one way out of a problem.
type Remedy struct {
	// By says who can do it, e.g. "a superuser" or "the owner of public.claims"; empty for the person who reads it.
	By      string
	Command string // what to type, or what to do, without a full stop
}

// Failed makes a problem of no particular kind.
func Failed(format string, args ...any) *Problem { return &Problem{What: fmt.Sprintf(format, args...)} }

// Refused makes a problem of kind ErrRefused: the operator has to decide.
func Refused(format string, args ...any) *Problem { return Failed(format, args...).Of(ErrRefused) }

// Gap makes a problem of kind ErrGap: changes are missing.
func Gap(format string, args ...any) *Problem { return Failed(format, args...).Of(ErrGap) }

// Of sets the kind.
func (p *Problem) Of(kind error) *Problem { p.Kind = kind; return p }

// At sets where.
func (p *Problem) At(where string) *Problem { p.Where = where; return p }

// Because sets the cause; nil is none.
func (p *Problem) Because(err error) *Problem { p.Cause = err; return p }

// Keeps says what is not affected.
func (p *Problem) Keeps(format string, args ...any) *Problem {
	p.Safe = fmt.Sprintf(format, args...)
	return p
}

// Fix adds a way out for the person who reads the problem.
func (p *Problem) Fix(format string, args ...any) *Problem { return p.FixBy("", format, args...) }

// FixBy adds a way out that another role has to take; by is e.g. "a superuser".
func (p *Problem) FixBy(by, format string, args ...any) *Problem {
	p.Try = append(p.Try, Remedy{By: by, Command: fmt.Sprintf(format, args...)})
	return p
}

// OrFix adds a way out if there is none, not even the cause's.
func (p *Problem) OrFix(format string, args ...any) *Problem {
	if len(p.Remedies()) > 0 {
		return p
	}
	return p.Fix(format, args...)
}

// Then adds to every way out what must follow it, e.g. the copy of a table whose rights have been granted. It is the
// way out where there is no other.
func (p *Problem) Then(format string, args ...any) *Problem {
	command, before := fmt.Sprintf(format, args...), p.Remedies()
	p.Try = nil
	for _, r := range before {
		p = p.FixBy(r.By, "%s; then %s", r.Command, command)
	}
	if len(before) == 0 {
		p = p.Fix("%s", command)
	}
	return p
}

// ThenCopy adds to every way out the new copy of the table, "schema.table", that must follow it: the start does, where
// it leaves the table out. A way out that says what follows stays as it is.
func (p *Problem) ThenCopy(table string) *Problem {
	before := p.Remedies()
	p.Try = nil
	for _, r := range before {
		switch {
		case strings.Contains(r.Command, resnapshot), strings.Contains(r.Command, restart):
		case strings.Contains(r.Command, strconv.Quote("!"+table)):
			r.Command += "; then " + restart
		default:
			r.Command += "; then " + ResnapshotCommand(table)
		}
		p.Try = append(p.Try, r)
	}
	if len(before) == 0 {
		p = p.Fix("%s", ResnapshotCommand(table))
	}
	return p
}

// restart is what a changed config needs.
const restart = "restart capture"

// Error writes the problem in one line: kind, where, what, cause; what is safe; the ways out.
func (p *Problem) Error() string {
	kind, cause := "", ""
	if p.Cause != nil { // without its ways out
		cause = strings.TrimSuffix(foldLines(p.Cause.Error()), fieldsOf(p.Cause).advice())
	}
	if p.Kind != nil {
		kind = p.Kind.Error()
		cause = strings.TrimPrefix(cause, kind+": ") // it is said once
	}
	parts := slices.DeleteFunc([]string{kind, p.Where, p.What, cause}, func(s string) bool { return s == "" })
	text, advice := foldLines(strings.Join(parts, ": ")), p.advice()
	if advice != "" {
		text = withoutStop(text)
	}
	return text + advice
}

// withoutStop takes the full stop off that servers and libraries end their errors with: another follows.
func withoutStop(text string) string { return strings.TrimRight(text, ". ") }

// advice is the part of the text that is for acting on: what is safe, and the ways out.
func (p *Problem) advice() string {
	out := ""
	if safe := p.safe(); safe != "" {
		first, size := utf8.DecodeRuneInString(safe)
		out = ". " + string(unicode.ToUpper(first)) + safe[size:]
	}
	if try := WriteRemedies(p.Remedies()); try != "" {
		out += ". " + try
	}
	return foldLines(out)
}

func (p *Problem) safe() string {
	if p.Safe == "" && p.Cause != nil {
		return fieldsOf(p.Cause).safe()
	}
	return p.Safe
}

// Remedies are the ways out: the problem's own, or else those of its cause.
func (p *Problem) Remedies() []Remedy {
	if len(p.Try) == 0 && p.Cause != nil {
		return fieldsOf(p.Cause).Remedies()
	}
	return p.Try
}

// Unwrap gives errors.Is and errors.As the kind and the cause.
func (p *Problem) Unwrap() []error {
	return slices.DeleteFunc([]error{p.Kind, p.Cause}, func(err error) bool { return err == nil })
}

// WriteRemedies writes ways out as every message ends: "Try: A, or B", or "Try, as a superuser: A". Empty for none.
func WriteRemedies(remedies []Remedy) string {
	var out strings.Builder
	for i, r := range remedies {
		switch {
		case i == 0 && r.By == "":
			out.WriteString("Try: ")
		case i == 0:
			out.WriteString("Try, as " + r.By + ": ")
		case r.By != "":
			out.WriteString(", or as " + r.By + ": ")
		default:
			out.WriteString(", or ")
		}
		out.WriteString(r.Command)
	}
	return out.String()
}

// Explain gives any error as a Problem. If the error wraps a Problem, its own text in front becomes part of What; an
// error without one becomes What alone. Explain(nil) is nil.
func Explain(err error) *Problem {
	if err == nil {
		return nil
	}
	if several := (Problems)(nil); errors.As(err, &several) && len(several) > 1 {
		return &Problem{What: foldLines(err.Error())} // each says its own way out
	}
	var p *Problem
	if !errors.As(err, &p) {
		return ParseProblem(err.Error())
	}
	out := &Problem{Kind: p.Kind, Safe: p.safe(), Try: p.Remedies()}
	out.What = withoutStop(strings.TrimSuffix(foldLines(err.Error()), p.advice()))
	if p.Kind != nil { // it is said by Kind
		out.What = strings.Replace(out.What, p.Kind.Error()+": ", "", 1)
	}
	return out
}

// Together makes one problem of several, in one line: what each says, and the ways out of the first that has some. nil
// for none.
func Together(errs ...error) *Problem {
	var what []string
	out := &Problem{}
	for _, err := range errs {
		p := Explain(err)
		if len(out.Try) == 0 {
			out.Try = p.Try
		}
		p.Try = nil
		what = append(what, p.Error())
	}
	if out.What = strings.Join(what, "; "); out.What == "" {
		return nil
	}
	return out
}

// ParseProblem reads the text that Error wrote back into What and Try. It is for reasons that are stored as text: in
// the state topic, in ClickHouse's quarantine table, and in what other programs say. Text without a way out is What
// alone.
func ParseProblem(text string) *Problem {
	text = foldLines(text)
	m := written.FindStringSubmatch(text)
	if m == nil {
		return &Problem{What: withoutStop(text)}
	}
	return &Problem{What: withoutStop(m[1]), Try: []Remedy{{By: m[2], Command: m[3]}}}
}

// written is a problem as text: what it is about, who can do something, and what.
var written = regexp.MustCompile(`^(.*?)\. Try(?:, as (.*?))?: (.*)$`)

// fieldsOf gives the Problem in an error, or what its text says.
func fieldsOf(err error) *Problem {
	if p := (*Problem)(nil); errors.As(err, &p) {
		return p
	}
	return ParseProblem(err.Error())
}

func foldLines(s string) string { return strings.ReplaceAll(s, "\n", "; ") }

// OneLine joins errors in one line; nil if there are none. It is for errors that are one problem together.
func OneLine(errs ...error) error {
	if err := errors.Join(errs...); err != nil {
		return oneLine{err}
	}
	return nil
}

// Several takes apart what OneLine has joined; any other error is one, and nil none.
func Several(err error) (all []error) {
	switch e := err.(type) { //nolint:errorlint // what wraps such an error adds to it
	case nil:
	case oneLine:
		for _, one := range e.error.(interface{ Unwrap() []error }).Unwrap() {
			all = append(all, Several(one)...)
		}
	default:
		all = []error{err}
	}
	return all
}

// oneLine writes an error of several lines, as errors.Join makes them, in one.
type oneLine struct{ error }

func (e oneLine) Error() string { return foldLines(e.error.Error()) }
func (e oneLine) Unwrap() error { return e.error }

// Problems are several independent things to fix, each with its own ways out. Their text is one line, for logs; Lines
// gives one line each.
type Problems []error

func (p Problems) Error() string { return strings.Join(p.lines(), "; ") }

// Unwrap gives errors.Is and errors.As each of them.
func (p Problems) Unwrap() []error { return p }

func (p Problems) lines() []string {
	out := make([]string, len(p))
	for i, err := range p {
		out[i] = foldLines(err.Error())
	}
	return out
}

// Lines gives the text of err for people: several problems are on a line each, below what they are about.
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
