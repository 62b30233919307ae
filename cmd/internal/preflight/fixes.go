package preflight

import (
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/console"
	"dirtbike/config"
)

// All statements that name tables name the same ones: those that are captured, and those that would be once the
// commands printed before are run. A table that can only be left out is in none of them: it would not be read, and
// without a key Postgres would refuse its updates as soon as it is published. So the printed commands, each run once
// and in their order, are enough.

// excluded are the tables that can only be left out: all checks print the same source.tables, since the line replaces
// the key, so that one which excluded a single table would include the others again.
func (r *run) excluded(listed []*cdc.Table, tables []table, clashes []clash) (out []string) {
	for _, t := range listed {
		if t.Refused != nil && r.fixOf(t, tables) == "" {
			out = append(out, t.FullName())
		}
	}
	for _, c := range clashes {
		out = append(out, c.tables[min(1, len(c.tables)-1):]...) // the first table of those that share a name may keep it
	}
	return out
}

// capturableAfterFixes gives the tables that are not left out, in the order of their names.
func capturableAfterFixes(listed []*cdc.Table, tables []table, leaving []string) (out []table) {
	for _, t := range listed {
		if at := indexOf(tables, t); at >= 0 && !slices.Contains(leaving, t.FullName()) {
			staying := tables[at]
			staying.listed = t
			out = append(out, staying)
		}
	}
	return out
}

// fixStatements make the table capturable without changing its rows; empty if none can.
func (t *table) fixStatements() string {
	alter := "ALTER TABLE " + t.Name + " "
	var lines []string
	if t.Persistence == "u" {
		lines = append(lines, alter+setLogged)
	}
	nothing := t.Identity == "n" || t.Identity == "i" && !t.Indexed
	identified := !nothing && (t.Identity == "i" || t.Keyed)
	switch {
	case t.Kind == "p":
		return ""
	case identified && t.Persistence == "u":
	case nothing && t.Keyed:
		lines = append(lines, alter+"REPLICA IDENTITY DEFAULT;")
	case t.Constraint != "" && nothing:
		lines = append(lines, t.undeferred(), alter+"REPLICA IDENTITY DEFAULT;")
	case t.Constraint != "" && t.Identity != "i":
		lines = append(lines, t.undeferred())
	case t.Candidate != "":
		lines = append(lines, alter+"REPLICA IDENTITY USING INDEX "+t.Candidate+";")
	default:
		return ""
	}
	return strings.Join(lines, "\n")
}

// undeferred makes the key again, not deferrable, which Postgres writes last: the names of columns may hold the word.
func (t *table) undeferred() string {
	key := t.Definition
	if at := strings.LastIndex(key, " DEFERRABLE"); at >= 0 {
		key = key[:at]
	}
	return "ALTER TABLE " + t.Name + dropKey + t.Constraint + ", ADD CONSTRAINT " + t.Constraint + " " + key + ";"
}

// Statements that take long and lock the table.
const (
	dropKey   = " DROP CONSTRAINT "
	setLogged = "SET LOGGED;"
)

// heavy reports whether a fix writes the whole table again, or an index of it.
func heavy(command string) bool {
	return strings.Contains(command, dropKey) || strings.Contains(command, " "+setLogged)
}

// fixRole is who may run the fix: a new key makes an index, for which the owner needs CREATE on the schema.
func fixRole(t *cdc.Table, tables []table) string {
	at := indexOf(tables, t)
	if at < 0 {
		return ""
	}
	return ownerOf(tables[at:at+1], func(t table) bool { return t.Constraint == "" || t.rights.OwnerBuilds })
}

// orSuperuser follows the name of a role that suffices.
const orSuperuser = ", the owner, or a superuser"

// ownerOf is the tables' one owner if it has the other rights that the statement needs; else empty: a superuser.
func ownerOf(tables []table, may func(table) bool) string {
	return owner(tables, func(t table) string {
		if !t.rights.OwnerUses || !may(t) {
			return ""
		}
		return t.rights.Owner
	})
}

// owner is the role that owns them all; empty if there are several.
func owner(tables []table, of func(table) string) string {
	if len(tables) == 0 || of(tables[0]) == "" || slices.ContainsFunc(tables, func(t table) bool { return of(t) != of(tables[0]) }) {
		return ""
	}
	return of(tables[0]) + orSuperuser
}

func always(table) bool { return true }

// setting is YAML for the config: one section with one of its keys.
func setting(section, key, value string) string { return section + ": {" + key + ": " + value + "}" }

// yamlText writes a text as YAML, quoted; "${" is written so that the config does not take it for a reference.
func yamlText(s string) string { return strings.ReplaceAll(strconv.Quote(s), "${", "$${") }

// without is YAML for the config that leaves tables out.
func without(c *config.Config, tables ...string) string {
	all := slices.Clone(c.Source.Tables)
	for _, table := range tables {
		all = append(all, "!"+table)
	}
	return tablesSetting(all)
}

// tablesSetting is source.tables with these globs, each once.
func tablesSetting(globs []string) string {
	var once []string
	for _, glob := range globs {
		if glob = yamlText(glob); !slices.Contains(once, glob) {
			once = append(once, glob)
		}
	}
	return setting("source", "tables", "["+strings.Join(once, ", ")+"]")
}

// kafkaTool begins a command line of one of Kafka's own tools; an administrator's login is in admin.properties.
func kafkaTool(c *config.Config, tool string) string {
	line := tool + " --bootstrap-server " + console.Shell(strings.Join(c.Kafka.Brokers, ","))
	if c.Kafka.SASL != nil || c.Kafka.TLS != nil {
		line += " --command-config admin.properties"
	}
	return line
}
