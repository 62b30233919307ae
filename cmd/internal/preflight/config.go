package preflight

import (
	"fmt"
	"slices"
	"strings"

	"dirtbike/cmd/internal/exposure"
	"dirtbike/cmd/internal/inventory"
)

// checkConfig checks what the config alone shows: it has been parsed already.
func (r *run) checkConfig(p *part) {
	p.ok("config-file", r.config.Path(), "it can be read, and its settings do not contradict each other")
	r.judgeEncryption()
	r.judgeContradictions(p)
}

// judgeContradictions warns of tables that source.tables names and excludes at once; the command keeps what that comes
// to.
func (r *run) judgeContradictions(p *part) {
	found := r.config.Source.Contradictions()
	if len(found) == 0 {
		return
	}
	kept, pairs := r.config.Source, []string{}
	for _, c := range found {
		kept.Tables = slices.DeleteFunc(slices.Clone(kept.Tables), func(glob string) bool { return glob == c.Glob })
		pairs = append(pairs, fmt.Sprintf("%q by %q", c.Glob, c.Exclusion))
	}
	command := ""
	if slices.ContainsFunc(kept.Tables, func(glob string) bool { return !strings.HasPrefix(glob, "!") }) {
		command = tablesSetting(kept.Tables)
	}
	p.warn(namesSlug, "source.tables", command, "what it names is excluded at once, and so left out: %s. Remove the name, or the exclusion if the tables are to be captured",
		strings.Join(pairs, ", "))
}

// judgePrivacy says what leaves Postgres, and warns of what leaves though nobody named it; where the tables are not
// known, of what may.
func (r *run) judgePrivacy(p *part) {
	const slug, subject = "config-privacy", "privacy"
	command := "dirtbike inventory"
	if r.config.Privacy == nil {
		command = "dirtbike init --source \"$SOURCE_URL\" --out allowlist.yaml"
	}
	i := inventory.Of(r.config, r.tables, nil)
	problem := i.Warning()
	switch {
	case r.tables == nil && r.config.Privacy.MayOpen():
		p.warn(slug, subject, command, "columns that nobody names leave as they are, by privacy.mode, \"*\" or for want of a privacy section; "+
			"which ones is not known, since %s", r.unlisted())
	case r.tables == nil:
		p.ok(slug, subject, "only columns that it names leave Postgres; which tables have them is not known, since %s", r.unlisted())
	case problem != nil:
		p.warn(slug, subject, command, "%s", problem.What)
	default:
		p.ok(slug, subject, "%s", i.Summary())
	}
}

// judgeEncryption warns of what others on the network could read, or pose as the server of.
func (r *run) judgeEncryption() {
	for _, one := range exposure.Of(r.config) {
		p, slug := r.parts[one.Part], one.Part+"-encryption"
		if p == nil { // of no server
			p, slug = r.parts[partConfig], "config-ops"
		}
		q := question{slug: slug, subject: one.Subject, good: one.Good, level: LevelWarning}
		if one.Problem != nil {
			q.bad, q.command = one.Problem.What, one.Problem.Try[0].Command
		}
		p.judge(q)
	}
}
