package clickhouse

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/apply"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
)

// storage is the table of one generation, with the rows of the batch that go into it.
type storage struct {
	topic      *apply.Topic
	generation uint32
	table      *schemas.Table
	schemaID   int
	// name is quoted and has its database.
	name string
	// nullable says per column of the table what the storage column is now.
	nullable []bool
	// cuts are the versions below which rows are gone: by leaf, 0 for the whole table (rule 11).
	cuts map[uint32]cdc.Position

	segments []*block.Block // of the batch; the last one grows
	spare    []*block.Block
	bytes    int64
	inBatch  bool // it is among the batch's stores
	// latest finds the newest row of a key in the batch; nil until a record needs a base.
	latest map[string]block.Ref
	// latest knows all rows before this one.
	indexedSegments, indexedRows int
	deferred                     []deferred
	basesAtOnce                  int          // how many bases fill a batch, as far as is known
	keys                         *block.Block // one row: the key being looked up
	scratch                      []byte
}

// storageName gives the quoted name of a generation's table.
func storageName(database, schema, table string, generation uint32) string {
	return schemas.ClickHouseIdent(schemas.StorageDatabase(database)) + "." + schemas.ClickHouseIdent(schemas.ClickHouseStorage(schema, table, generation))
}

// current is the segment to which the next row goes.
func (s *storage) current() *block.Block {
	if n := len(s.segments); n > 0 && !s.segments[n-1].Full() {
		return s.segments[n-1]
	}
	var seg *block.Block
	if n := len(s.spare); n > 0 {
		seg, s.spare = s.spare[n-1], s.spare[:n-1]
	} else {
		seg = block.New(s.table)
	}
	s.segments = append(s.segments, seg)
	return seg
}

// clear forgets the batch's rows and keeps the segments' memory for the next batch.
func (s *storage) clear() {
	for _, seg := range s.segments {
		seg.Reset()
		s.spare = append(s.spare, seg)
	}
	clear(s.segments)
	s.segments = s.segments[:0]

	s.bytes, s.latest, s.deferred = 0, nil, nil
	s.indexedSegments, s.indexedRows = 0, 0
}

// isCut reports whether a truncation hides a row of this version and leaf.
func (s *storage) isCut(version cdc.Position, leaf uint32) bool {
	for _, l := range []uint32{0, leaf} {
		if cut, ok := s.cuts[l]; ok && version.Compare(cut) <= 0 {
			return true
		}
	}
	return false
}

// cut adds a truncation.
func (s *storage) cut(leaf uint32, version cdc.Position) {
	if version.Compare(s.cuts[leaf]) > 0 {
		s.cuts[leaf] = version
	}
}

// createStorage is the DDL of a generation's table; the comment lets a later session find the schema again.
func createStorage(name string, t *schemas.Table, schemaID int) string {
	var b strings.Builder
	b.WriteString("CREATE TABLE IF NOT EXISTS " + name + " (")
	var order []string
	for _, k := range t.Key {
		c := &t.Columns[k]
		column := schemas.ClickHouseColumn(c.Name)
		if schemas.KeyInteger(c.Type) {
			column = schemas.ColKeyPrefix + c.Name
			kind := "Int64"
			if c.Type.Kind == schemas.KindDate {
				kind = "Int32"
			}
			fmt.Fprintf(&b, "%s %s, ", schemas.ClickHouseIdent(column), kind)
		}
		order = append(order, schemas.ClickHouseIdent(column))
	}
	for i := range t.Columns {
		c := &t.Columns[i]
		fmt.Fprintf(&b, "%s %s, ", schemas.ClickHouseIdent(schemas.ClickHouseColumn(c.Name)), schemas.ClickHouseType(c.Type, !c.Key && !c.NotNull))
	}
	if t.NeedsInexact() {
		b.WriteString(schemas.ColInexact + " Map(String, String), ")
	}
	fmt.Fprintf(&b, "%s UInt128, %s UInt8, %s UInt32, %s UInt64, %s UInt32) ENGINE = ReplacingMergeTree(%s, %s) ORDER BY (%s)",
		schemas.ColVersion, schemas.ColDeleted, schemas.ColPartition, schemas.ColOffset, schemas.ColLeaf,
		schemas.ColVersion, schemas.ColDeleted, strings.Join(order, ", "))
	return b.String() + ledger.Durable + " COMMENT " + schemas.ClickHouseLiteral(commentPrefix+strconv.Itoa(schemaID))
}

const commentPrefix = "dirtbike schema "

// ensureStorage makes the generation's table if needed and learns how it is.
func (l *Loader) ensureStorage(ctx context.Context, g *apply.Generation, t *apply.Topic, table *schemas.Table, schemaID int) (*storage, error) {
	if l.stores[g] != nil {
		return l.stores[g], sameContract(l.stores[g], table, schemaID)
	}
	s := &storage{topic: t, generation: g.Number, table: table, schemaID: schemaID, name: storageName(l.o.Database, t.Schema, t.Rel, g.Number), cuts: map[uint32]cdc.Position{}}
	err := l.retry(ctx, "create storage of "+t.Table, func(ctx context.Context) error {
		if err := l.conn.Exec(ctx, createStorage(s.name, table, schemaID)); err != nil {
			return err
		}
		return l.describe(ctx, s)
	})
	if err != nil {
		return nil, err
	}
	l.stores[g] = s
	return s, nil
}

var errMisfit = errors.New("the table's columns changed within generation")

// sameContract compares a record's table with the storage's: following a change is not built yet.
func sameContract(s *storage, t *schemas.Table, schemaID int) error {
	if s.schemaID == schemaID {
		return nil
	}
	same := slices.EqualFunc(s.table.Columns, t.Columns, func(a, b schemas.TableColumn) bool {
		return a.Name == b.Name && schemas.ClickHouseType(a.Type, false) == schemas.ClickHouseType(b.Type, false) && a.Key == b.Key
	})
	if !same || !slices.Equal(s.table.Key, t.Key) {
		return fmt.Errorf("%w %d. Try: "+cdc.ResnapshotCommand(s.topic.Table), errMisfit, s.generation)
	}
	return nil
}

// describe reads which columns are Nullable, and the cuts.
func (l *Loader) describe(ctx context.Context, s *storage) error {
	types, err := l.columnTypes(ctx, s)
	if err != nil {
		return err
	}
	s.nullable = make([]bool, len(s.table.Columns))
	for i := range s.table.Columns {
		c := &s.table.Columns[i]
		have := types[schemas.ClickHouseColumn(c.Name)]
		switch compact(have) {
		case compact(schemas.ClickHouseType(c.Type, true)):
			s.nullable[i] = c.Type.Kind != schemas.KindArray
		case compact(schemas.ClickHouseType(c.Type, false)):
		default:
			return fmt.Errorf("storage %s has column %s of type %q, the schema wants %s: %w", s.name, c.Name, have, schemas.ClickHouseType(c.Type, false), errContract)
		}
	}
	cuts, err := l.ledger.Cuts(ctx, s.topic.Name, s.generation)
	for leaf, at := range cuts {
		s.cut(leaf, at) // beside those of the batch
	}
	return err
}

func compact(t string) string { return strings.ReplaceAll(t, " ", "") }

func (l *Loader) columnTypes(ctx context.Context, s *storage) (map[string]string, error) {
	rows, err := l.conn.Query(ctx, "SELECT name, type FROM system.columns WHERE database = "+schemas.ClickHouseLiteral(schemas.StorageDatabase(l.o.Database))+
		" AND table = "+schemas.ClickHouseLiteral(schemas.ClickHouseStorage(s.topic.Schema, s.topic.Rel, s.generation)))
	if err != nil {
		return nil, err
	}
	defer rows.Close() //nolint:errcheck // Err tells below
	types := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, err
		}
		types[name] = kind
	}
	return types, rows.Err()
}
