package preflight

import (
	"slices"

	"dirtbike/cdc"
)

// Level is how bad a finding is.
type Level string

// The levels.
const (
	LevelOK      Level = "ok"
	LevelWarning Level = "warning" // a start goes on, but the operator should know
	LevelError   Level = "error"   // a start would be refused, or would fail later
)

// Report is what `dirtbike check --json` prints. Names and order of its fields are a contract.
type Report struct {
	// OK says that no check failed; warnings do not count.
	OK bool `json:"ok"`
	// Checks in the order of the parts; never null.
	Checks []Check `json:"checks"`
}

// Check is one finding.
type Check struct {
	// Part is config, postgres, kafka, registry, clickhouse or pipeline.
	Part string `json:"part"`
	// Slug names the check; dirtbike explain <slug> explains it.
	Slug string `json:"slug"`
	// OK is false only at level error.
	OK    bool  `json:"ok"`
	Level Level `json:"level"`
	// Subject is what was checked: a setting, a table, a topic, a right.
	Subject string `json:"subject"`
	// Message says in one line what was found.
	Message string `json:"message"`
	// Command fixes what is wrong, empty if nothing has to be done, or it is not known: SQL (each line ends with ";"),
	// a line for a shell (kafka-….sh, curl, dirtbike, cp), or YAML for the config, which begins with the name of a
	// section.
	Command string `json:"command"`

	// Try are the ways out, of which Command is the first. By is a role that may run it; empty for Postgres' superuser.
	Try []cdc.Remedy `json:"-"`

	// about is the error that the finding says; nil if it says none.
	about error
	// away says that the part could not be reached.
	away bool
}

// by is the role that may run the command; empty if none is known to suffice.
func (c *Check) by() string {
	if len(c.Try) == 0 {
		return ""
	}
	return c.Try[0].By
}

// Unreachable says that something failed, and only because parts could not be reached.
func (r Report) Unreachable() bool {
	return slices.ContainsFunc(r.Checks, failed) && !slices.ContainsFunc(r.Checks, func(c Check) bool { return failed(c) && !c.away })
}

// Counts gives the number of failed checks and of warnings.
func (r Report) Counts() (failed, warnings int) {
	levels := map[Level]int{}
	for _, c := range r.Checks {
		levels[c.Level]++
	}
	return levels[LevelError], levels[LevelWarning]
}
