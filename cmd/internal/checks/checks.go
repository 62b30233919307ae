// Package checks explains every named check, those of the readiness endpoint and those of `dirtbike check`, and the
// topics to which other messages refer. CHECKS.md is its data; `dirtbike explain` prints it.
package checks

import (
	_ "embed"
	"slices"
	"strings"
	"sync"

	"dirtbike/cmd/internal/console"
)

//go:embed CHECKS.md
var page string

// Check explains a check to the person who is woken by it. Meaning, Safe and Do are one or more sentences of plain
// Markdown, each in one line.
type Check struct {
	// Slug names the check in outputs: lower-case letters, digits and dashes, unique among all.
	Slug string
	// Meaning says what is wrong when the check fails.
	Meaning string
	// Safe says what is not lost or wrong meanwhile.
	Safe string
	// Do is the command, or another action, that fixes it.
	Do string
}

// Reference is the command that prints the check's explanation.
func (c Check) Reference() string { return "dirtbike explain " + c.Slug }

// Group is the checks under one heading.
type Group struct {
	Title  string
	Checks []Check
}

// Groups are all checks in the order of the page, not to be changed: those of /readyz, in its order, those of `dirtbike
// check`, in its order, and others. Where an error does not say what is safe or what to do, /readyz takes the first
// sentence of Safe and of Do.
var Groups = sync.OnceValue(func() []Group { return parse(page) })

// All are the checks of all groups.
func All() (all []Check) {
	for _, g := range Groups() {
		all = append(all, g.Checks...)
	}
	return all
}

// Find gives the check of a slug; ok is false if there is none.
func Find(slug string) (c Check, ok bool) {
	all := All()
	if i := slices.IndexFunc(all, func(c Check) bool { return c.Slug == slug }); i >= 0 {
		return all[i], true
	}
	return Check{}, false
}

// parse reads the page: a heading of the second level for each group, one of the third for each check.
func parse(page string) (groups []Group) {
	for _, part := range strings.Split(page, "\n## ")[1:] {
		entries := strings.Split(part, "\n### ")
		g := Group{Title: strings.TrimSpace(entries[0])}
		for _, entry := range entries[1:] {
			slug, text, _ := strings.Cut(entry, "\n")
			meaning, rest, _ := strings.Cut(text, "*Safe:*")
			safe, do, _ := strings.Cut(rest, "*Do:*")
			g.Checks = append(g.Checks, Check{slug, console.OneLine(meaning), console.OneLine(safe), console.OneLine(do)})
		}
		groups = append(groups, g)
	}
	return groups
}
