package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"

	"github.com/jackc/pgx/v5"
)

// table is what Postgres says of one captured table, in addition to what the catalog package reads. Names are quoted.
type table struct {
	// listed is what the catalog package says of it; set for those that stay.
	listed                      *cdc.Table
	rights                      *postgres.Rights
	oid                         uint32
	name, plain                 string
	kind, persistence, identity string
	toast                       int64
	mutable                     bool
	// keyed: there is a primary key that is not deferrable; indexed: an index is named as the identity, and there.
	keyed, indexed bool
	// the key's constraint, if it is deferrable (then no other table refers to it): its quoted name and definition.
	constraint, definition string
	// candidate is an index other than the present key's that could be the identity; quoted, empty if there is none.
	candidate string
}

// tablesSQL: mutable keys are those with a column that no sequence fills; a candidate index is one that REPLICA
// IDENTITY USING INDEX takes, and that is not the key already.
const tablesSQL = `
SELECT c.oid, format('%I.%I', n.nspname, c.relname), n.nspname || '.' || c.relname, c.relkind::text, c.relpersistence::text, c.relreplident::text,
  coalesce((SELECT t.relpages FROM pg_class t WHERE t.oid = c.reltoastrelid), 0)::bigint,
  EXISTS (SELECT FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = ANY (i.indkey::int2[]) WHERE i.indrelid = c.oid AND i.indisprimary
    AND a.attidentity = '' AND NOT EXISTS (SELECT FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum)),
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary AND i.indimmediate AND i.indisvalid),
  EXISTS (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisreplident),
  coalesce(k.name, ''), coalesce(k.definition, ''),
  coalesce((SELECT quote_ident(x.relname) FROM pg_index i JOIN pg_class x ON x.oid = i.indexrelid WHERE i.indrelid = c.oid AND i.indisunique AND i.indimmediate
    AND NOT CASE WHEN c.relreplident = 'i' THEN i.indisreplident ELSE i.indisprimary END AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS NULL AND NOT EXISTS (SELECT FROM unnest(i.indkey::int2[]) WITH ORDINALITY u(n, at)
      LEFT JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = u.n
      WHERE u.at <= i.indnkeyatts AND (a.attnotnull IS NOT TRUE OR a.attgenerated <> ''))
    AND NOT EXISTS (SELECT FROM unnest(i.indcollation::oid[]) o(coll) JOIN pg_collation l ON l.oid = o.coll WHERE NOT l.collisdeterministic)
    ORDER BY i.indisprimary DESC, i.indnkeyatts, x.relname LIMIT 1), '')
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN LATERAL (SELECT quote_ident(o.conname) AS name, pg_get_constraintdef(o.oid) AS definition FROM pg_constraint o
  WHERE o.conrelid = c.oid AND o.contype = 'p' AND o.condeferrable) k ON true
WHERE c.oid = ANY ($1) ORDER BY n.nspname, c.relname`

func readTables(ctx context.Context, conn *pgx.Conn, publication string, listed []*cdc.Table) ([]table, error) {
	oids := make([]uint32, len(listed))
	for i, t := range listed {
		oids[i] = t.OID
	}
	rights, err := postgres.ReadRights(ctx, conn, publication, "", oids)
	if err != nil {
		return nil, serverError(err)
	}
	rows, err := conn.Query(ctx, tablesSQL, oids)
	if err != nil {
		return nil, fmt.Errorf("read pg_class: %w", serverError(err))
	}
	var out []table
	var t table
	_, err = pgx.ForEachRow(rows, []any{&t.oid, &t.name, &t.plain, &t.kind, &t.persistence, &t.identity, &t.toast, &t.mutable, &t.keyed, &t.indexed,
		&t.constraint, &t.definition, &t.candidate}, func() error {
		if t.rights = rights[t.oid]; t.rights != nil { // else it is gone by now
			out = append(out, t)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read pg_class: %w", serverError(err))
	}
	return out, nil
}

// checkTables asks the catalog package which tables a start would capture, and checks our rights to them.
func (r *run) checkTables(ctx context.Context, p *part, conn *pgx.Conn, s *server) {
	listed, err := r.trial.Tables.List(ctx)
	if err != nil {
		p.error("postgres-tables", "source.tables", serverError(err))
		return
	}
	r.list(listed)
	tables, err := readTables(ctx, conn, r.config.Source.Publication, listed)
	if err != nil {
		p.error("postgres-tables", "source.tables", err)
		return
	}
	if err := r.readRelations(ctx, conn, tables); err != nil {
		p.error("postgres-tables", "source.tables", err)
		return
	}
	clashing, order := r.clashing(listed)
	leaving := r.excluded(listed, tables, clashing, order)
	left := without(r.config, leaving...)
	r.judgeNames(p, listed, clashing, order, left)
	r.judgeTables(p, listed, tables, left)
	staying := capturableAfterFixes(listed, tables, leaving)
	judgeRights(p, s, staying)
	judgeIdentity(p, staying)
	r.checkPublication(ctx, p, conn, s, staying)
}

// clashing gives the tables that may not be captured for a name that others have, too, by what is said of them.
func (r *run) clashing(listed []*cdc.Table) (clashing map[string][]string, order []string) {
	clashing = map[string][]string{}
	if len(r.trial.Tables.UnmatchedNames()) > 0 {
		return clashing, nil // a doubt may come of a name that nothing has: first things first
	}
	for _, t := range listed {
		if t.Refused != nil || t.BlocksStart == nil {
			continue
		}
		why := explain(t.BlocksStart).What
		if clashing[why] == nil {
			order = append(order, why)
		}
		clashing[why] = append(clashing[why], t.FullName())
	}
	return clashing, order
}

const namesSlug = "config-names"

// judgeNames: names in the config that nothing has, and names that two tables would share.
func (r *run) judgeNames(p *part, listed []*cdc.Table, clashing map[string][]string, order []string, left string) {
	misnamed := r.trial.Tables.UnmatchedNames()
	for _, err := range misnamed {
		said := explain(err)
		r.parts[partConfig].fail(namesSlug, r.config.Path(), nameFix(err, firstWay(said)), "%s", said.What)
	}
	if len(listed) == 0 {
		p.fail("postgres-tables", "source.tables", setting("source", "tables", `["*.*"]`), "no table of the database is named")
	}
	for _, why := range order {
		p.fail("postgres-names", strings.Join(clashing[why], ", "), left, "%s", why)
	}
	if len(misnamed)+len(order) == 0 && len(listed) > 0 {
		r.parts[partConfig].ok(namesSlug, r.config.Path(), "every table and column that it names is there")
		p.ok("postgres-names", "source.tables", "every table has a name of its own in Kafka and ClickHouse")
	}
}

// judgeTables says which tables cannot be captured.
func (r *run) judgeTables(p *part, listed []*cdc.Table, tables []table, left string) {
	good, unfit := 0, false
	for _, t := range listed {
		if t.Refused == nil {
			good++
			continue
		}
		why := obstacle(t)
		command := cmp.Or(r.fixOf(t, tables), left)
		switch {
		case t.RefusedByConfig:
			unfit = true
			r.parts[partConfig].fail("config-policies", t.FullName(), command, "%s", why)
		default:
			p.failAs(fixRole(t, tables), "postgres-tables", t.FullName(), command, "it cannot be captured: %s", why)
			unfit = r.fixOf(t, tables) != "" && r.judgeLater(t) || unfit
		}
	}
	if !unfit && len(listed) > 0 {
		r.parts[partConfig].ok("config-policies", "privacy.columns", "every policy fits its column")
	}
	if good > 0 {
		p.ok("postgres-tables", "source.tables", "%s can be captured", count(good, "table"))
	}
}

// obstacle is what is said of a table that cannot be captured. What the catalog says comes before what the config's
// policies lack, since no policy fixes it.
func obstacle(t *cdc.Table) string {
	if problem := misspelt(t.Refused); t.RefusedByConfig && problem != nil {
		return explain(problem).What
	}
	all := cdc.ParseProblem(oneLine(t.Refused.Error())).What
	if t.RefusedByConfig {
		return all
	}
	text := oneLine(t.Refused.Error())
	if _, catalog, found := strings.Cut(text, "table "+oneLine(t.FullName())+" cannot be captured: "); found {
		return cdc.ParseProblem(catalog).What
	}
	if at := strings.Index(text, "source.keys names ("); at > 0 {
		return cdc.ParseProblem(text[at:]).What
	}
	return all
}

// fixOf is what fixes a table that cannot be captured; empty if it can only be left out.
func (r *run) fixOf(t *cdc.Table, tables []table) string {
	if t.RefusedByConfig {
		return r.policyCommand(t)
	}
	at := slices.IndexFunc(tables, func(other table) bool { return other.oid == t.OID })
	if at < 0 || r.config.Source.Keys[t.FullName()] != nil {
		return ""
	}
	if rel := r.relations[t.OID]; rel != nil && keyless(rel) {
		return "" // it could still not be captured
	}
	return tables[at].fixStatements()
}

// some lists names, the first few.
func some(names []string) string {
	const most = 4
	if len(names) > most {
		return strings.Join(names[:most], ", ") + fmt.Sprintf(" and %d more", len(names)-most)
	}
	return strings.Join(names, ", ")
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
