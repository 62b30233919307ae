package preflight

import (
	"slices"
	"strings"
)

// judgeRights checks the rights to what the copy reads.
func judgeRights(p *part, s *server, tables []table) {
	var schemas, unread, secured []string
	var shut, hidden []table
	for _, t := range tables {
		if !t.rights.Uses && !slices.Contains(schemas, t.rights.Schema) {
			schemas, shut = append(schemas, t.rights.Schema), append(shut, t)
		}
		if !t.rights.Selects {
			unread, hidden = append(unread, t.name), append(hidden, t)
		}
		if t.rights.Hidden {
			secured = append(secured, t.name)
		}
	}
	if len(schemas) > 0 {
		p.failAs(owner(shut, func(t table) string { return t.rights.SchemaOwner }), "postgres-schemas", some(schemas),
			"GRANT USAGE ON SCHEMA "+strings.Join(schemas, ", ")+" TO "+s.role+";", "%s may not use %s", s.role, count(len(schemas), "schema"))
	} else if len(tables) > 0 {
		p.ok("postgres-schemas", s.role, "USAGE on every schema")
	}
	if len(unread) > 0 {
		p.failAs(ownerOf(hidden, always), "postgres-select", some(unread),
			"GRANT SELECT ON TABLE "+strings.Join(unread, ", ")+" TO "+s.role+";", "%s may not read %s", s.role, count(len(unread), "table"))
	} else if len(tables) > 0 {
		p.ok("postgres-select", s.role, "SELECT on every table")
	}
	if len(secured) > 0 {
		p.fail("postgres-row-security", some(secured), "ALTER ROLE "+s.role+" BYPASSRLS;", "row-level security hides rows of %s from %s: the copy would see fewer rows than the log", count(len(secured), "table"), s.role)
	} else if len(tables) > 0 {
		p.ok("postgres-row-security", s.role, "no row is hidden")
	}
}

// judgeIdentity recommends FULL where it saves re-reading: large columns, and keys that may change.
func judgeIdentity(p *part, tables []table) {
	var names, commands []string
	var large []table
	for _, t := range tables {
		if t.toast > 0 && t.mutable && (t.identity == "d" || t.identity == "i") && t.kind == "r" {
			names, large = append(names, t.name), append(large, t)
			commands = append(commands, "ALTER TABLE "+t.name+" REPLICA IDENTITY FULL;")
		}
	}
	if len(names) == 0 {
		if len(tables) > 0 {
			p.ok("postgres-identity", "replica identity", "fits")
		}
		return
	}
	p.add(Check{Slug: "postgres-identity", Level: LevelWarning, Subject: some(names), Try: remedy(ownerOf(large, always), strings.Join(commands, "\n")),
		Message: "large values and a key that may change: after a change of the key they are read again from the table, and a row that is gone by then leaves its table inexact; FULL writes more log, and avoids it"})
}
