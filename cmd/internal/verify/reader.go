package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"dirtbike/cmd/internal/wait"
	"dirtbike/schemas"
)

// reader makes the statements that read one table.
type reader struct {
	*plan
	*wait.Source
	// list are the columns, order those of the key, in key order.
	list, order, from string
	// keyTypes are the names of the key columns' types, without typmod; of a domain, its base type.
	keyTypes []string
}

func newReader(ctx context.Context, s *wait.Source, p *plan) (*reader, error) {
	r := &reader{plan: p, Source: s, from: " FROM ONLY " + pgx.Identifier{p.rel.Schema, p.rel.Name}.Sanitize() + " AS t"}
	var list, order []string
	for i := range p.columns {
		list = append(list, r.name(i))
	}
	for _, k := range p.table.Key {
		order = append(order, list[k])
		// typmod -1 names char(n) bpchar: a cast to character would cut it
		typ, err := s.Text(ctx, fmt.Sprintf("SELECT pg_catalog.format_type(%d, -1)", r.source(k).Type.Base))
		if err != nil {
			return nil, err
		}
		r.keyTypes = append(r.keyTypes, typ)
	}
	r.list, r.order = strings.Join(list, ", "), strings.Join(order, ", ")
	return r, nil
}

// source is a column in Postgres, name its quoted name.
func (r *reader) source(i int) *schemas.Column { return &r.rel.Columns[r.columns[i].Source] }
func (r *reader) name(i int) string            { return "t." + pgx.Identifier{r.source(i).Name}.Sanitize() }

// chunk reads up to limit rows whose keys are above after, which is nil at the beginning.
func (r *reader) chunk(ctx context.Context, after []string, limit int, row func(values [][]byte) error) error {
	sql := "SELECT " + r.list + r.from
	var names []string
	var params [][]byte
	var oids []uint32
	for i, text := range after {
		names, params = append(names, fmt.Sprintf("$%d", i+1)), append(params, []byte(text))
		oids = append(oids, r.source(r.table.Key[i]).Type.Base)
	}
	if after != nil {
		sql += " WHERE (" + r.order + ") > (" + strings.Join(names, ", ") + ")"
	}
	return r.Query(ctx, sql+fmt.Sprintf(" ORDER BY %s LIMIT %d", r.order, limit), params, oids, row)
}

// lookup reads the rows of these keys, or only their key columns, so that the other values are nil; each key is a list
// of texts in key order. Keys without a row give none.
func (r *reader) lookup(ctx context.Context, keys [][]string, onlyKeys bool, row func(values [][]byte) error) error {
	var names, wants, arrays, aliases []string
	var params [][]byte
	var oids []uint32
	for i, k := range r.table.Key {
		name, want := r.name(k), fmt.Sprintf("k%d", i)
		aliases, arrays = append(aliases, want), append(arrays, fmt.Sprintf("pg_catalog.unnest($%d)", i+1))
		if r.source(k).Type.Kind == schemas.KindEnum { // a label that does not exist cannot be cast
			name = "pg_catalog.format('%s', " + name + ")" // a cast may be the type's owner's own, and run with our rights
		} else {
			want += "::" + r.keyTypes[i]
		}
		texts := make([]string, len(keys))
		for n, key := range keys {
			texts[n] = key[i]
		}
		array, err := pgtype.NewMap().Encode(pgtype.TextArrayOID, pgtype.TextFormatCode, texts, nil)
		if err != nil {
			return err
		}
		names, wants, params, oids = append(names, name), append(wants, want), append(params, array), append(oids, pgtype.TextArrayOID)
	}
	list := r.list
	if onlyKeys {
		list = r.order
		whole, each := make([][]byte, len(r.all)), row
		row = func(values [][]byte) error {
			for i, k := range r.table.Key {
				whole[k] = values[i]
			}
			return each(whole)
		}
	}
	sql := "SELECT " + list + r.from + " WHERE (" + strings.Join(names, ", ") + ") IN (SELECT " + strings.Join(wants, ", ") +
		" FROM ROWS FROM (" + strings.Join(arrays, ", ") + ") AS u(" + strings.Join(aliases, ", ") + "))"
	return r.Query(ctx, sql, params, oids, row)
}
