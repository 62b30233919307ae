package table

import (
	"context"
	"fmt"
	"strings"

	"dirtbike/schemas"
)

// Describe reads which columns of the storage are Nullable now: another loader may have widened one.
func (d *DB) Describe(ctx context.Context, t *Table) error {
	types, err := d.strings(ctx, "SELECT name, type FROM system.columns WHERE database = "+schemas.ClickHouseLiteral(schemas.StorageDatabase(d.database))+
		" AND table = "+schemas.ClickHouseLiteral(schemas.ClickHouseStorage(t.Contract.Schema, t.Contract.Name, t.Generation)))
	if err != nil {
		return fmt.Errorf("read the columns of %s: %w", t.Name, err)
	}
	nullable := make([]bool, len(t.Contract.Columns))
	for i := range t.Contract.Columns {
		c := &t.Contract.Columns[i]
		have := types[schemas.ClickHouseColumn(c.Name)]
		switch compact(have) {
		case compact(schemas.ClickHouseType(c.Type, true)):
			nullable[i] = c.Type.Kind != schemas.KindArray
		case compact(schemas.ClickHouseType(c.Type, false)):
		default:
			return broken(ErrContract, "storage %s has column %s of type %q, the schema wants %s",
				t.Name, c.Name, have, schemas.ClickHouseType(c.Type, false))
		}
	}
	t.nullable = nullable
	return nil
}

func compact(t string) string { return strings.ReplaceAll(t, " ", "") }

// Nullable reports whether a column of the contract is Nullable in ClickHouse.
func (t *Table) Nullable(column int) bool { return t.nullable[column] }

// Widen makes a column Nullable. The view must be made again then, since it still has the column's former type.
func (d *DB) Widen(ctx context.Context, t *Table, column int) error {
	c := &t.Contract.Columns[column]
	err := d.conn.Exec(ctx, "ALTER TABLE "+t.Name+" MODIFY COLUMN "+schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))+" "+schemas.ClickHouseType(c.Type, true))
	if err != nil {
		return fmt.Errorf("widen column %s of %s: %w", c.Name, t.Name, err)
	}
	t.nullable[column] = true
	return nil
}
