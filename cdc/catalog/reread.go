package catalog

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// Reread implements cdc.Rereader: it asks for the columns by the row's key. The connection is kept for the next time.
func (t *Tables) Reread(ctx context.Context, relation uint32, row cdc.Tuple, columns []int) (cdc.Tuple, bool, error) {
	k, err := t.find(relation)
	if err != nil {
		return nil, false, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reread == nil || t.reread.IsClosed() {
		if t.reread, err = t.connect(ctx); err != nil {
			return nil, false, fmt.Errorf("%w: re-read %s: %w", cdc.ErrUnreachable, k.rel.FullName(), err)
		}
	}
	sql, values, oids, formats := rereadQuery(k.rel, row, columns)
	result := t.reread.PgConn().ExecParams(ctx, sql, values, oids, formats, nil).Read()
	if result.Err != nil {
		_ = t.reread.Close(ctx) // a new one next time
		return nil, false, rereadError(k.rel.FullName(), result.Err)
	}
	if len(result.Rows) == 0 {
		return nil, false, nil
	}
	out := make(cdc.Tuple, len(columns))
	for i, field := range result.Rows[0] {
		out[i] = cdc.Datum{Kind: cdc.DatumText, Data: field}
		if field == nil {
			out[i].Kind = cdc.DatumNull
		}
	}
	return out, true, nil
}

// rereadError blames the table for what asking again would not mend: a missing right, a column that is gone (class 42).
func rereadError(table string, err error) error {
	var pg *pgconn.PgError
	if errors.As(err, &pg) && strings.HasPrefix(pg.Code, "42") {
		return fmt.Errorf("re-read columns of %s that an update left out: %s (%s). Try: GRANT SELECT on the table, or ALTER TABLE %s REPLICA IDENTITY FULL", table, pg.Message, pg.Code, table)
	}
	return fmt.Errorf("%w: re-read columns of %s that an update left out: %w", cdc.ErrUnreachable, table, err)
}

// rereadQuery selects columns by the key, whose values go in the form in which they came. The result comes in the protocol's text
// form, which is the output function's; a cast to text would not always be (char(n), inet).
func rereadQuery(rel *schemas.Relation, row cdc.Tuple, columns []int) (sql string, values [][]byte, oids []uint32, formats []int16) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{rel.Columns[c].Name}.Sanitize()
	}
	wheres := make([]string, len(rel.Key))
	for i, c := range rel.Key {
		wheres[i] = fmt.Sprintf("%s = $%d", pgx.Identifier{rel.Columns[c].Name}.Sanitize(), i+1)
		values, oids = append(values, row[c].Data), append(oids, rel.Columns[c].Type.Base)
		format := int16(0)
		if row[c].Kind == cdc.DatumBinary {
			format = 1
		}
		formats = append(formats, format)
	}
	sql = "SELECT " + strings.Join(names, ", ") + " FROM ONLY " + pgx.Identifier{rel.Schema, rel.Name}.Sanitize() + " WHERE " + strings.Join(wheres, " AND ")
	return sql, values, oids, formats
}

// Close lets the re-read connection go.
func (t *Tables) Close(ctx context.Context) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.reread != nil {
		_ = t.reread.Close(ctx) // read only: nothing is lost with it
	}
}
