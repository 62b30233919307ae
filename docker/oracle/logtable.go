package oracle

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
)

// logTable is what the catalog says about a table that test_decoding names.
type logTable struct {
	root        relName // itself, unless it is a partition
	leaf        string  // "schema.name" of a partition
	partitioned bool
	key         []string
	types       map[string]pgType // of the key columns
}

// table gives a table, which it looks up in the catalog once.
func (r *changeReader) table(ctx context.Context, pg *pgx.Conn, name relName) (*logTable, error) {
	if t := r.tables[name]; t != nil {
		return t, nil
	}
	t, err := r.lookUp(ctx, pg, name)
	if err != nil {
		return nil, fmt.Errorf("oracle: look up %s.%s: %w", name.schema, name.name, err)
	}
	r.tables[name] = t
	return t, nil
}

// lookUp reads a table's root, key and key types.
func (r *changeReader) lookUp(ctx context.Context, pg *pgx.Conn, name relName) (*logTable, error) {
	t := logTable{types: map[string]pgType{}}
	quoted := pgx.Identifier{name.schema, name.name}.Sanitize()
	err := pg.QueryRow(ctx, `SELECT n.nspname::text, root.relname::text, c.relkind = 'p' FROM pg_class c
		JOIN pg_class root ON root.oid = coalesce(pg_partition_root(c.oid), c.oid) JOIN pg_namespace n ON n.oid = root.relnamespace
		WHERE c.oid = $1::text::regclass`, quoted).Scan(&t.root.schema, &t.root.name, &t.partitioned)
	if err != nil {
		return nil, err
	}
	if t.root != name {
		t.leaf = name.schema + "." + name.name
	}
	if t.key = r.log.Keys[t.root.schema+"."+t.root.name]; len(t.key) == 0 {
		if t.key, err = catalogKey(ctx, pg, quoted); err != nil {
			return nil, err
		}
	}
	rows, err := pg.Query(ctx, `SELECT attname::text, atttypid, atttypmod FROM pg_attribute
		WHERE attrelid = $1::text::regclass AND attname = ANY($2::text[])`, quoted, t.key)
	if err != nil {
		return nil, err
	}
	type column struct {
		Name   string
		OID    uint32
		Typmod int32
	}
	columns, err := pgx.CollectRows(rows, pgx.RowToStructByPos[column])
	if err != nil {
		return nil, err
	}
	for _, c := range columns {
		if t.types[c.Name], err = resolveType(ctx, pg, c.OID, c.Typmod); err != nil {
			return nil, err
		}
	}
	return &t, nil
}

// fill sets operation and keys from a parsed line.
func (t *logTable) fill(change *Change, line decodedLine) (err error) {
	switch line.op {
	case decodedTruncate:
		change.Op = OpTruncate
		return nil
	case decodedInsert:
		change.Op = OpCreate
		change.NewKey, err = t.keyText(line.new, nil)
	case decodedDelete:
		change.Op = OpDelete
		change.OldKey, err = t.keyText(line.old, nil)
	case decodedUpdate:
		change.Op = OpUpdate
		if change.NewKey, err = t.keyText(line.new, line.old); err != nil {
			return err
		}
		change.OldKey = change.NewKey
		if len(line.old) > 0 {
			change.OldKey, err = t.keyText(line.old, nil)
		}
	case decodedBegin, decodedCommit, decodedMessage:
		return errors.New("not a row's line")
	}
	return err
}

// keyText picks the key columns. One whose toasted value did not change is taken from the old tuple, which then has it.
// A table without a key, or a delete without a tuple, has no key text: if it is captured all the same, no record
// matches it.
func (t *logTable) keyText(columns, old []decodedColumn) (map[string]string, error) {
	if len(t.key) == 0 || len(columns) == 0 {
		return nil, nil
	}
	key := make(map[string]string, len(t.key))
	for _, name := range t.key {
		is := func(c decodedColumn) bool { return c.name == name && !c.unchanged }
		i, from := slices.IndexFunc(columns, is), columns
		if i < 0 {
			i, from = slices.IndexFunc(old, is), old
		}
		if i < 0 {
			return nil, fmt.Errorf("key column %q is not in the line", name)
		}
		if from[i].null {
			return nil, fmt.Errorf("key column %q is null", name)
		}
		var err error
		if key[name], err = keyValue(t.types[name], from[i].text); err != nil {
			return nil, fmt.Errorf("key column %q: %w", name, err)
		}
	}
	return key, nil
}
