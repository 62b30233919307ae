package verify

import (
	"context"
	"fmt"
	"strings"

	"dirtbike/cmd/internal/wait"
	"dirtbike/schemas"

	"github.com/jackc/pgx/v5"
)

// reader makes the statements that read one table.
type reader struct {
	*plan
	*wait.Source
	list, from, order string
	// keyTypes are the names of the key columns' types, without typmod; of a domain, its base type.
	keyTypes []string
}

func newReader(ctx context.Context, s *wait.Source, p *plan) (*reader, error) {
	r := &reader{plan: p, Source: s, from: "ONLY " + pgx.Identifier{p.rel.Schema, p.rel.Name}.Sanitize() + " AS t"}
	var list, order []string
	for i := range p.columns {
		list = append(list, r.name(&p.columns[i]))
	}
	for _, k := range p.table.Key {
		c := &p.columns[k]
		order = append(order, r.name(c))
		// typmod -1 names char(n) bpchar: a cast to character would cut it
		typ, err := s.Text(ctx, fmt.Sprintf("SELECT format_type(%d, -1)", p.rel.Columns[c.Source].Type.Base))
		if err != nil {
			return nil, err
		}
		r.keyTypes = append(r.keyTypes, typ)
	}
	r.list, r.order = strings.Join(list, ", "), strings.Join(order, ", ")
	return r, nil
}

// name quotes the column's name in the source.
func (r *reader) name(c *column) string {
	return "t." + pgx.Identifier{r.rel.Columns[c.Source].Name}.Sanitize()
}

// chunk reads up to limit rows whose keys are above after, which is nil at the beginning.
func (r *reader) chunk(ctx context.Context, after [][]byte, limit int, row func(values [][]byte) error) error {
	sql := "SELECT " + r.list + " FROM " + r.from
	var oids []uint32
	if after != nil {
		params := make([]string, len(after))
		for i, k := range r.table.Key {
			params[i] = fmt.Sprintf("$%d", i+1)
			oids = append(oids, r.rel.Columns[r.columns[k].Source].Type.Base)
		}
		sql += " WHERE (" + r.order + ") > (" + strings.Join(params, ", ") + ")"
	}
	sql += fmt.Sprintf(" ORDER BY %s LIMIT %d", r.order, limit)
	return r.Query(ctx, sql, after, oids, row)
}

// lookup reads the rows of these keys, or only their key columns; each key is a list of texts in key order. Keys
// without a row give none.
func (r *reader) lookup(ctx context.Context, keys [][]string, onlyKeys bool, row func(values [][]byte) error) error {
	const textArrayOID = 1009
	names, wants, arrays := make([]string, len(r.keyTypes)), make([]string, len(r.keyTypes)), make([]string, len(r.keyTypes))
	params, oids := make([][]byte, len(r.keyTypes)), make([]uint32, len(r.keyTypes))
	for i, k := range r.table.Key {
		c := &r.columns[k]
		names[i], wants[i], arrays[i] = r.name(c), fmt.Sprintf("k%d::%s", i, r.keyTypes[i]), fmt.Sprintf("$%d", i+1)
		if r.rel.Columns[c.Source].Type.Kind == schemas.KindEnum { // a label that does not exist cannot be cast
			names[i], wants[i] = names[i]+"::text", fmt.Sprintf("k%d", i)
		}
		params[i], oids[i] = textArray(keys, i), textArrayOID
	}
	aliases := make([]string, len(r.keyTypes))
	for i := range aliases {
		aliases[i] = fmt.Sprintf("k%d", i)
	}
	list := r.list
	if onlyKeys {
		list = r.order
	}
	sql := "SELECT " + list + " FROM " + r.from + " WHERE (" + strings.Join(names, ", ") + ") IN (SELECT " + strings.Join(wants, ", ") +
		" FROM unnest(" + strings.Join(arrays, ", ") + ") AS u(" + strings.Join(aliases, ", ") + "))"
	return r.Query(ctx, sql, params, oids, row)
}

// textArray writes the texts at position i of all keys as a text[].
func textArray(keys [][]string, i int) []byte {
	out := []byte{'{'}
	for n, key := range keys {
		if n > 0 {
			out = append(out, ',')
		}
		out = append(out, '"')
		for _, c := range []byte(key[i]) {
			if c == '"' || c == '\\' {
				out = append(out, '\\')
			}
			out = append(out, c)
		}
		out = append(out, '"')
	}
	return append(out, '}')
}
