package config

import (
	"slices"
	"strings"
)

// TableName is a table of the source, by its real names.
type TableName struct{ Schema, Table string }

// String writes schema.table.
func (n TableName) String() string { return n.Schema + "." + n.Table }

// Match reports whether a glob matches the table and no "!" glob does; those of system schemas never match.
func (s Source) Match(schema, table string) bool {
	if systemSchema(schema) {
		return false
	}
	included := false
	for _, entry := range s.Tables {
		glob, exclude := strings.CutPrefix(entry, "!")
		switch matches := globMatches(glob, schema, table); {
		case matches && exclude:
			return false
		case matches:
			included = true
		}
	}
	return included
}

// NamedBy gives the first glob that matches the table, and its line in the file; empty and 0 if Match does not hold.
func (s Source) NamedBy(schema, table string) (glob string, line int) {
	if !s.Match(schema, table) {
		return "", 0
	}
	for i, entry := range s.Tables {
		if !strings.HasPrefix(entry, "!") && globMatches(entry, schema, table) {
			return entry, s.at.find(keyPath{"source", "tables"}.entry(i)).line
		}
	}
	return "", 0
}

// Names reports whether an entry names the table itself, and not only by a pattern that also matches others; false if
// Match does not hold.
func (s Source) Names(schema, table string) bool {
	return s.Match(schema, table) && slices.ContainsFunc(s.Tables, func(entry string) bool {
		return !strings.HasPrefix(entry, "!") && !strings.ContainsAny(entry, "*?") && globMatches(entry, schema, table)
	})
}

// CheckGlobs refuses each glob, also after "!", that matches none of the source's tables, with the nearest one.
func (s Source) CheckGlobs(all []TableName) error {
	var errs Errors
	for i, entry := range s.Tables {
		glob := strings.TrimPrefix(entry, "!")
		matches := func(n TableName) bool { return !systemSchema(n.Schema) && globMatches(glob, n.Schema, n.Table) }
		if !slices.ContainsFunc(all, matches) {
			path := keyPath{"source", "tables"}.entry(i)
			err := s.at.errorf(path, "%s matches no table of the database", s.at.quote(path, entry))
			errs = append(errs, err.fix("%s", tryFree(entry, tableNames(all, entry), s.Tables, "create the table first, or remove the glob")))
		}
	}
	return errs.asError()
}

// Contradiction is a glob of source.tables that names nothing, since an exclusion takes all of it away.
type Contradiction struct {
	// Glob names tables, and Exclusion, with its "!", leaves out each of them, as they are in the config.
	Glob, Exclusion string
	// Line of Glob in the file.
	Line int
}

// Contradictions lists the globs that name nothing, whatever tables the database has, in the order of the config.
func (s Source) Contradictions() (out []Contradiction) {
	for i, glob := range s.Tables {
		at := slices.IndexFunc(s.Tables, func(other string) bool {
			excluded, is := strings.CutPrefix(other, "!")
			return is && covers(excluded, glob)
		})
		if at >= 0 && !strings.HasPrefix(glob, "!") {
			out = append(out, Contradiction{glob, s.Tables[at], s.at.find(keyPath{"source", "tables"}.entry(i)).line})
		}
	}
	return out
}

// covers reports whether a glob matches all that another can match: two names that the other stands for, with nothing
// and with a lot in place of each *, of letters that no name has.
func covers(glob, other string) bool {
	for _, star := range []string{"", strings.Repeat("\x00", 70)} { // longer than a name of Postgres
		schema, table, _ := strings.Cut(strings.NewReplacer("*", star, "?", "\x00").Replace(other), ".")
		if !globMatches(glob, schema, table) {
			return false
		}
	}
	return true
}

func systemSchema(schema string) bool {
	return schema == "information_schema" || strings.HasPrefix(schema, "pg_")
}

// globMatches matches the two halves apart, so that a * never crosses from the schema into the table.
func globMatches(glob, schema, table string) bool {
	schemaGlob, tableGlob, _ := strings.Cut(glob, ".")
	return wildcard([]rune(schemaGlob), []rune(schema)) && wildcard([]rune(tableGlob), []rune(table))
}

// wildcard is the usual two-pointer match: after a mismatch the last * swallows one rune more.
func wildcard(pattern, name []rune) bool {
	p, n, star, resume := 0, 0, -1, 0
	for n < len(name) {
		switch {
		case p < len(pattern) && pattern[p] == '*':
			star, resume = p, n
			p++
		case p < len(pattern) && (pattern[p] == '?' || pattern[p] == name[n]):
			p++
			n++
		case star >= 0:
			resume++
			p, n = star+1, resume
		default:
			return false
		}
	}
	for p < len(pattern) && pattern[p] == '*' {
		p++
	}
	return p == len(pattern)
}

// tableNames writes the tables that a glob may match as that glob would: after "!" if it excludes.
func tableNames(all []TableName, glob string) []string {
	sign := glob[:len(glob)-len(strings.TrimPrefix(glob, "!"))]
	var names []string
	for _, n := range all {
		if !systemSchema(n.Schema) {
			names = append(names, sign+n.String())
		}
	}
	return names
}
