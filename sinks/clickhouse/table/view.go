package table

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// Show makes the view read this generation, instead of any other; cut is the version of its first snapshot. Comments
// that people have given to the view and its columns stay. What somebody had under the view's name before is not
// replaced: an error says so.
func (d *DB) Show(ctx context.Context, t *Table, cut cdc.Position) error {
	if err := d.free(ctx, t.Contract); err != nil {
		return err
	}
	comments, err := d.comments(ctx, t)
	if err != nil {
		return err
	}
	for {
		types := slices.Clone(t.nullable)
		if err := d.Ledger.CreateView(ctx, d.definition(t, cut, comments), t.Generation); err != nil {
			return err
		}
		if err := d.Describe(ctx, t); err != nil || slices.Equal(types, t.nullable) {
			return err
		} // another loader has widened a column meanwhile
	}
}

// free reports what has the view's name and is not dirtbike's: CREATE OR REPLACE VIEW would drop it. A view that took
// the place of dirtbike's own is replaced, as one that was dropped.
func (d *DB) free(ctx context.Context, contract *schemas.Table) error {
	views, err := d.Ledger.Views(ctx)
	if err != nil {
		return err
	}
	name := schemas.ClickHouseView(contract.Schema, contract.Name)
	at := slices.IndexFunc(views, func(v ledger.View) bool { return v.Name == name && !v.Ours })
	if at < 0 {
		return nil
	}
	if views[at].IsView {
		if was, err := d.Ledger.WasShown(ctx, contract.FullName()); was || err != nil {
			return err
		}
	}
	return d.Ledger.Taken(views[at])
}

// comments gives those that the view is to have, by column, and by "" its own: what a person has written stays, else it
// is what Postgres has. What a view has is a person's if it is not what Postgres had for the generation that it shows,
// which that generation's storage says.
func (d *DB) comments(ctx context.Context, t *Table) (map[string]string, error) {
	name := schemas.ClickHouseView(t.Contract.Schema, t.Contract.Name)
	generation, err := d.ShownOf(ctx, name)
	if err != nil {
		return nil, err
	}
	now, err := d.commentsOf(ctx, d.database, name)
	if err != nil {
		return nil, err
	}
	given, err := d.commentsOf(ctx, schemas.StorageDatabase(d.database), schemas.ClickHouseStorage(t.Contract.Schema, t.Contract.Name, generation))
	if err != nil {
		return nil, err
	}
	_, given[""], _ = strings.Cut(given[""], "\n")
	out := map[string]string{"": t.Contract.Comment, schemas.ColInexact: ""}
	stored := map[string]string{"": "", schemas.ColInexact: schemas.ColInexact}
	for i := range t.Contract.Columns {
		c := &t.Contract.Columns[i]
		shown := schemas.ClickHouseColumn(c.Name)
		out[shown], stored[shown] = c.Comment, schemas.ClickHouseStorageColumn(c.Name)
	}
	for column := range out {
		if now[column] != "" && now[column] != given[stored[column]] {
			out[column] = now[column]
		}
	}
	return out, nil
}

// commentsOf reads the comments of what has a name, by column, and by "" its own; none if there is nothing.
func (d *DB) commentsOf(ctx context.Context, database, name string) (comments map[string]string, err error) {
	in, is := " WHERE database = "+schemas.ClickHouseLiteral(database), schemas.ClickHouseLiteral(name)
	err = d.Ledger.Ask(ctx, "read the comments of "+name, "SELECT mapFromArrays(groupArray(c), groupArray(t)) FROM (SELECT name AS c, comment AS t FROM system.columns"+
		in+" AND table = "+is+" UNION ALL SELECT '', comment FROM system.tables"+in+" AND name = "+is+")", &comments)
	return comments, err
}

func withComment(text string) string {
	if text == "" {
		return ""
	}
	return " COMMENT " + schemas.ClickHouseLiteral(text)
}

// definition is the view that people query. FINAL is applied before the conditions, so that an outranked row can
// never show; the cut is a number that is read once per query, the leaves' cuts a map that only rows of a leaf look
// into. Rows below the generation's own cut came between its open and its end: if the snapshot does not have them they
// were deleted. The inner query has the storage's names, the outer one those that people see: one that is both would
// otherwise be taken for the other.
//
// Nothing in ClickHouse keeps a late loader from replacing a newer generation's view by an older one's (rule 13:
// upwards only). Such a view refuses to answer, since the newer generation is recorded before it is called exact;
// loaders check what the views show, and correct it.
func (d *DB) definition(t *Table, cut cdc.Position, comments map[string]string) ledger.ViewDefinition {
	cuts := d.Ledger.CutsSelect(t.Contract.Topic, t.Generation)
	declared, stored, shown := t.viewColumns(comments)
	version, leaf := ofStorage(schemas.ColVersion), ofStorage(schemas.ColLeaf)
	query := "SELECT " + strings.Join(shown, ", ") + " FROM (WITH" +
		" (SELECT max(version) FROM " + cuts + " WHERE leaf = 0" + ledger.BooksSettings + ") AS _dirtbike_cut," +
		" (SELECT maxMap(map(leaf, version)) FROM " + cuts + ledger.BooksSettings + ") AS _dirtbike_leaves, " +
		d.Ledger.ReplacedSelect(t.Contract.FullName(), t.Contract.Topic, t.Generation) + " AS _dirtbike_replaced" +
		" SELECT " + strings.Join(stored, ", ") + " FROM " + t.Name + " AS " + storageAlias + " FINAL" +
		" WHERE " + ledger.Whole + " AND _dirtbike_replaced = 0 AND " + ofStorage(schemas.ColDeleted) + " = 0" +
		" AND " + version + " >= toUInt128('" + ledger.Version(cut).String() + "') AND " + version + " > _dirtbike_cut" +
		" AND (" + leaf + " = 0 OR " + version + " > _dirtbike_leaves[" + leaf + "]))" + ledger.ViewSettings
	return ledger.ViewDefinition{
		Name: schemas.ClickHouseView(t.Contract.Schema, t.Contract.Name), Columns: " (" + strings.Join(declared, ", ") + ")", Query: query, Comment: withComment(comments[""]),
	}
}

// viewColumns lists the view's columns as they are declared, as the inner query reads them, and as the outer one shows
// them.
func (t *Table) viewColumns(comments map[string]string) (declared, stored, shown []string) {
	add := func(name, typ, from, as string) {
		declared = append(declared, schemas.ClickHouseIdent(name)+" "+typ+withComment(comments[name]))
		stored, shown = append(stored, ofStorage(from)), append(shown, as+" AS "+schemas.ClickHouseIdent(name))
	}
	for i := range t.Contract.Columns {
		c := &t.Contract.Columns[i]
		add(schemas.ClickHouseColumn(c.Name), schemas.ClickHouseType(c.Type, t.nullable[i]), schemas.ClickHouseStorageColumn(c.Name), viewColumn(c))
	}
	if t.Contract.NeedsInexact() {
		add(schemas.ColInexact, "Map(String, String)", schemas.ColInexact, schemas.ColInexact)
	}
	return declared, stored, shown
}

// storageAlias is no column's name: `s.size` would be the length of a column s.
const storageAlias = "_dirtbike_s"

func ofStorage(column string) string { return storageAlias + "." + schemas.ClickHouseIdent(column) }

// viewColumn caps a year again, by the present time (rule 29): capture did it by the record's.
func viewColumn(c *schemas.TableColumn) string {
	name := schemas.ClickHouseIdent(schemas.ClickHouseStorageColumn(c.Name))
	if c.Type.Kind == schemas.KindYear {
		return "if(isNull(" + name + "), " + name + ", greatest(" + name + ", toInt32(toYear(now('UTC')) - " + strconv.Itoa(schemas.YearsShown) + ")))"
	}
	return name
}

// Shown reads which generation each view of the database shows, by the view's name (schemas.ClickHouseView). A view
// that dirtbike did not make shows 0, and is replaced by the next Show.
func (d *DB) Shown(ctx context.Context) (map[string]uint32, error) {
	views, err := d.Ledger.Views(ctx)
	return generationsOf(views), err
}

func generationsOf(views []ledger.View) map[string]uint32 {
	shown := make(map[string]uint32, len(views))
	for _, v := range views {
		shown[v.Name] = v.Generation
	}
	return shown
}

// KeepComplete is Shown, and puts the view complete_up_to back if it is not there; taken says that something of
// somebody's has its name.
func (d *DB) KeepComplete(ctx context.Context) (shown map[string]uint32, taken *cdc.Problem, err error) {
	views, err := d.Ledger.Views(ctx)
	if err == nil {
		taken, err = d.Ledger.ShowComplete(ctx, views)
	}
	return generationsOf(views), taken, err
}

// ShownOf reads which generation a view shows; 0 if there is none.
func (d *DB) ShownOf(ctx context.Context, view string) (uint32, error) {
	shown, err := d.Shown(ctx)
	return shown[view], err
}
