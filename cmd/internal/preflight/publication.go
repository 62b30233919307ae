package preflight

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"dirtbike/cdc"

	"github.com/jackc/pgx/v5"
)

// lookAtPublication asks the product whether the publication fits, and whether it could make or extend it itself: only the owner of
// publication and tables can.
func (r *run) lookAtPublication(ctx context.Context, p *part, conn *pgx.Conn, s *server, listed []*cdc.Table, tables []table) {
	const slug = "postgres-publication"
	captured := slices.DeleteFunc(slices.Clone(listed), func(t *cdc.Table) bool { return t.Refused != nil || t.Doubt != nil })
	found, members, err := r.trial.Source.Published(ctx, captured)
	if err != nil {
		p.fail(slug, s.publication, publicationCommand(ctx, conn, s, err), "%s", publicationWhy(err))
		return
	}
	var missing, foreign []string
	for _, t := range captured {
		if len(members[t.OID]) > 0 {
			continue
		}
		at := slices.IndexFunc(tables, func(other table) bool { return other.oid == t.OID })
		if at < 0 {
			continue // it is gone by now
		}
		missing = append(missing, tables[at].name)
		if !tables[at].owns {
			foreign = append(foreign, tables[at].name)
		}
	}
	ours, err := r.ownsPublication(ctx, conn)
	if err != nil {
		p.error(slug, s.publication, err)
		return
	}
	list := "ONLY " + strings.Join(missing, ", ONLY ")
	switch {
	case len(captured) == 0:
	case !found && len(foreign) == 0 && s.creates:
		p.ok(slug, s.publication, "it is not there; dirtbike makes it at the first start")
	case !found:
		why := fmt.Sprintf("%s does not own %s", s.role, some(foreign))
		if len(foreign) == 0 {
			why = s.role + " has no CREATE on database " + s.database
		}
		p.fail(slug, s.publication, "CREATE PUBLICATION "+s.publication+" FOR TABLE "+list+";", "it is not there and dirtbike cannot make it: %s. The tables' owner makes it", why)
	case len(missing) == 0:
		p.ok(slug, s.publication, "it has every captured table, and all their changes")
	case ours && len(foreign) == 0:
		p.ok(slug, s.publication, "dirtbike adds %s to it at the next start", some(missing))
	default:
		p.fail(slug, s.publication, "ALTER PUBLICATION "+s.publication+" ADD TABLE "+list+";", "it lacks %s, and dirtbike cannot add them: their owner has to", some(missing))
	}
}

// ownsPublication reports whether we may change the publication; false if there is none.
func (r *run) ownsPublication(ctx context.Context, conn *pgx.Conn) (ours bool, err error) {
	err = conn.QueryRow(ctx, "SELECT coalesce((SELECT pg_has_role(pubowner, 'USAGE') FROM pg_publication WHERE pubname = $1), false)", r.config.Source.Publication).Scan(&ours)
	if err != nil {
		err = fmt.Errorf("read pg_publication: %w", serverError(err))
	}
	return ours, err
}

func publicationWhy(err error) string {
	why, _ := splitTry(err)
	return why
}

// publicationCommand is the product's own statement, but for row filters and column lists, which take two.
func publicationCommand(ctx context.Context, conn *pgx.Conn, s *server, refusal error) string {
	if !errors.Is(refusal, cdc.ErrRefused) {
		return ""
	}
	_, try := splitTry(refusal)
	if !strings.Contains(try, "DROP TABLE") {
		return try + ";"
	}
	var filtered []string
	err := conn.QueryRow(ctx, `SELECT array_agg(format('%I.%I', n.nspname, c.relname) ORDER BY n.nspname, c.relname) FROM pg_publication_rel r
		JOIN pg_publication p ON p.oid = r.prpubid JOIN pg_class c ON c.oid = r.prrelid JOIN pg_namespace n ON n.oid = c.relnamespace
		WHERE quote_ident(p.pubname) = $1 AND (r.prqual IS NOT NULL OR r.prattrs IS NOT NULL)`, s.publication).Scan(&filtered)
	if err != nil || len(filtered) == 0 {
		return try
	}
	return "ALTER PUBLICATION " + s.publication + " DROP TABLE " + strings.Join(filtered, ", ") + ";\n" +
		"ALTER PUBLICATION " + s.publication + " ADD TABLE ONLY " + strings.Join(filtered, ", ONLY ") + ";"
}

// lookAtSlot looks whether the slot is ours; whether it fits the stored state, the start's own checks say.
func (r *run) lookAtSlot(ctx context.Context, p *part) {
	const slug = "postgres-slot"
	slot, found, err := r.trial.Source.Slot(ctx)
	name := r.config.Source.Slot
	switch {
	case err != nil:
		p.error(slug, name, serverError(err))
	case !found:
		p.ok(slug, name, "it is not there; dirtbike makes it at the first start")
	case slot.WALStatus == "unreserved":
		p.warn(slug, name, "ALTER SYSTEM SET max_slot_wal_keep_size = '"+keepProposed+"';\nSELECT pg_reload_conf();",
			"it holds more than max_slot_wal_keep_size and is lost at the next checkpoint. Start capture, and give it more")
	case slot.Active:
		p.ok(slug, name, "a capture reads it, up to %s", slot.ConfirmedFlush)
	default:
		p.ok(slug, name, "it is there, at %s, and nobody reads it", slot.ConfirmedFlush)
	}
}
