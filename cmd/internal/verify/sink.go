package verify

import (
	"context"
	"fmt"
	"strings"

	"github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/ext"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"dirtbike/cdc"
	"dirtbike/cmd/internal/wait"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// sink reads one table's view in ClickHouse.
type sink struct {
	*plan
	conn           driver.Conn
	database, view string
	// key, row: expressions of the canonical texts; names: the key columns; values: expressions of a key from texts k0,
	// k1, …; from: the view, quoted.
	key, row, names, values, from string
}

func newSink(conn driver.Conn, database string, p *plan) *sink {
	s := &sink{plan: p, conn: conn, database: database, view: schemas.ClickHouseView(p.rel.Schema, p.rel.Name)}
	s.from = " FROM " + schemas.ClickHouseIdent(database) + "." + schemas.ClickHouseIdent(s.view)
	s.key, s.row = rowExpression(p.table, p.table.Key), rowExpression(p.table, p.all)
	var names, values []string
	for i, k := range p.table.Key {
		c := &p.table.Columns[k]
		names = append(names, schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name)))
		values = append(values, keyValue(&c.Type, fmt.Sprintf("k%d", i)))
	}
	s.names, s.values = strings.Join(names, ", "), strings.Join(values, ", ")
	return s
}

// rows reads keys and rows where the condition holds, in the order of the key if that is the same on both sides.
func (s *sink) rows(ctx context.Context, where string, each func(key, row string) error) error {
	sql := "SELECT " + s.key + " AS dirtbike_key, " + s.row + " AS dirtbike_row" + s.from + " WHERE " + where
	if s.ordered {
		sql += " ORDER BY " + s.names
	}
	var key, row string
	return wait.Query(ctx, s.conn, sql, []any{&key, &row}, func() error { return each(key, row) })
}

// keys reads the keys of all rows, in no order.
func (s *sink) keys(ctx context.Context, each func(key string) error) error {
	var key string
	return wait.Query(ctx, s.conn, "SELECT "+s.key+" AS dirtbike_key"+s.from, []any{&key}, func() error { return each(key) })
}

// among gives the condition that the key is one of these, and the context that carries them.
func (s *sink) among(ctx context.Context, keys []string) (context.Context, string, error) {
	var columns []func(*ext.Table) error
	for i := range s.table.Key {
		columns = append(columns, ext.Column(fmt.Sprintf("k%d", i), "String"))
	}
	table, err := ext.NewTable("dirtbike_keys", columns...)
	if err != nil {
		return ctx, "", err
	}
	values := make([]any, len(s.table.Key))
	for _, key := range keys {
		parts, err := fields(key)
		if err != nil || len(parts) != len(values) {
			return ctx, "", errForm
		}
		for i := range parts {
			values[i] = parts[i].value
		}
		if err := table.Append(values...); err != nil {
			return ctx, "", err
		}
	}
	return clickhouse.Context(ctx, clickhouse.WithExternalTable(table)), "(" + s.names + ") IN (SELECT " + s.values + " FROM dirtbike_keys)", nil
}

// lookup reads the rows of these canonical keys. It may give rows of other keys, too, that share a bound (rule 31).
func (s *sink) lookup(ctx context.Context, keys []string, each func(key, row string) error) error {
	ctx, where, err := s.among(ctx, keys)
	if err != nil {
		return err
	}
	return s.rows(ctx, where, each)
}

// versions gives the newest version stored for each of these keys, deleted rows included; without its ordinal.
func (s *sink) versions(ctx context.Context, keys []string) (map[string]cdc.Position, error) {
	storage, err := s.storage(ctx)
	if err != nil {
		return nil, err
	}
	ctx, where, err := s.among(ctx, keys)
	if err != nil {
		return nil, err
	}
	sql := "SELECT " + s.key + " AS dirtbike_key, toUInt32(bitShiftRight(max(dirtbike_version), 96)), " +
		"toUInt64(bitShiftRight(bitShiftLeft(max(dirtbike_version), 32), 64)) FROM " + s.stored(storage) + " WHERE " + where + " GROUP BY dirtbike_key"
	out := map[string]cdc.Position{}
	var key string
	var at cdc.Position
	return out, wait.Query(ctx, s.conn, sql, []any{&key, &at.Epoch, (*uint64)(&at.CommitLSN)}, func() error {
		out[key] = at
		return nil
	})
}

// stored gives the versions in a storage table, and the key columns by their names in the view.
func (s *sink) stored(storage string) string {
	columns := "v." + schemas.ColVersion + " AS dirtbike_version"
	for _, k := range s.table.Key {
		c := &s.table.Columns[k]
		columns += ", v." + schemas.ClickHouseIdent(schemas.ClickHouseStorageColumn(c.Name)) + " AS " + schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name))
	}
	if s.table.NeedsInexact() {
		columns += ", v." + schemas.ColInexact + " AS " + schemas.ColInexact
	}
	return "(SELECT " + columns + " FROM " + storage + " AS v)"
}

// storage finds the table of the generation that the view shows.
func (s *sink) storage(ctx context.Context) (string, error) {
	views, err := ledger.New(s.conn, s.database).Views(ctx)
	if err != nil {
		return "", wait.ClickHouseError(err)
	}
	for _, v := range views {
		if v.Name == s.view && v.Generation > 0 {
			name := schemas.ClickHouseStorage(s.rel.Schema, s.rel.Name, v.Generation)
			return schemas.ClickHouseIdent(schemas.StorageDatabase(s.database)) + "." + schemas.ClickHouseIdent(name), nil
		}
	}
	return "", cdc.Failed("view %s.%s shows none of dirtbike's storage tables", s.database, s.view).Fix("see who has replaced it")
}

// now is ClickHouse's clock in microseconds, if some column depends on it; otherwise 0.
func (s *sink) now(ctx context.Context) (at int64, err error) {
	if s.capped {
		err = wait.Query(ctx, s.conn, "SELECT toUnixTimestamp64Micro(now64(6))", []any{&at}, func() error { return nil })
	}
	return at, err
}
