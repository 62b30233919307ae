package catalog

import (
	"context"
	"fmt"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
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
			return nil, false, fmt.Errorf("%w: re-read %s: connect to Postgres: %w", cdc.ErrUnreachable, k.rel.FullName(), err)
		}
	}
	sql, values, oids, formats := rereadQuery(k.rel, row, columns)
	result := t.reread.PgConn().ExecParams(ctx, sql, values, oids, formats, nil).Read()
	if result.Err != nil {
		_ = t.reread.Close(ctx) // a new one next time
		return nil, false, fmt.Errorf("%w: re-read columns of %s that an update left out: %w", cdc.ErrUnreachable, k.rel.FullName(), result.Err)
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

// rereadQuery selects columns as text by the key, whose values go in the form in which they came.
func rereadQuery(rel *schemas.Relation, row cdc.Tuple, columns []int) (sql string, values [][]byte, oids []uint32, formats []int16) {
	names := make([]string, len(columns))
	for i, c := range columns {
		names[i] = pgx.Identifier{rel.Columns[c].Name}.Sanitize() + "::text"
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
