package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/status"
	"github.com/jackc/pgx/v5"
)

// publication is what Postgres says of ours.
type publication struct {
	// owner is quoted; owned reports whether we may do what it may.
	owner string
	owned bool
	// settings are those that have to be changed, as SET takes them.
	settings []string
	// filtered are the OIDs of its tables with a row filter or column list, names their quoted names, in the same order.
	filtered []uint32
	names    []string
	// published are the OIDs of those of the asked tables that it has, by whatever way.
	published []uint32
}

// publicationSQL asks for as much as Postgres 14 knows: what is newer is read from the rows as they are.
const publicationSQL = `
SELECT quote_ident(pg_get_userbyid(p.pubowner)), pg_has_role(p.pubowner, 'USAGE'),
  array_remove(ARRAY[CASE WHEN NOT (p.pubinsert AND p.pubupdate AND p.pubdelete AND p.pubtruncate) THEN 'publish = ''insert, update, delete, truncate''' END,
    CASE WHEN p.pubviaroot THEN 'publish_via_partition_root = false' END,
    CASE WHEN coalesce(to_jsonb(p) ->> 'pubgencols', 'n') <> 'n' THEN 'publish_generated_columns = none' END], NULL),
  coalesce(f.oids, '{}'), coalesce(f.names, '{}'),
  coalesce((SELECT array_agg(c.oid) FROM pg_class c WHERE c.oid = ANY ($2) AND (p.puballtables OR EXISTS (
    SELECT FROM pg_publication_rel r WHERE r.prpubid = p.oid AND (r.prrelid = c.oid OR r.prrelid IN (SELECT relid FROM pg_partition_ancestors(c.oid))))%s)), '{}')
FROM pg_publication p LEFT JOIN LATERAL (SELECT array_agg(c.oid ORDER BY n.nspname, c.relname) AS oids, array_agg(format('%%I.%%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname) AS names
  FROM pg_publication_rel r JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
  WHERE r.prpubid = p.oid AND (to_jsonb(r) ->> 'prqual' IS NOT NULL OR to_jsonb(r) ->> 'prattrs' IS NOT NULL)) f ON true
WHERE p.pubname = $1`

// readPublication is empty if there is none.
func (r *run) readPublication(ctx context.Context, conn *pgx.Conn, s *server, tables []table) (b publication, err error) {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.oid
	}
	schemas := ""
	if s.version >= 150000 {
		schemas = status.PublishedBySchema
	}
	err = conn.QueryRow(ctx, fmt.Sprintf(publicationSQL, schemas), r.config.Source.Publication, oids).
		Scan(&b.owner, &b.owned, &b.settings, &b.filtered, &b.names, &b.published)
	if errors.Is(err, pgx.ErrNoRows) {
		return publication{}, nil
	}
	if err != nil {
		err = fmt.Errorf("read pg_publication: %w", serverError(err))
	}
	return b, err
}

// lookAtPublication asks the product whether the publication fits, and whether it could make or extend it itself: only the owner of
// publication and tables can.
func (r *run) lookAtPublication(ctx context.Context, p *part, conn *pgx.Conn, s *server, tables []table) {
	const slug = "postgres-publication"
	captured := make([]*cdc.Table, len(tables))
	for i, t := range tables {
		captured[i] = t.listed
	}
	found, members, refusal := r.trial.Source.Published(ctx, captured)
	if refusal != nil && !errors.Is(refusal, cdc.ErrRefused) {
		p.error(slug, s.publication, serverError(refusal))
		return
	}
	b, err := r.readPublication(ctx, conn, s, tables)
	if err != nil {
		p.error(slug, s.publication, err)
		return
	}
	if refusal != nil {
		why, _ := splitTry(refusal)
		command, added := b.mend(s, tables)
		p.failAs(b.mender(added), slug, s.publication, command, "%s%s", why, firstMend(added))
		return
	}
	missing := slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return len(members[t.oid]) > 0 || slices.Contains(b.published, t.oid) })
	foreign := slices.DeleteFunc(slices.Clone(missing), func(t table) bool { return t.owns })
	switch {
	case len(tables) == 0:
	case !found && len(foreign) == 0 && s.creates:
		p.ok(slug, s.publication, "it is not there; dirtbike makes it at the first start")
	case !found:
		why := s.role + " does not own " + some(names(foreign))
		if len(foreign) == 0 {
			why = s.role + " has no CREATE on database " + s.database
		}
		p.failAs(ownerOf(missing, func(t table) bool { return t.ownerPublishes }), slug, s.publication,
			"CREATE PUBLICATION "+s.publication+" FOR TABLE "+only(missing)+";", "it is not there and dirtbike cannot make it: %s%s", why, firstMend(missing))
	case len(missing) == 0:
		p.ok(slug, s.publication, "it has every captured table, and all their changes")
	case b.owned && len(foreign) == 0:
		p.ok(slug, s.publication, "dirtbike adds %s to it at the next start", some(names(missing)))
	default:
		p.failAs(b.mender(missing), slug, s.publication, "ALTER PUBLICATION "+s.publication+" ADD TABLE "+only(missing)+";",
			"it lacks %s, and dirtbike cannot add them: who owns both has to%s", some(names(missing)), firstMend(missing))
	}
}

// mend are the statements after which the publication fits, and the tables that they add: those whose filter goes, and those that it
// lacks.
func (b *publication) mend(s *server, tables []table) (command string, added []table) {
	alter := "ALTER PUBLICATION " + s.publication
	var lines []string
	if len(b.settings) > 0 {
		lines = append(lines, alter+" SET ("+strings.Join(b.settings, ", ")+");")
	}
	if len(b.names) > 0 {
		lines = append(lines, alter+" DROP TABLE "+strings.Join(b.names, ", ")+";")
	}
	for _, t := range tables {
		if slices.Contains(b.filtered, t.oid) || !slices.Contains(b.published, t.oid) {
			added = append(added, t)
		}
	}
	if len(added) > 0 {
		lines = append(lines, alter+" ADD TABLE "+only(added)+";")
	}
	return strings.Join(lines, "\n"), added
}

// mender is who may run ALTER PUBLICATION: its owner, who must own the tables that are added, too.
func (b *publication) mender(added []table) string {
	if b.owner != "" && (len(added) == 0 || ownerOf(added, always) == b.owner+orSuperuser) {
		return b.owner + orSuperuser
	}
	return ""
}

// firstMend says what must be done before the tables are published.
func firstMend(tables []table) string {
	if first := unmended(tables); len(first) > 0 {
		return ". Before, mend " + some(first) + " as said above: Postgres refuses to publish a table without a log, and updates of a published one without a replica identity"
	}
	return ""
}

func names(tables []table) []string {
	out := make([]string, len(tables))
	for i, t := range tables {
		out[i] = t.name
	}
	return out
}

// only lists tables as a publication takes them, without those that inherit from them.
func only(tables []table) string { return "ONLY " + strings.Join(names(tables), ", ONLY ") }
