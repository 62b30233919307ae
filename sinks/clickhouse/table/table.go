// Package table is the storage of one generation of a source table in ClickHouse and the view that shows it: their SQL,
// what the storage's columns are now, inserting blocks of rows, and reading rows back by their key.
package table

import (
	"cmp"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"dirtbike/cdc"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/block"
	"dirtbike/sinks/clickhouse/ledger"
)

// ErrContract is the kind of a problem with a storage table that is not as the registered schema wants it.
var ErrContract = errors.New("ClickHouse's storage is not as it was made: was it changed by hand?")

// ErrNoStorage says that a generation has no storage table; it is an ErrContract, too.
var ErrNoStorage = fmt.Errorf("%w It is not there", ErrContract)

// broken is a problem with the storage of a source table.
func broken(kind error, table, format string, args ...any) error {
	return cdc.Failed(format, args...).Of(kind).Fix("%s", cdc.ResnapshotCommand(table))
}

// ErrMisfit says that a record has other columns than the storage of its generation: following a change is not built
// yet.
var ErrMisfit = errors.New("the table's columns changed within generation")

// Table is the storage of one generation of a source table. It does not change, except which columns are Nullable: that
// is for the one goroutine that inserts.
type Table struct {
	Name       string         // quoted, with its database
	Generation uint32         // Generation of the source table
	Contract   *schemas.Table // what the table was made from, and SchemaID the registered schema that holds it
	SchemaID   int
	nullable   []bool // nullable says per column of the contract whether the storage column is Nullable now
}

// DB makes, reads and removes storage and views in one database. It is safe for concurrent use as far as each Table has
// one user. Its methods ask ClickHouse once, and may be called again after any error.
type DB struct {
	Ledger   *ledger.Ledger // its bookkeeping
	pool     *Pool
	database string
}

// NewDB is for the database that people query; storage is in its twin "<database>_raw". The pool remains the caller's.
func NewDB(books *ledger.Ledger, pool *Pool, database string) *DB { return &DB{books, pool, database} }

// Create makes the storage of a generation unless it is there, and learns how it is.
func (d *DB) Create(ctx context.Context, contract *schemas.Table, schemaID int, generation uint32) (*Table, error) {
	t := &Table{Name: d.storage(contract.Schema, contract.Name, generation), Generation: generation, Contract: contract, SchemaID: schemaID}
	if err := d.Ledger.Exec(ctx, "create storage", createStatement(t)); err != nil {
		return nil, err
	}
	return t, d.Describe(ctx, t)
}

// Open learns how the storage of a generation is that was made before; ErrNoStorage if it is not there.
func (d *DB) Open(ctx context.Context, contract *schemas.Table, schemaID int, generation uint32) (*Table, error) {
	t := &Table{Name: d.storage(contract.Schema, contract.Name, generation), Generation: generation, Contract: contract, SchemaID: schemaID}
	return t, d.Describe(ctx, t)
}

// storage gives the quoted name of a generation's table.
func (d *DB) storage(schema, table string, generation uint32) string {
	return schemas.ClickHouseIdent(schemas.StorageDatabase(d.database)) + "." + schemas.ClickHouseIdent(schemas.ClickHouseStorage(schema, table, generation))
}

// Describe reads which columns of the storage are Nullable now: another loader may have widened one.
func (d *DB) Describe(ctx context.Context, t *Table) error {
	var types map[string]string
	err := d.Ledger.Ask(ctx, "read the columns of "+t.Name, "SELECT mapFromArrays(groupArray(name), groupArray(type)) FROM system.columns"+d.inRaw()+
		" AND table = "+schemas.ClickHouseLiteral(schemas.ClickHouseStorage(t.Contract.Schema, t.Contract.Name, t.Generation)), &types)
	if err != nil {
		return err
	}
	if len(types) == 0 {
		return broken(ErrNoStorage, t.Contract.FullName(), "storage %s", t.Name)
	}
	nullable := make([]bool, len(t.Contract.Columns))
	for i := range t.Contract.Columns {
		c := &t.Contract.Columns[i]
		have := types[schemas.ClickHouseStorageColumn(c.Name)]
		switch compact(have) {
		case compact(schemas.ClickHouseType(c.Type, true)):
			nullable[i] = c.Type.Kind != schemas.KindArray
		case compact(schemas.ClickHouseType(c.Type, false)):
		default:
			return t.retyped(c.Name, have, schemas.ClickHouseType(c.Type, false))
		}
	}
	t.nullable = nullable
	return nil
}

func (t *Table) retyped(column, have, wants string) error {
	return broken(ErrContract, t.Contract.FullName(), "storage %s has column %s of type %q, the schema wants %s", t.Name, column, have, wants)
}

// inRaw is the condition that a system table's row is of the database of storage.
func (d *DB) inRaw() string {
	return " WHERE database = " + schemas.ClickHouseLiteral(schemas.StorageDatabase(d.database))
}

func compact(t string) string { return strings.ReplaceAll(t, " ", "") }

// Nullable reports whether a column of the contract is Nullable in ClickHouse.
func (t *Table) Nullable(column int) bool { return t.nullable[column] }

// Widen makes a column Nullable. The view must be made again then, since it still has the column's former type.
func (d *DB) Widen(ctx context.Context, t *Table, column int) error {
	c := &t.Contract.Columns[column]
	err := d.Ledger.Exec(ctx, fmt.Sprintf("widen column %s of %s", c.Name, t.Name),
		"ALTER TABLE "+t.Name+" MODIFY COLUMN "+schemas.ClickHouseIdent(schemas.ClickHouseStorageColumn(c.Name))+" "+schemas.ClickHouseType(c.Type, true))
	if err == nil {
		t.nullable[column] = true
	}
	return err
}

// createStatement is the DDL of the storage, which has the columns of a block; the comment lets a later session find
// the schema again. Dates and timestamps of the key sort as what the view shows, for those who ask by it, and then as
// exact integers, which tell apart what is shown alike.
func createStatement(t *Table) string {
	rows, types, comments := block.New(t.Contract), map[string]string{}, map[string]string{}
	for i := range t.Contract.Columns {
		c := &t.Contract.Columns[i]
		stored := schemas.ClickHouseStorageColumn(c.Name)
		types[stored], comments[stored] = schemas.ClickHouseType(c.Type, !c.Key && !c.NotNull), withComment(c.Comment)
	}
	var columns []string
	for _, c := range rows.Columns() {
		columns = append(columns, schemas.ClickHouseIdent(c.Name)+" "+cmp.Or(types[c.Name], string(c.Type()))+comments[c.Name])
	}
	return fmt.Sprintf("CREATE TABLE IF NOT EXISTS %s (%s) ENGINE = ReplacingMergeTree(%s, %s) ORDER BY (%s)%s COMMENT %s",
		t.Name, strings.Join(columns, ", "), schemas.ColVersion, schemas.ColDeleted, columnList(rows.SortingKey()),
		ledger.Durable+compactParts, schemas.ClickHouseLiteral(commentPrefix+strconv.Itoa(t.SchemaID)+"\n"+t.Contract.Comment))
}

// compactParts makes every inserted part one file instead of two for each column, which are all fsynced; what merges
// make larger has a file for each column again.
const compactParts = ", min_bytes_for_wide_part = 67108864"

// commentPrefix begins the comment of storage: the id of its schema follows, and on the next line the table's comment
// in the source.
const commentPrefix = "dirtbike schema "

// SchemaID reads from the storage of a generation which schema it was made from; ErrNoStorage if there is none.
func (d *DB) SchemaID(ctx context.Context, schema, table string, generation uint32) (int, error) {
	what := fmt.Sprintf("storage of %s.%s, generation %d", schema, table, generation)
	var comment string
	err := d.Ledger.Ask(ctx, what, "SELECT comment FROM system.tables"+d.inRaw()+
		" AND name = "+schemas.ClickHouseLiteral(schemas.ClickHouseStorage(schema, table, generation)), &comment)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, broken(ErrNoStorage, schema+"."+table, "%s", what)
	}
	if err != nil {
		return 0, err
	}
	number, _ := strings.CutPrefix(comment, commentPrefix)
	number, _, _ = strings.Cut(number, "\n") // what follows is the source's own
	id, err := strconv.Atoi(number)
	if err != nil {
		return 0, broken(ErrContract, schema+"."+table, "%s has no schema in its comment", what)
	}
	return id, nil
}

// Fits compares a record's table with the storage's; the error is an ErrMisfit.
func (t *Table) Fits(contract *schemas.Table, schemaID int) error {
	if t.SchemaID == schemaID {
		return nil
	}
	same := slices.EqualFunc(t.Contract.Columns, contract.Columns, func(a, b schemas.TableColumn) bool {
		return a.Name == b.Name && schemas.ClickHouseType(a.Type, false) == schemas.ClickHouseType(b.Type, false) && a.Key == b.Key
	})
	if !same || !slices.Equal(t.Contract.Key, contract.Key) {
		return cdc.Failed("generation %d", t.Generation).Of(ErrMisfit).Fix("%s", cdc.ResnapshotCommand(contract.FullName()))
	}
	return nil
}

// Stored lists the generations of a source table that have storage, also those of a former topic of its name.
func (d *DB) Stored(ctx context.Context, schema, table string) (generations []uint32, err error) {
	base := strings.TrimSuffix(schemas.ClickHouseStorage(schema, table, 0), "0")
	err = d.Ledger.Ask(ctx, fmt.Sprintf("list the storage of %s.%s", schema, table), // 0 is another table's
		fmt.Sprintf("SELECT arrayFilter(n -> n > 0, groupArray(toUInt32OrZero(substring(name, %d)))) FROM system.tables%s AND startsWith(name, %s)",
			len(base)+1, d.inRaw(), schemas.ClickHouseLiteral(base)), &generations)
	return generations, err
}

// Drop removes the storage of a generation, if it is there.
func (d *DB) Drop(ctx context.Context, schema, table string, generation uint32) error {
	return d.Ledger.Exec(ctx, fmt.Sprintf("drop generation %d of %s.%s", generation, schema, table), "DROP TABLE IF EXISTS "+d.storage(schema, table, generation))
}
