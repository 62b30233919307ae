package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres/catalog"
	"dirtbike/cmd/internal/status"
	"dirtbike/config"

	"github.com/jackc/pgx/v5"
)

// obstacles says what would keep a capture that starts now from tables that source.tables names, and what mends it, by "schema.table";
// a table without an entry would be captured. It asks the catalog as capture does, and for the rights of the user that streams from the
// slot, or else of its own.
func obstacles(ctx context.Context, c *config.Config) (map[string]string, error) {
	policies, _, err := (&Trial{Keyless: c.HashKeyMissing()}).policies(c)
	if err != nil {
		return nil, err
	}
	tables := catalog.New(tableOptions(c, MonitorLogin(c), policies, nil))
	defer tables.Close(ctx)
	listed, err := tables.List(ctx)
	if err != nil {
		return nil, err
	}
	conn, err := MonitorLogin(c).Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer conn.Close(ctx) // nothing is open on it
	rights, err := readRights(ctx, conn, c, listed)
	if err != nil {
		return nil, err
	}
	out := map[string]string{}
	for _, t := range listed {
		if o := obstaclesOf(t, rights[t.OID]); len(o.why) > 0 {
			out[t.FullName()] = o.String()
		}
	}
	return out, nil
}

// right is what a table's reader may not do.
type right struct {
	// role, schema, table and publication are quoted.
	role, schema, table, publication string
	usage, selects, hidden           bool
	// published says that the publication has the table, or that there is none yet; joins that the role may put it there.
	published, joins bool
	// what the table's owner may do besides granting SELECT: put it into the publication, grant the schema.
	ownerJoins, ownerOpens bool
	// publisher is the publication's owner, quoted, if it may put the table there and is no superuser.
	publisher string
}

// rightsSQL, around ops.PublishedSQL, asks for the user that streams from the slot: whoever looks may be another one.
const rightsSQL = `
WITH who AS (SELECT r.oid, quote_ident(r.rolname) AS name, r.rolsuper OR r.rolbypassrls AS sees FROM pg_roles r WHERE r.oid = coalesce(
  (SELECT a.usesysid FROM pg_replication_slots s JOIN pg_stat_activity a ON a.pid = s.active_pid WHERE s.slot_name = $2),
  (SELECT u.oid FROM pg_roles u WHERE u.rolname = current_user)))
SELECT c.oid, who.name, quote_ident(n.nspname), format('%%I.%%I', n.nspname, c.relname), quote_ident($1),
  has_schema_privilege(who.oid, n.oid, 'USAGE'),
  has_table_privilege(who.oid, c.oid, 'SELECT') OR NOT EXISTS (SELECT FROM pg_attribute a WHERE a.attrelid = c.oid AND a.attnum > 0
    AND NOT a.attisdropped AND a.attgenerated = '' AND NOT has_column_privilege(who.oid, c.oid, a.attnum, 'SELECT')),
  c.relrowsecurity AND NOT who.sees AND (c.relforcerowsecurity OR NOT pg_has_role(who.oid, c.relowner, 'USAGE')),
  p.oid IS NULL OR (%s),
  coalesce(pg_has_role(who.oid, p.pubowner, 'USAGE'), true) AND pg_has_role(who.oid, c.relowner, 'USAGE'),
  coalesce(pg_has_role(c.relowner, p.pubowner, 'USAGE'), true), pg_has_role(c.relowner, n.nspowner, 'USAGE'),
  coalesce((SELECT quote_ident(o.rolname) FROM pg_roles o WHERE o.oid = p.pubowner AND NOT o.rolsuper AND pg_has_role(o.oid, c.relowner, 'USAGE')), '')
FROM who CROSS JOIN pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace LEFT JOIN pg_publication p ON p.pubname = $1
WHERE c.oid = ANY ($3)`

func readRights(ctx context.Context, conn *pgx.Conn, c *config.Config, listed []*cdc.Table) (map[uint32]right, error) {
	oids := make([]uint32, len(listed))
	for i, t := range listed {
		oids[i] = t.OID
	}
	out := map[uint32]right{}
	version := 0
	if err := conn.QueryRow(ctx, "SELECT current_setting('server_version_num')::int").Scan(&version); err != nil {
		return nil, fmt.Errorf("ask Postgres for its version: %w", err)
	}
	rows, err := conn.Query(ctx, fmt.Sprintf(rightsSQL, status.PublishedSQL(version)), c.Source.Publication, c.Source.Slot, oids)
	if err != nil {
		return nil, fmt.Errorf("ask Postgres for the rights to tables: %w", err)
	}
	var oid uint32
	var r right
	_, err = pgx.ForEachRow(rows, []any{&oid, &r.role, &r.schema, &r.table, &r.publication, &r.usage, &r.selects, &r.hidden, &r.published, &r.joins,
		&r.ownerJoins, &r.ownerOpens, &r.publisher}, func() error {
		out[oid] = r
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("ask Postgres for the rights to tables: %w", err)
	}
	return out, nil
}

// obstacle is what keeps one table out, and what mends each of it.
type obstacle struct {
	why  []string
	ways []way
}

// way is a mend, and who does it where: "in the config", "as …"; empty if the mend says so itself.
type way struct{ by, mend string }

// Who does it, where the catalog does not name somebody.
const (
	inConfig    = "in the config"
	asOwner     = "as the tables' owner"
	asSuperuser = "as a superuser"
)

func (o *obstacle) add(why, by, mend string) {
	o.why = append(o.why, why)
	if w := (way{by, mend}); mend != "" && !slices.Contains(o.ways, w) {
		o.ways = append(o.ways, w)
	}
}

// String names each who once, in front of what is theirs. Statements are a superuser's as soon as one of them is, which may do all.
func (o *obstacle) String() string {
	text := strings.Join(o.why, "; ")
	super := slices.ContainsFunc(o.ways, func(w way) bool { return w.by == asSuperuser })
	var order []string
	mends := map[string][]string{}
	for _, w := range o.ways {
		if super && strings.HasPrefix(w.by, "as ") {
			w.by = asSuperuser
		}
		if mends[w.by] == nil {
			order = append(order, w.by)
		}
		mends[w.by] = append(mends[w.by], w.mend)
	}
	slices.SortStableFunc(order, func(a, b string) int { return min(len(a), 1) - min(len(b), 1) }) // what names nobody would look like the former one's
	for i, by := range order {
		lead := "; "
		switch {
		case i == 0 && by == "":
			lead = ". Try: "
		case i == 0:
			lead = ". Try, " + by + ": "
		default:
			lead += by + ": "
		}
		text += lead + strings.Join(mends[by], "; ")
	}
	return text
}

// obstaclesOf is the zero value if nothing keeps the table out. r is the zero value for one that is gone by now.
func obstaclesOf(t *cdc.Table, r right) (o obstacle) {
	for _, err := range append(parts(t.Refused), parts(t.BlocksStart)...) {
		by := ""
		if problem := (*config.Error)(nil); t.RefusedByConfig || errors.As(err, &problem) {
			by = inConfig
		}
		why, mend, _ := strings.Cut(status.JoinReasons([]string{err.Error()}), " Try: ")
		o.add(strings.TrimSuffix(strings.TrimPrefix(why, "table "+t.FullName()+" cannot be captured: "), "."), by, mend)
	}
	if r.role == "" {
		return o
	}
	if r.hidden {
		o.add("row-level security hides rows of it from "+r.role, asSuperuser, "ALTER ROLE "+r.role+" BYPASSRLS")
	}
	if !r.published && !r.joins {
		o.add("it is not in publication "+r.publication+" and "+r.role+" may not add it", r.joiner(), "ALTER PUBLICATION "+r.publication+" ADD TABLE ONLY "+r.table)
	}
	if !r.usage {
		by := asOwner
		if !r.ownerOpens {
			by = "as the schema's owner"
		}
		o.add(r.role+" may not use schema "+r.schema, by, "GRANT USAGE ON SCHEMA "+r.schema+" TO "+r.role)
	}
	if !r.selects {
		o.add(r.role+" may not read it", asOwner, "GRANT SELECT ON TABLE "+r.table+" TO "+r.role)
	}
	return o
}

// joiner is who may put the table into the publication: it takes the rights of both owners.
func (r *right) joiner() string {
	switch {
	case r.ownerJoins:
		return asOwner
	case r.publisher != "":
		return "as " + r.publisher + ", the publication's owner, or a superuser"
	}
	return asSuperuser
}

// parts takes an error that is nothing but several apart.
func parts(err error) (out []error) {
	if err == nil {
		return nil
	}
	for inner := err; inner != nil; inner = errors.Unwrap(inner) {
		several, is := inner.(interface{ Unwrap() []error })
		if !is {
			continue
		}
		for _, one := range several.Unwrap() {
			out = append(out, parts(one)...)
		}
		if cdc.OneLine(out...).Error() == strings.ReplaceAll(err.Error(), "\n", "; ") {
			return out
		}
		break
	}
	return []error{err}
}
