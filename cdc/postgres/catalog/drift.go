package catalog

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// Drift implements cdc.Tables.
func (t *Tables) Drift(ctx context.Context) (map[uint32]error, error) {
	conn, err := t.options.Login.Connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close(ctx) }() // nothing is open on it
	now, err := t.sent(ctx, conn)
	if err != nil {
		return nil, err
	}
	t.mu.Lock()
	listed := t.known // List makes another map
	t.mu.Unlock()
	traces, err := readTraces(ctx, conn, listed)
	if err != nil {
		return nil, err
	}
	byOID, names := map[uint32]*entry{}, map[string]bool{}
	for _, e := range now {
		byOID[e.rel.OID], names[e.rel.FullName()] = e, true
	}
	if err := t.nameKeys(ctx, conn, listed, byOID); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	out := map[uint32]error{}
	for oid, k := range listed {
		name := k.rel.FullName()
		if byOID[oid] == nil && !names[name] {
			out[oid] = cdc.Failed("the table was dropped; its view stays as it was").Fix("restart capture, which then leaves it out")
			continue
		}
		why := drifted(k, byOID[oid], traces[oid])
		if why == nil {
			continue
		}
		if now := byOID[oid]; now != nil && now.rel.FullName() != name {
			out[oid] = t.renamed(why, now.rel.Schema, now.rel.Name)
			continue
		}
		why = t.nameAgain(why, k.rel, renames(k.rel, byOID[oid]))
		if still := t.unfit(name, byOID[oid]); still != nil && len(why.Remedies()) == 0 {
			why = cdc.Failed("%s; as it is now it cannot be copied", why.What).Because(still)
		}
		out[oid] = why.ThenCopy(name)
	}
	return out, nil
}

// sent reads all tables as their publication sends them.
func (t *Tables) sent(ctx context.Context, conn *pgx.Conn) ([]*entry, error) {
	all, err := read(ctx, conn, "")
	if err != nil {
		return nil, err
	}
	return all, t.narrow(ctx, conn, all)
}

// unfit says why a table of that name, as it is now, would be refused when it is copied again; nil if it would not be,
// or if it is gone.
func (t *Tables) unfit(table string, e *entry) error {
	if e == nil || e.rel.FullName() != table {
		return nil
	}
	if why := refusal(e); why != nil {
		return why
	}
	_, err := t.compile(e)
	return err
}

// nameKeys sets the key again on tables that have it from the config, or says why it is no longer usable.
func (t *Tables) nameKeys(ctx context.Context, conn *pgx.Conn, listed map[uint32]*known, now map[uint32]*entry) error {
	for oid := range listed {
		e := now[oid]
		if e == nil {
			continue
		}
		why, err := namedKey(ctx, conn, e, t.options.Keys)
		if err != nil {
			return err
		}
		e.notKey = cmp.Or(why, e.notKey)
	}
	return nil
}

// drifted says how a table differs from what the encoder was compiled from, nil if it does not.
func drifted(k *known, e *entry, now trace) *cdc.Problem {
	switch {
	case e == nil:
		return cdc.Failed("the table was dropped and made again")
	case e.rel.FullName() != k.rel.FullName():
		return cdc.Failed("the table was renamed to %s", e.rel.FullName())
	case e.unlisted != nil:
		return e.unlisted
	case !cdc.SameShape(k.cdc.Shape, shape(e)):
		unlisted := append(e.unsent(), k.cdc.Unsent...)
		return cdc.Failed("%s: rows may have changed without an event", cdc.ShapeChange(k.cdc.Shape, shape(e), k.cdc.Columns, columns(e.rel), unlisted...))
	case k.follow(now):
		return cdc.Failed("the table was rewritten by an ALTER TABLE: its rows may have changed without an event")
	case e.notKey != nil:
		return cdc.Failed("the table has lost its key").Because(e.notKey)
	case !slices.Equal(e.rel.Key, k.rel.Key):
		return cdc.Failed("the table's key has changed")
	}
	return nil
}

// rename is a column's former name and its present one.
type rename struct{ was, is string }

// renames are the columns that have another name now; none if the table is gone.
func renames(before *schemas.Relation, now *entry) (out []rename) {
	if now == nil {
		return nil
	}
	for _, c := range before.Columns {
		columns := now.all().Columns
		at := slices.IndexFunc(columns, func(is schemas.Column) bool { return is.Attnum == c.Attnum })
		if at >= 0 && columns[at].Name != c.Name {
			out = append(out, rename{c.Name, columns[at].Name})
		}
	}
	return out
}

// nameAgain adds the way out where privacy.columns names a renamed column by its former name alone: with that no copy
// would begin.
func (t *Tables) nameAgain(p *cdc.Problem, rel *schemas.Relation, renamed []rename) *cdc.Problem {
	if t.options.Named == nil || len(p.Remedies()) > 0 {
		return p
	}
	names := func(column string) bool { return t.options.Named(rel.Schema, rel.Name, column) }
	var columns []string
	for _, r := range renamed {
		if names(r.was) && !names(r.is) {
			where := ""
			if t.options.Entry != nil {
				where = " (" + t.options.Entry(rel.Schema, rel.Name, r.was) + ")"
			}
			columns = append(columns, fmt.Sprintf("%s for %s%s", r.is, r.was, where))
		}
	}
	if len(columns) == 0 {
		return p
	}
	return p.Fix("under privacy.columns write %s of %s", strings.Join(columns, ", "), rel.FullName())
}
