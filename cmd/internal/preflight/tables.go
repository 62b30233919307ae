package preflight

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

// table holds facts about one captured table that the catalog package does not read. Names are quoted.
type table struct {
	postgres.TableSurvey
	rights *postgres.Rights
	// listed is its description by the catalog package; set for tables that are not left out.
	listed *cdc.Table
}

func readTables(ctx context.Context, conn *pgx.Conn, publication string, listed []*cdc.Table) (tables []table, err error) {
	oids := postgres.OIDs(listed)
	rights, err := postgres.ReadRights(ctx, conn, publication, "", oids, listed...)
	if err != nil {
		return nil, serverError(err)
	}
	surveys, err := postgres.SurveyTables(ctx, conn, oids)
	if err != nil {
		return nil, fmt.Errorf("read pg_class: %w", serverError(err))
	}
	for _, s := range surveys {
		if rights := rights[s.OID]; rights != nil { // else it is gone by now
			tables = append(tables, table{TableSurvey: s, rights: rights})
		}
	}
	return tables, nil
}

// checkTables asks the catalog package which tables a start would capture, and checks our rights to them.
func (r *run) checkTables(ctx context.Context, p *part, conn *pgx.Conn, s *server) {
	listed, err := r.trial.Tables.List(ctx)
	if err != nil {
		p.error("postgres-tables", "source.tables", serverError(err))
		return
	}
	r.list(append([]*cdc.Table{}, listed...)) // known, also if there are none
	tables, err := readTables(ctx, conn, r.config.Source.Publication, listed)
	if err == nil {
		err = r.readRelations(ctx, conn, tables)
	}
	if err != nil {
		p.error("postgres-tables", "source.tables", err)
		return
	}
	clashes := r.clashes(listed)
	leaving := r.excluded(listed, tables, clashes)
	left := without(r.config, leaving...)
	r.judgeNames(p, listed, clashes, left)
	r.judgeTables(p, listed, tables, left)
	staying := capturableAfterFixes(listed, tables, leaving)
	judgeRights(p, s, staying)
	judgeIdentity(p, staying)
	judgeForeignFunctions(ctx, p, conn, staying)
	r.checkPublication(ctx, p, conn, s, staying)
}

// judgeForeignFunctions warns of functions of others that run with our rights where a row is read again, where a
// table is copied by a query, and in verify.
func judgeForeignFunctions(ctx context.Context, p *part, conn *pgx.Conn, tables []table) {
	oids := make([]uint32, len(tables))
	for i := range tables {
		oids[i] = tables[i].OID
	}
	found, err := postgres.ForeignFunctions(ctx, conn, oids)
	if err != nil {
		p.error("postgres-owner-functions", "source.tables", serverError(err))
		return
	}
	if len(found) == 0 {
		p.ok("postgres-owner-functions", "source.tables", "no table's owner makes a function of his run with the role's rights")
	}
	for _, s := range found {
		p.warn("postgres-owner-functions", s.Table, "", "function %s of role %s, in an index, a constraint or statistics of the table, "+
			"is run by Postgres with dirtbike's rights while it plans to read the table. "+
			"Exclude the table unless that role may have them", s.Function, s.Owner)
	}
}

// clash holds tables that may not be captured because others have the same topic or view name.
type clash struct {
	why    error
	tables []string
}

func (r *run) clashes(listed []*cdc.Table) (all []clash) {
	if len(r.trial.Tables.UnmatchedNames()) > 0 {
		return nil // a misspelled name may be the cause: it must be fixed first
	}
	for _, t := range listed {
		if t.Refused != nil || t.BlocksStart == nil {
			continue
		}
		at := slices.IndexFunc(all, func(c clash) bool { return explain(c.why).What == explain(t.BlocksStart).What })
		if at < 0 {
			at, all = len(all), append(all, clash{why: t.BlocksStart})
		}
		all[at].tables = append(all[at].tables, t.FullName())
	}
	return all
}

const namesSlug = "config-names"

// judgeNames: names in the config that match nothing, and names that two tables would share.
func (r *run) judgeNames(p *part, listed []*cdc.Table, clashes []clash, left string) {
	misnamed := r.trial.Tables.UnmatchedNames()
	for _, err := range misnamed {
		said := explain(err)
		r.parts[partConfig].judge(question{slug: namesSlug, subject: r.config.Path(), command: nameFix(err, firstWay(said)), bad: said.What, about: err})
	}
	if len(listed) == 0 {
		p.fail("postgres-tables", "source.tables", setting("source", "tables", `["*.*"]`), "no table of the database is named")
		return
	}
	for _, c := range clashes {
		p.judge(question{slug: "postgres-names", subject: strings.Join(c.tables, ", "), command: left, bad: explain(c.why).What, about: c.why})
	}
	if len(misnamed)+len(clashes) == 0 {
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
		fix := r.fixOf(t, tables)
		q := question{slug: "config-policies", subject: t.FullName(), command: cmp.Or(fix, left), bad: obstacle(t), about: t.Refused}
		if t.RefusedByConfig {
			unfit = true
			r.parts[partConfig].judge(q)
			continue
		}
		q.slug, q.by, q.bad = "postgres-tables", fixRole(t, tables), "it cannot be captured: "+q.bad
		p.judge(q)
		unfit = fix != "" && r.judgeLater(t) || unfit
	}
	if !unfit && len(listed) > 0 {
		r.parts[partConfig].ok("config-policies", "privacy.columns", "every policy fits its column")
	}
	if good > 0 {
		p.ok("postgres-tables", "source.tables", "%s can be captured", count(good, "table"))
	}
}

// obstacle is why a table cannot be captured; problems of the table itself come first, since no policy fixes them.
func obstacle(t *cdc.Table) string {
	problem := misspelt(t.Refused)
	switch own := catalogProblem(t.Refused); {
	case t.RefusedByConfig && problem != nil:
		return explain(problem).What
	case t.RefusedByConfig || own == nil:
		return explain(t.Refused).What
	case own.Cause != nil: // without the text that the check adds to every table
		return explain(own.Cause).What
	default:
		return explain(own).What
	}
}

// fixOf gives the statements that make a table capturable; empty if it can only be left out.
func (r *run) fixOf(t *cdc.Table, tables []table) string {
	if t.RefusedByConfig {
		return r.policyCommand(t)
	}
	own := catalogProblem(t.Refused)
	if own != nil && len(own.Try) > 0 && strings.HasPrefix(own.Try[0].Command, "ALTER PUBLICATION") {
		return strings.ReplaceAll(own.Try[0].Command, "; ", ";\n") + ";"
	}
	at := indexOf(tables, t)
	if at >= 0 && own != nil && len(own.Try) > 0 && tables[at].Identity == "f" && strings.HasSuffix(own.Try[0].Command, " REPLICA IDENTITY DEFAULT") {
		return own.Try[0].Command + ";" // the publication has a column list for it
	}
	if at < 0 || r.config.Source.Keys[t.FullName()] != nil {
		return ""
	}
	if rel := r.relations[t.OID]; rel != nil && keyless(rel) {
		return "" // it could still not be captured
	}
	return tables[at].fixStatements()
}

// indexOf is where Postgres' facts of the table are; negative if it is gone by now.
func indexOf(tables []table, t *cdc.Table) int {
	return slices.IndexFunc(tables, func(other table) bool { return other.OID == t.OID })
}

func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

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
		{question{slug: "postgres-select", good: "SELECT on every column that leaves", bad: s.Role + " may not read " + count(len(unread), "table"),
			by: ownerOf(unread, always), command: grantSelect(unread, s.Role)}, names(unread)},
		{question{slug: "postgres-row-security", good: "no row is hidden", command: "ALTER ROLE " + s.Role + " BYPASSRLS;",
			bad: "row-level security hides rows of " + count(len(secured), "table") + " from " + s.Role + ": the copy would see fewer rows than the log"}, secured},
	} {
		if q.subject = cdc.Few(q.lacking); len(q.lacking) == 0 {
			q.subject, q.bad = s.Role, ""
		}
		p.judge(q.question)
	}
}

// grantSelect lets the role read the columns that leave: tables of which all do come in one statement.
func grantSelect(tables []table, role string) string {
	var lines, whole []string
	for _, t := range tables {
		if columns := postgres.NeededColumns(t.listed); columns != "" {
			lines = append(lines, "GRANT SELECT"+columns+" ON TABLE "+t.Name+" TO "+role+";")
		} else {
			whole = append(whole, t.Name)
		}
	}
	if len(whole) > 0 {
		lines = append([]string{"GRANT SELECT ON TABLE " + strings.Join(whole, ", ") + " TO " + role + ";"}, lines...)
	}
	return strings.Join(lines, "\n")
}

// judgeIdentity recommends REPLICA IDENTITY FULL where it saves re-reading: large columns, and keys that may change.
func judgeIdentity(p *part, tables []table) {
	large := slices.DeleteFunc(slices.Clone(tables), func(t table) bool {
		return t.FullRefused || t.ToastPages == 0 || !t.MutableKey || t.Identity != "d" && t.Identity != "i" || t.Kind != "r"
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
