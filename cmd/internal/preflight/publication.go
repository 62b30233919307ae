package preflight

import (
	"context"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
)

const publicationSlug = "postgres-publication"

// checkPublication says whether the publication fits, or capture could make it fit: only the owners can.
func (r *run) checkPublication(ctx context.Context, p *part, conn *pgx.Conn, s *server, tables []table) {
	b, err := postgres.ReadPublication(ctx, conn, r.config.Source.Publication, oidsOf(tables))
	if err != nil {
		p.error(publicationSlug, s.Publication, serverError(err))
		return
	}
	judgeWithheld(p, s, b, tables)
	if problem := b.Problem(); problem != nil {
		command, added := alterPublication(b, s.Publication, tables)
		p.judge(question{slug: publicationSlug, subject: s.Publication, by: publicationFixRole(b, added), command: command, bad: problem.What + fixFirst(added), about: problem})
		return
	}
	judgePublished(p, s, b, tables)
}

// judgePublished says which tables are missing in a publication that otherwise fits.
func judgePublished(p *part, s *server, b *postgres.Publication, tables []table) {
	missing := slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return b.Lists(t.OID) })
	foreign := slices.DeleteFunc(slices.Clone(missing), func(t table) bool { return t.rights.Owns })
	switch {
	case len(tables) == 0:
	case !b.Found && len(foreign) == 0 && s.CreatesInside:
		p.ok(publicationSlug, s.Publication, "it is not there; dirtbike makes it at the first start")
	case !b.Found:
		why := s.Role + " does not own " + cdc.Few(names(foreign))
		if len(foreign) == 0 {
			why = s.Role + " has no CREATE on database " + s.Database
		}
		p.judge(question{slug: publicationSlug, subject: s.Publication, bad: "it is not there and dirtbike cannot make it: " + why + fixFirst(missing),
			by: ownerOf(missing, func(t table) bool { return t.rights.OwnerPublishes }), command: "CREATE PUBLICATION " + s.Publication + " FOR TABLE " + only(missing) + ";"})
	case len(missing) == 0:
		p.ok(publicationSlug, s.Publication, "it has every captured table, and all their changes")
	case b.Owned && len(foreign) == 0:
		p.ok(publicationSlug, s.Publication, "dirtbike adds %s to it at the next start", cdc.Few(names(missing)))
	default:
		p.judge(question{slug: publicationSlug, subject: s.Publication,
			bad: "it lacks " + cdc.Few(names(missing)) + ", and dirtbike cannot add them: only a role that owns both can" + fixFirst(missing),
			by:  publicationFixRole(b, missing), command: "ALTER PUBLICATION " + s.Publication + " ADD TABLE " + only(missing) + ";"})
	}
}

// alterPublication makes the publication fit; added are tables whose filter goes, and those that it lacks.
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
		if slices.Contains(b.Filtered, t.OID) || !b.Lists(t.OID) {
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
	first := slices.DeleteFunc(slices.Clone(tables), func(t table) bool { return t.listed.Refused == nil || t.listed.RefusedByConfig })
	return when(len(first) > 0, ". Before, fix %s as said above: Postgres refuses to publish a table without a log, and updates of a published one "+
		"without a replica identity", cdc.Few(names(first)))
}

func oidsOf(tables []table) []uint32 {
	out := make([]uint32, len(tables))
	for i, t := range tables {
		out[i] = t.OID
	}
	return out
}

func names(tables []table) []string {
	out := make([]string, len(tables))
	for i, t := range tables {
		out[i] = t.Name
	}
	return out
}

// only lists tables as a publication takes them, without those that inherit from them.
func only(tables []table) string { return "ONLY " + strings.Join(names(tables), ", ONLY ") }
