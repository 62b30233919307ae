package preflight

import (
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// columnLists is the first version of Postgres whose publications have column lists.
const columnLists = 150000

// judgeWithheld names the withheld columns that Postgres sends all the same, since capture applies the policies, and
// prints what keeps them in Postgres: rights to columns, for the copy, and a column list, for the stream.
//
// That is a choice, and so no warning, and no start makes it by itself: with a list, Postgres refuses to drop a listed
// column or to change its type, and once the replica identity is FULL every UPDATE and DELETE, which would break
// somebody's migration or application. A column that is added later is not sent, whatever the policies say of it.
func judgeWithheld(p *part, s *server, b *postgres.Publication, tables []table) {
	withheld := slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return columnList(t) == "" || len(travelling(t)) == 0 })
	q := question{slug: "postgres-withheld", subject: "column lists", good: "no withheld column is sent by Postgres"}
	if len(withheld) > 0 {
		columns := 0
		var names, lines []string
		for _, t := range withheld {
			columns += len(travelling(t))
			names = append(names, t.Name+" ("+cdc.Few(travelling(t))+")")
			if !s.Super { // it could not be kept from reading
				lines = append(lines, "REVOKE SELECT ON TABLE "+t.Name+" FROM "+s.Role+";", "GRANT SELECT"+columnList(t)+" ON TABLE "+t.Name+" TO "+s.Role+";")
			}
		}
		q.advice = strings.Join(append(lines, listStatements(s, b, tables, withheld)...), "\n")
		q.good = "Postgres sends " + count(columns, "column") + " of " + count(len(withheld), "table") + " that capture then withholds: " + cdc.Few(names) +
			when(s.Super, ". A superuser can read everything: give dirtbike a role of its own") + when(q.advice != "", "%s", whatListsDo(s, b, withheld))
	}
	p.judge(q)
}

// whatListsDo says what the statements are good for, and how they are run once the tables are captured.
func whatListsDo(s *server, b *postgres.Publication, withheld []table) string {
	does := ". The statements below keep them in Postgres, which then refuses to drop or alter a listed column, and updates while the replica identity is FULL"
	if !b.Found {
		return does + ". With a CREATE PUBLICATION among them, run no other that check prints"
	}
	var again []string
	for _, t := range withheld {
		if takesList(s, t) && b.ListsItself(t.OID) {
			again = append(again, t.listed.FullName())
		}
	}
	if len(again) == 0 {
		return does
	}
	return does + ". A captured table whose column list changes is quarantined. So once they are captured: stop capture, run the statements, then " +
		cdc.ResnapshotCommand(again...) + ", then start capture"
}

// takesList reports whether a publication can have a column list for the table: from Postgres 15 on, and not with
// REPLICA IDENTITY FULL, with which Postgres refuses updates.
func takesList(s *server, t table) bool { return s.Version >= columnLists && t.Identity != "f" }

// columnList is that of the columns that leave; empty if all do.
func columnList(t table) string { return postgres.NeededColumns(t.listed) }

// travelling are the names of the columns that the table's publication sends though they do not leave.
func travelling(t table) (names []string) {
	for _, c := range t.listed.Columns {
		if !slices.Contains(t.listed.Needs, c.Number) {
			names = append(names, c.Name)
		}
	}
	return names
}

// listStatements give the publication column lists, where it can have them: not before Postgres 15, not with REPLICA
// IDENTITY FULL, and not for tables that it does not name itself.
func listStatements(s *server, b *postgres.Publication, tables, withheld []table) (lines []string) {
	fits := func(t table) bool { return takesList(s, t) }
	if !b.Found {
		if !slices.ContainsFunc(withheld, fits) {
			return nil
		}
		for _, t := range tables {
			entry := "ONLY " + t.Name
			if fits(t) {
				entry += columnList(t)
			}
			lines = append(lines, entry)
		}
		return []string{"CREATE PUBLICATION " + s.Publication + " FOR TABLE " + strings.Join(lines, ", ") + ";"}
	}
	for _, t := range withheld {
		if fits(t) && b.ListsItself(t.OID) {
			lines = append(lines, "ALTER PUBLICATION "+s.Publication+" DROP TABLE "+t.Name+";",
				"ALTER PUBLICATION "+s.Publication+" ADD TABLE ONLY "+t.Name+columnList(t)+";")
		}
	}
	return lines
}
