package preflight

import (
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// judgeRights checks the rights to what the copy reads.
func judgeRights(p *part, s *server, tables []table) {
	if len(tables) == 0 {
		return
	}
	without := func(has func(*postgres.Rights) bool) []table {
		return slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return has(t.rights) })
	}
	shut := without(func(r *postgres.Rights) bool { return r.Uses })
	unread := without(func(r *postgres.Rights) bool { return r.Selects })
	secured := names(without(func(r *postgres.Rights) bool { return !r.Hidden }))
	var schemas []string
	for _, t := range shut {
		if !slices.Contains(schemas, t.rights.Schema) {
			schemas = append(schemas, t.rights.Schema)
		}
	}
	for _, q := range []struct {
		question
		lacking []string
	}{
		{question{slug: "postgres-schemas", good: "USAGE on every schema", bad: s.Role + " may not use " + count(len(schemas), "schema"),
			by:      owner(shut, func(t table) string { return t.rights.SchemaOwner }),
			command: "GRANT USAGE ON SCHEMA " + strings.Join(schemas, ", ") + " TO " + s.Role + ";"}, schemas},
		{question{slug: "postgres-select", good: "SELECT on every table", bad: s.Role + " may not read " + count(len(unread), "table"),
			by: ownerOf(unread, always), command: "GRANT SELECT ON TABLE " + strings.Join(names(unread), ", ") + " TO " + s.Role + ";"}, names(unread)},
		{question{slug: "postgres-row-security", good: "no row is hidden", command: "ALTER ROLE " + s.Role + " BYPASSRLS;",
			bad: "row-level security hides rows of " + count(len(secured), "table") + " from " + s.Role + ": the copy would see fewer rows than the log"}, secured},
	} {
		if q.subject = cdc.Few(q.lacking); len(q.lacking) == 0 {
			q.subject, q.bad = s.Role, ""
		}
		p.judge(q.question)
	}
}

// judgeIdentity recommends REPLICA IDENTITY FULL where it saves re-reading: large columns, and keys that may change.
func judgeIdentity(p *part, tables []table) {
	large := slices.DeleteFunc(slices.Clone(tables), func(t table) bool {
		return t.ToastPages == 0 || !t.MutableKey || t.Identity != "d" && t.Identity != "i" || t.Kind != "r"
	})
	var commands []string
	for _, t := range large {
		commands = append(commands, "ALTER TABLE "+t.Name+" REPLICA IDENTITY FULL;")
	}
	switch {
	case len(large) > 0:
		p.judge(question{slug: "postgres-identity", level: LevelWarning, subject: cdc.Few(names(large)), by: ownerOf(large, always), command: strings.Join(commands, "\n"),
			bad: "large values and a key that may change: after a change of the key they are read again from the table, and a row that is gone by then " +
				"leaves its table inexact; FULL writes more log, and avoids it"})
	case len(tables) > 0:
		p.ok("postgres-identity", "replica identity", "fits")
	}
}
