package table

import (
	"context"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// Show makes the view read this generation, instead of any other; cut is the version of its first snapshot.
func (d *DB) Show(ctx context.Context, t *Table, cut cdc.Position) error {
	return d.Ledger.Exec(ctx, "create the view of "+t.Contract.FullName(), d.viewStatement(t, cut))
}

// viewStatement is the view that people query. FINAL is applied before the conditions, so that an outranked row can
// never show; the cut is a number that is read once per query, the leaves' cuts a map that only rows of a leaf look
// into. Rows below the generation's own cut came between its open and its end: if the snapshot does not have them they
// were deleted.
//
// Nothing in ClickHouse keeps a late loader from replacing a newer generation's view by an older one's (rule 13:
// upwards only). Such a view refuses to answer, since the newer generation is recorded before it is called exact;
// loaders check what the views show, and correct it.
func (d *DB) viewStatement(t *Table, cut cdc.Position) string {
	cuts := d.Ledger.CutsSelect(t.Contract.Topic, t.Generation)
	var columns []string
	for i := range t.Contract.Columns {
		columns = append(columns, viewColumn(&t.Contract.Columns[i]))
	}
	if t.Contract.NeedsInexact() {
		columns = append(columns, "s."+schemas.ColInexact+" AS "+schemas.ColInexact)
	}
	return "CREATE OR REPLACE VIEW " + schemas.ClickHouseIdent(d.database) + "." + schemas.ClickHouseIdent(schemas.ClickHouseView(t.Contract.Schema, t.Contract.Name)) +
		" DEFINER = CURRENT_USER SQL SECURITY DEFINER AS WITH (SELECT max(version) FROM " + cuts + " WHERE leaf = 0) AS _dirtbike_cut," +
		" (SELECT maxMap(map(leaf, version)) FROM " + cuts + ") AS _dirtbike_leaves, " + d.Ledger.ReplacedSelect(t.Contract.Topic, t.Generation) +
		" AS _dirtbike_replaced SELECT " + strings.Join(columns, ", ") + " FROM " + t.Name +
		" AS s FINAL WHERE _dirtbike_replaced = 0 AND s." + schemas.ColDeleted + " = 0" +
		" AND s." + schemas.ColVersion + " >= toUInt128('" + ledger.Version(cut).String() + "') AND s." + schemas.ColVersion + " > _dirtbike_cut" +
		" AND (s." + schemas.ColLeaf + " = 0 OR s." + schemas.ColVersion + " > _dirtbike_leaves[s." + schemas.ColLeaf + "])" +
		" COMMENT " + schemas.ClickHouseLiteral(ledger.ViewComment(t.Generation))
}

// viewColumn caps a year again, by the present time (rule 29): capture did it by the record's.
func viewColumn(c *schemas.TableColumn) string {
	name := schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))
	if c.Type.Kind == schemas.KindYear {
		return "if(isNull(s." + name + "), s." + name + ", greatest(s." + name + ", toInt32(toYear(now('UTC')) - " + strconv.Itoa(schemas.YearsShown) + "))) AS " + name
	}
	return "s." + name + " AS " + name
}

// Shown reads which generation each view of the database shows, by the view's name (schemas.ClickHouseView). A view
// that dirtbike did not make shows 0, and is replaced by the next Show.
func (d *DB) Shown(ctx context.Context) (map[string]uint32, error) {
	views, err := d.Ledger.Views(ctx)
	shown := make(map[string]uint32, len(views))
	for _, v := range views {
		shown[v.Name] = v.Generation
	}
	return shown, err
}

// ShownOf reads which generation a view shows; 0 if there is none.
func (d *DB) ShownOf(ctx context.Context, view string) (uint32, error) {
	shown, err := d.Shown(ctx)
	return shown[view], err
}
