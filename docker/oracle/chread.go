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
	rows, err := ch.Query(ctx, `SELECT name, type FROM system.columns WHERE database = ? AND table = ? ORDER BY position`, database, name)
	if err != nil {
		return nil, fmt.Errorf("list view columns: %w", err)
	}
	defer func() { _ = rows.Close() }()
	var columns []chColumn
	for rows.Next() {
		var column, typ string
		if err := rows.Scan(&column, &typ); err != nil {
			return nil, fmt.Errorf("list view columns: %w", err)
		}
		columns = append(columns, chColumn{name: column, typ: parseCHType(typ)})
	}
	return columns, rows.Err()
}

// quoteCH quotes an identifier for ClickHouse.
func quoteCH(name string) string {
	return "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(name) + "`"
}

// textSQL is the expression that reads a column as nullable text.
func (c chColumn) textSQL() string {
	if c.typ.elem != nil {
		return "CAST(arrayMap(x -> toString(x), " + quoteCH(c.name) + ") AS Array(Nullable(String)))"
	}
	return "CAST(toString(" + quoteCH(c.name) + ") AS Nullable(String))"
}

// chRow is one row of the view: text or array per column, and the exact texts.
type chRow struct {
	scalars []*string   // nil: NULL, or the column is an array
	arrays  [][]*string // of array columns
	inexact map[string]string
}

// readView calls f with each row of the view, in no order.
func readView(ctx context.Context, ch driver.Conn, database, name string, columns []chColumn, inexact bool, f func(chRow) error) error {
	exprs := make([]string, 0, len(columns)+1)
	row := chRow{scalars: make([]*string, len(columns)), arrays: make([][]*string, len(columns))}
	dest := make([]any, 0, len(columns)+1)
	for i, c := range columns {
		exprs = append(exprs, c.textSQL())
		if c.typ.elem != nil {
			dest = append(dest, &row.arrays[i])
		} else {
			dest = append(dest, &row.scalars[i])
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

// shown canonicalises what ClickHouse shows for a column that is to hold t.
func (t pgType) shown(c chColumn, row chRow, i int) (cell, error) {
	exact, inexact := row.inexact[c.name]
	out, err := t.shownValue(c.typ, row.scalars[i], row.arrays[i])
	out.inexact, out.exact = inexact, exact
	return out, err
}

// shownValue is shown without the exact text.
func (t pgType) shownValue(c chType, scalar *string, array []*string) (cell, error) {
	if c.elem != nil {
		elem := pgType{kind: kindOther}
		if t.elem != nil {
			elem = *t.elem
		}
		elems := make([]cell, len(array))
		for i, e := range array {
			var err error
			if elems[i], err = elem.shownValue(*c.elem, e, nil); err != nil {
				return cell{}, err
			}
		}
		return cell{text: arrayText(elems)}, nil
	}
	switch {
	case scalar == nil:
		return nullCell, nil
	case t.kind == kindFloat4 && c.name != "String":
		return floatCell(*scalar, 32)
	case t.kind == kindFloat8 && c.name != "String":
		return floatCell(*scalar, 64)
	case strings.HasPrefix(c.name, "Decimal("):
		return cell{text: withScale(*scalar, t.scale)}, nil
	}
	return cell{text: *scalar}, nil
}

// withScale adds the trailing zeros that ClickHouse does not print.
func withScale(s string, scale int) string {
	whole, fraction, _ := strings.Cut(s, ".")
	if missing := scale - len(fraction); missing > 0 {
		fraction += strings.Repeat("0", missing)
	}
	if fraction == "" {
		return whole
	}
	return whole + "." + fraction
}
