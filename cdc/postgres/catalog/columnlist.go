package catalog

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/schemas"
)

// A publication's column list (Postgres 15 on) keeps the other columns in Postgres: neither a row nor the
// description of its relation that is sent has them. So a table with one is, from here on, the table of its listed
// columns, and what happens to the others is not noticed. A list that lacks a column which has to leave is refused.

// listsSQL reads the column lists of a publication; Postgres 14 has none, and no such column.
const listsSQL = `
SELECT r.prrelid, pg_catalog.to_jsonb(r) ->> 'prattrs', pg_catalog.quote_ident(p.pubname)
FROM pg_publication p JOIN pg_publication_rel r ON r.prpubid = p.oid
WHERE p.pubname = $1 AND pg_catalog.to_jsonb(r) ->> 'prattrs' IS NOT NULL`

// narrow leaves of each table what its publication sends.
func (t *Tables) narrow(ctx context.Context, conn *pgx.Conn, entries []*entry) error {
	byOID := map[uint32]*entry{}
	for _, e := range entries {
		byOID[e.rel.OID] = e
	}
	var oid uint32
	var list, publication string
	return postgres.Each(ctx, conn, "pg_publication_rel", []any{&oid, &list, &publication}, func() {
		e := byOID[oid]
		if e == nil || !t.options.Selection.Match(e.rel.Schema, e.rel.Name) {
			return
		}
		listed := attnums(list)
		if e.unlisted = t.unusableList(e, listed, publication); e.unlisted == nil {
			e.keep(listed)
		}
	}, listsSQL, t.options.Publication)
}

// attnums reads the numbers out of a text of them, in whatever form.
func attnums(text string) (out []int16) {
	for _, word := range strings.FieldsFunc(text, func(r rune) bool { return !unicode.IsDigit(r) }) {
		if n, err := strconv.ParseInt(word, 10, 16); err == nil {
			out = append(out, int16(n))
		}
	}
	return out
}

// unusableList says why the table cannot be captured with the column list; nil if it can.
func (t *Tables) unusableList(e *entry, listed []int16, publication string) *cdc.Problem {
	table := e.rel.SQLName()
	needs := needed(e.rel, t.options.Policies)
	if e.rel.Identity == cdc.IdentityFull {
		return fullAndListed(e, publication)
	}
	var lacking, generated []string
	for _, at := range needs {
		if !slices.Contains(listed, e.rel.Columns[at].Attnum) {
			lacking = append(lacking, e.rel.Columns[at].Name)
		}
	}
	for _, n := range listed {
		if !slices.ContainsFunc(e.rel.Columns, func(c schemas.Column) bool { return c.Attnum == n }) {
			generated = append(generated, fmt.Sprintf("number %d", n))
		}
	}
	why := ""
	switch {
	case len(lacking) > 0:
		why = "lacks " + cdc.Few(lacking) + ", which privacy.columns lets out, or which the key needs"
	case len(generated) > 0:
		why = "has a generated column (" + cdc.Few(generated) + "), which is not captured"
	default:
		return nil
	}
	return cdc.Failed("the column list of publication %s for it %s", publication, why).
		Fix("ALTER PUBLICATION %[1]s DROP TABLE %[2]s; ALTER PUBLICATION %[1]s ADD TABLE ONLY %[2]s (%[3]s)", publication, table, sqlNames(namesOf(e.rel, needs)))
}

// fullAndListed: one of both has to go. Without a primary key that is the list, since another identity would let no
// update through either.
func fullAndListed(e *entry, publication string) *cdc.Problem {
	table := e.rel.SQLName()
	p := cdc.Failed("publication %s has a column list for it, and its replica identity is FULL: Postgres refuses updates and deletes on this table now", publication)
	if e.index.columns == 0 {
		return p.Fix("ALTER PUBLICATION %[1]s DROP TABLE %[2]s; ALTER PUBLICATION %[1]s ADD TABLE ONLY %[2]s", publication, table)
	}
	return p.Fix("ALTER TABLE %s REPLICA IDENTITY DEFAULT", table)
}

// needed are the columns that leave and those of the key, as indices into the relation's columns. One whose policy
// does not fit is among them: that is said elsewhere.
func needed(rel *schemas.Relation, policies schemas.Policies) (out []int) {
	for i := range rel.Columns {
		_, carried, err := policies.For(rel, i)
		if carried || err != nil || slices.Contains(rel.Key, i) {
			out = append(out, i)
		}
	}
	return out
}

func namesOf(rel *schemas.Relation, columns []int) []string {
	out := make([]string, len(columns))
	for i, at := range columns {
		out[i] = rel.Columns[at].Name
	}
	return out
}

// keep leaves only the listed columns; whole has the others, too.
func (e *entry) keep(listed []int16) {
	e.whole = e.rel
	narrow := *e.rel
	narrow.Columns, narrow.Key = nil, nil
	for _, c := range e.whole.Columns {
		if slices.Contains(listed, c.Attnum) {
			narrow.Columns = append(narrow.Columns, c)
		}
	}
	for _, k := range e.whole.Key {
		name := e.whole.Columns[k].Name
		narrow.Key = append(narrow.Key, slices.IndexFunc(narrow.Columns, func(c schemas.Column) bool { return c.Name == name }))
	}
	e.rel = &narrow
}

// all is the relation with the columns that are not sent.
func (e *entry) all() *schemas.Relation {
	if e.whole != nil {
		return e.whole
	}
	return e.rel
}

// unsent are the columns that the publication's column list leaves out.
func (e *entry) unsent() []cdc.Column {
	if e.whole == nil {
		return nil
	}
	return slices.DeleteFunc(columns(e.whole), func(c cdc.Column) bool { return slices.Contains(columns(e.rel), c) })
}
