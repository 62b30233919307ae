package oracle

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
)

// inexactColumn is the view's last column, if its types need one.
const inexactColumn = "_inexact"

// chColumn is a column that the view has.
type chColumn struct {
	name string
	typ  chType
}

// viewColumns lists the view's columns in order; none if there is no such view.
func viewColumns(ctx context.Context, ch driver.Conn, database, name string) ([]chColumn, error) {
	var rows []struct {
		Name string `ch:"name"`
		Type string `ch:"type"`
	}
	if err := ch.Select(ctx, &rows, `SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position`, database, name); err != nil {
		return nil, fmt.Errorf("list view columns: %w", err)
	}
	columns := make([]chColumn, len(rows))
	for i, r := range rows {
		columns[i] = chColumn{name: r.Name, typ: parseCHType(r.Type)}
	}
	return columns, nil
}

// quoteCH quotes an identifier for ClickHouse.
func quoteCH(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// chRow is one row of the view: text or array per column, and the exact texts.
type chRow struct {
	scalars []*string   // nil: NULL, or the column is an array
	arrays  [][]*string // of array columns
	inexact map[string]string
}

// readView calls f with each row of the view, in no order.
func readView(ctx context.Context, ch driver.Conn, database, name string, columns []chColumn, inexact bool, f func(chRow) error) error {
	row := chRow{scalars: make([]*string, len(columns)), arrays: make([][]*string, len(columns))}
	var exprs []string
	var dest []any
	for i, c := range columns {
		if c.typ.elem != nil {
			exprs, dest = append(exprs, "CAST(arrayMap(x -> toString(x), "+quoteCH(c.name)+") AS Array(Nullable(String)))"), append(dest, &row.arrays[i])
		} else {
			exprs, dest = append(exprs, "CAST(toString("+quoteCH(c.name)+") AS Nullable(String))"), append(dest, &row.scalars[i])
		}
	}
	if inexact {
		exprs, dest = append(exprs, quoteCH(inexactColumn)), append(dest, &row.inexact)
	}
	rows, err := ch.Query(ctx, "SELECT "+strings.Join(exprs, ", ")+" FROM "+quoteCH(database)+"."+quoteCH(name))
	if err != nil {
		return fmt.Errorf("read ClickHouse: %w", err)
	}
	defer func() { _ = rows.Close() }()
	for rows.Next() {
		row.inexact = nil
		if err := rows.Scan(dest...); err != nil {
			return fmt.Errorf("read ClickHouse: %w", err)
		}
		if err := f(row); err != nil {
			return err
		}
	}
	return rows.Err()
}
