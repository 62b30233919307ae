// Package checks holds what is said of every named check: of the readiness endpoint (Ready) and of `dirtbike check` (Preflight). The
// README's section on checks is generated from it, so that each slug has an anchor there.
package checks

// Check is what somebody who is woken by a check wants to know. Every field is one or two sentences of plain Markdown.
type Check struct {
	// Slug names the check in outputs and in the README's anchor: lower-case letters and dashes, unique among all checks.
	Slug string
	// Meaning says what is wrong when it fails.
	Meaning string
	// Safe says what is not lost or wrong meanwhile.
	Safe string
	// Do is the command, or what else, that mends it.
	Do string
}

// All are those of Ready, then those of Preflight.
func All() []Check { return append(append([]Check(nil), Ready...), Preflight...) }

// Anchor is where the README explains the check, a path relative to the project's root.
func (c Check) Anchor() string { return "README.md#check-" + c.Slug }
