package verify

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc/postgres/catalog"
	"dirtbike/docker/embedded"
	"dirtbike/docker/embedded/embeddedtest"
	"dirtbike/schemas"
	"dirtbike/sinks/clickhouse/ledger"
)

// stack is the tests' Postgres and ClickHouse, started by the first test that needs them.
var stack = embeddedtest.ShareEmbedded(embedded.Options{Parts: embedded.Parts{Postgres: true, ClickHouse: true}})

func TestMain(m *testing.M) { embeddedtest.Main(m, stack) }

// clinic is a Postgres database and its ClickHouse side, as load would have made it.
type clinic struct {
	t        testing.TB
	url      string
	pg       *pgx.Conn
	ch       driver.Conn
	database string
	policies schemas.Policies
}

func newClinic(t testing.TB) *clinic {
	t.Helper()
	s := stack.Get(t)
	c := &clinic{t: t, database: embeddedtest.Name(), policies: keepAll{}}
	require.NoError(t, s.Postgres.CreateDatabase(t.Context(), c.database))
	c.url = s.Postgres.DatabaseURL(c.database)
	c.pg, c.ch = embeddedtest.Connect(t, c.url), embeddedtest.ClickHouse(t, s.ClickHouse.URL())
	c.ddl()
	return c
}

// ddl makes what load keeps in addition to the storage, reduced to what verify reads.
func (c *clinic) ddl() {
	c.sink("CREATE DATABASE DB ENGINE = Atomic")
	c.sink("CREATE DATABASE DB_raw ENGINE = Atomic")
	c.sink("CREATE TABLE DB_raw.complete (table String, epoch UInt32, lsn UInt64, commit_time DateTime64(6,'UTC'), exact UInt8, version UInt64) ENGINE = ReplacingMergeTree(version) ORDER BY table")
	c.sink("CREATE TABLE DB_raw.cuts (topic String, generation UInt32, leaf UInt32, version UInt128) ENGINE = ReplacingMergeTree ORDER BY (topic, generation, leaf, version)")
	c.sink("CREATE TABLE DB_raw.quarantine (table String, leg String, reason String, open UInt8, version UInt64, generation UInt32 ALIAS 0) ENGINE = ReplacingMergeTree(version) ORDER BY (table, leg)")
	c.sink("CREATE VIEW DB.complete_up_to AS SELECT table, epoch, lsn, commit_time, exact, toUInt64(0) AS dead_letters FROM DB_raw.complete FINAL" +
		" SETTINGS limit = 0, log_comment = 'dirtbike complete_up_to of a test'")
}

// source runs a statement on Postgres.
func (c *clinic) source(sql string) {
	c.t.Helper()
	_, err := c.pg.Exec(c.t.Context(), sql)
	require.NoError(c.t, err, sql)
}

// sink runs a statement on ClickHouse; DB is replaced by the database's name.
func (c *clinic) sink(sql string) {
	c.t.Helper()
	sql = strings.NewReplacer("DB_raw", c.database+"_raw", "DB", c.database).Replace(sql)
	require.NoError(c.t, c.ch.Exec(c.t.Context(), sql), sql)
}

var completeVersion int

// complete sets a row of complete_up_to.
func (c *clinic) complete(table string, lsn uint64, exact int) {
	c.t.Helper()
	completeVersion++
	c.sink(fmt.Sprintf("INSERT INTO DB_raw.complete VALUES ('%s', 1, %d, now64(6), %d, %d)", table, lsn, exact, completeVersion))
}

// far lies beyond every position of a test's log.
const far = uint64(1) << 62

// everything selects all tables.
type everything struct{}

func (everything) Match(string, string) bool       { return true }
func (everything) Names(string, string) bool       { return false }
func (everything) Check([]*schemas.Relation) error { return nil }

// keepAll has no policy.
type keepAll struct{}

func (keepAll) For(*schemas.Relation, int) (schemas.Transform, bool, error) { return nil, true, nil }

func (c *clinic) relations() []*schemas.Relation {
	c.t.Helper()
	relations, refused, err := catalog.ListCaptured(c.t.Context(), c.pg, everything{}, nil)
	require.NoError(c.t, err)
	require.Empty(c.t, refused)
	return relations
}

// storage makes storage (generation 2) and view of a table of Postgres, complete up to anything.
func (c *clinic) storage(name string) *schemas.Relation {
	c.t.Helper()
	relations := c.relations()
	rel := relations[slices.IndexFunc(relations, func(r *schemas.Relation) bool { return r.Name == name })]
	table, err := schemas.NewTable(rel, schemas.TopicName("clinic", rel.Schema, rel.Name), c.policies)
	require.NoError(c.t, err)
	view := schemas.ClickHouseView(rel.Schema, rel.Name)
	var columns, order, shown []string
	inexact := false
	for i := range table.Columns {
		col := &table.Columns[i]
		stored := schemas.ClickHouseIdent(schemas.ClickHouseStorageColumn(col.Name))
		shown = append(shown, "s."+stored+" AS "+schemas.ClickHouseIdent(schemas.ClickHouseColumn(col.Name)))
		columns = append(columns, stored+" "+schemas.ClickHouseType(col.Type, !col.Key && !col.NotNull))
		inexact = inexact || col.Inexact()
	}
	for _, k := range table.Key {
		if schemas.KeyInteger(table.Columns[k].Type) {
			columns = append(columns, schemas.ColKeyPrefix+table.Columns[k].Name+" Int64")
			order = append(order, schemas.ColKeyPrefix+table.Columns[k].Name)
			continue
		}
		order = append(order, schemas.ClickHouseIdent(schemas.ClickHouseStorageColumn(table.Columns[k].Name)))
	}
	if inexact {
		shown, columns = append(shown, "_inexact"), append(columns, "_inexact Map(String, String)")
	}
	c.sink("CREATE TABLE DB_raw." + view + "__g2 (" + strings.Join(columns, ", ") + ", _version UInt128, _deleted UInt8, _leaf UInt32 ALIAS 0) ENGINE = ReplacingMergeTree(_version, _deleted) ORDER BY (" + strings.Join(order, ", ") + ")")
	cuts := "(SELECT toUInt32(0) AS leaf, toUInt128(0) AS version UNION ALL SELECT leaf, version FROM DB_raw.cuts WHERE topic = " + schemas.ClickHouseLiteral(table.Topic) + " AND generation = 2)"
	c.view(view, "WITH (SELECT max(version) FROM "+cuts+" WHERE leaf = 0) AS _dirtbike_cut,"+
		" (SELECT maxMap(map(leaf, version)) FROM "+cuts+") AS _dirtbike_leaves SELECT "+strings.Join(shown, ", ")+" FROM DB_raw."+view+"__g2 AS s FINAL"+
		" WHERE s._deleted = 0 AND s._version > _dirtbike_cut AND (s._leaf = 0 OR s._version > _dirtbike_leaves[s._leaf])")
	c.complete(rel.FullName(), far, 1)
	return rel
}

// view makes a view of generation 2 in the place of what has its name; DB is replaced by the database's name.
func (c *clinic) view(name, query string) {
	c.t.Helper()
	query = strings.ReplaceAll(query, "DB", c.database) + ledger.ViewSettings
	require.NoError(c.t, ledger.New(c.ch, c.database).CreateView(c.t.Context(), ledger.ViewDefinition{Name: name, Query: query}, 2))
}

// options compare everything in small chunks.
func (c *clinic) options() Options {
	c.t.Helper()
	return Options{
		Source: c.url, ClickHouse: c.ch, Database: c.database, Tables: c.relations(), Policies: c.policies, Prefix: "clinic",
		ChunkRows: 3, Timeout: 20 * time.Second,
	}
}

// verify compares everything.
func (c *clinic) verify(change ...func(*Options)) (Report, error) {
	c.t.Helper()
	o := c.options()
	for _, f := range change {
		f(&o)
	}
	return Run(c.t.Context(), o)
}

// version writes a position as the SQL of a _version.
func version(lsn uint64, ordinal int) string {
	return fmt.Sprintf("bitShiftLeft(toUInt128(1), 96) + bitShiftLeft(toUInt128(%d), 32) + %d", lsn, ordinal)
}
