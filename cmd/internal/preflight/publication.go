package preflight

import (
	"context"
	"dirtbike/cdc/postgres"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

const publicationSlug = "postgres-publication"

// checkPublication says whether the publication fits, and whether capture could make or extend it itself: only the
// owner of publication and tables can.
func (r *run) checkPublication(ctx context.Context, p *part, conn *pgx.Conn, s *server, tables []table) {
	oids := make([]uint32, len(tables))
	for i, t := range tables {
		oids[i] = t.oid
	}
	b, err := postgres.ReadPublication(ctx, conn, r.config.Source.Publication, oids)
	if err != nil {
		p.error(publicationSlug, s.publication, serverError(err))
		return
	}
	if problem := b.Problem(); problem != nil {
		command, added := alterPublication(b, s.publication, tables)
		p.failAs(publicationFixRole(b, added), publicationSlug, s.publication, command, "%s%s", problem.What, fixFirst(added))
		return
	}
	judgePublished(p, s, b, tables)
}

// judgePublished says what a publication that fits lacks.
func judgePublished(p *part, s *server, b *postgres.Publication, tables []table) {
	missing := slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return b.Lists(t.oid) })
	foreign := slices.DeleteFunc(slices.Clone(missing), func(t table) bool { return t.rights.Owns })
	switch {
	case len(tables) == 0:
	case !b.Found && len(foreign) == 0 && s.creates:
		p.ok(publicationSlug, s.publication, "it is not there; dirtbike makes it at the first start")
	case !b.Found:
		why := s.role + " does not own " + some(names(foreign))
		if len(foreign) == 0 {
			why = s.role + " has no CREATE on database " + s.database
		}
		p.failAs(ownerOf(missing, func(t table) bool { return t.rights.OwnerPublishes }), publicationSlug, s.publication,
			"CREATE PUBLICATION "+s.publication+" FOR TABLE "+only(missing)+";", "it is not there and dirtbike cannot make it: %s%s", why, fixFirst(missing))
	case len(missing) == 0:
		p.ok(publicationSlug, s.publication, "it has every captured table, and all their changes")
	case b.Owned && len(foreign) == 0:
		p.ok(publicationSlug, s.publication, "dirtbike adds %s to it at the next start", some(names(missing)))
	default:
		p.failAs(publicationFixRole(b, missing), publicationSlug, s.publication, "ALTER PUBLICATION "+s.publication+" ADD TABLE "+only(missing)+";",
			"it lacks %s, and dirtbike cannot add them: only a role that owns both can%s", some(names(missing)), fixFirst(missing))
	}
}

// alterPublication are the statements after which the publication fits, and the tables that they add: those whose
// filter goes, and those that it lacks.
func alterPublication(b *postgres.Publication, name string, tables []table) (command string, added []table) {
	alter := "ALTER PUBLICATION " + name
	var lines []string
	if settings := b.Settings(); settings != "" {
		lines = append(lines, alter+" SET ("+settings+");")
	}
	if len(b.FilteredNames) > 0 {
		lines = append(lines, alter+" DROP TABLE "+strings.Join(b.FilteredNames, ", ")+";")
	}
	for _, t := range tables {
		if slices.Contains(b.Filtered, t.oid) || !b.Lists(t.oid) {
			added = append(added, t)
		}
	}
	if len(added) > 0 {
		lines = append(lines, alter+" ADD TABLE "+only(added)+";")
	}
	return strings.Join(lines, "\n"), added
}

// publicationFixRole is who may run ALTER PUBLICATION: its owner, who must own the tables that are added, too.
func publicationFixRole(b *postgres.Publication, added []table) string {
	if b.Owner != "" && (len(added) == 0 || ownerOf(added, always) == b.Owner+orSuperuser) {
		return b.Owner + orSuperuser
	}
	return ""
}

// fixFirst says what must be done before the tables are published.
func fixFirst(tables []table) string {
	if first := needsFix(tables); len(first) > 0 {
		return ". Before, fix " + some(first) + " as said above: Postgres refuses to publish a table without a log, and updates of a published one without a replica identity"
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
