package config_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/config"
)

const checked = `source: {url: "postgres://u@h/d", keys: {public.events: [source, sek], public.evens: [a]}}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
privacy:
  columns:
    public.patients: {id: hash, snn: drop, "*": mask}
    public.patient: {id: keep}
    public.visits: {seq: year}
  hash:
    domains: {mrn: [public.patients.mrn, public.visits.mnr, publik.visits.mrn]}
`

func relations() []config.Relation {
	return []config.Relation{
		{TableName: config.TableName{Schema: "public", Table: "patients"}, Columns: []string{"id", "ssn", "mrn", "tenant"}, Key: []string{"tenant", "id"}},
		{TableName: config.TableName{Schema: "public", Table: "visits"}, Columns: []string{"id", "seq", "mrn"}, Key: []string{"id", "seq"}},
		{TableName: config.TableName{Schema: "public", Table: "events"}, Columns: []string{"source", "seq"}},
	}
}

func TestPrivacyCheck(t *testing.T) {
	cfg, err := config.Parse("a.yaml", []byte(checked))
	require.NoError(t, err)
	requireProblems(t, cfg.Privacy.Check(relations()),
		`7:33 privacy.columns.public.patients.snn: "ssn"`,
		`7:44 privacy.columns.public.patients.*: "tenant": keep, or "tenant": hash, under privacy.columns.public.patients`,
		`8:5 privacy.columns.public.patient: remove it`,
		`9:5 privacy.columns.public.visits.id: "id": keep, or "id": hash, under privacy.columns.public.visits`,
		`9:21 privacy.columns.public.visits.seq: keep or hash`,
		`11:42 privacy.hash.domains.mrn[1]: "public.visits.mrn"`,
		`11:61 privacy.hash.domains.mrn[2]: "public.visits.mrn"`)
}

func TestCheckKeys(t *testing.T) {
	cfg, err := config.Parse("a.yaml", []byte(checked))
	require.NoError(t, err)
	requireProblems(t, cfg.Source.CheckKeys(relations()), `1:66 source.keys.public.events[1]: "seq"`, `1:72 source.keys.public.evens: remove it`)
}

// TestNamesThatAreNearNothing lists the existing names, but not all of a large database.
func TestNamesThatAreNearNothing(t *testing.T) {
	source := parse(t, strings.Replace(with(""), "/d\"", "/d\", keys: {sales.orders: [number]}", 1)).Source
	check := func(relations ...config.Relation) string {
		err := source.CheckKeys(relations)
		require.Error(t, err)
		return requireTry(t, err)[0]
	}
	require.Equal(t, "remove it", check())
	require.Equal(t, "one of public.events, public.patients, public.visits; or remove it", check(relations()...))
	var many []config.Relation
	for _, table := range "abcdefghi" {
		many = append(many, config.Relation{TableName: config.TableName{Schema: "public", Table: string(table)}})
	}
	require.Equal(t, "one of public.a, public.b, public.c, public.d, public.e, public.f, public.g, public.h, …; or remove it", check(many...))
	orders := config.Relation{TableName: config.TableName{Schema: "sales", Table: "orders"}, Columns: []string{"id", "day"}}
	require.Equal(t, "one of day, id; or remove it", check(orders))
}

// TestProblemsSayTheirTable: what concerns one table that is there can cost that table alone.
func TestProblemsSayTheirTable(t *testing.T) {
	cfg, err := config.Parse("a.yaml", []byte(checked))
	require.NoError(t, err)
	var errs config.Errors
	require.ErrorAs(t, cfg.Privacy.Check(relations()), &errs)
	var tables []string
	for _, e := range errs {
		tables = append(tables, e.Table)
	}
	require.Equal(t, []string{"public.patients", "public.patients", "", "public.visits", "public.visits", "public.visits", ""}, tables)
	require.ErrorAs(t, cfg.Source.CheckKeys(relations()), &errs)
	require.Equal(t, []string{"public.events", ""}, []string{errs[0].Table, errs[1].Table})
}

// TestCheckRenamed: a table whose policies are under its former name is not published without them.
func TestCheckRenamed(t *testing.T) {
	all := relations()
	const rules = "columns: {public.events: {source: keep}, public.clients: {ssn: drop}}"
	for _, test := range []struct {
		privacy string
		doubted []string
	}{
		{"{mode: open, " + rules + "}", []string{"public.patients", "public.visits"}},
		{"{mode: open, hash: {domains: {d: [public.clients.ssn]}}}", []string{"public.patients", "public.visits", "public.events"}},
		{"{mode: open, columns: {public.patients: {ssn: drop}}}", nil},
		{"{mode: open, columns: {public.patients: {snn: drop}}}", nil}, // it is refused itself
		{"{mode: allowlist, " + rules + "}", nil},
	} {
		err := parse(t, with("privacy: "+test.privacy)).Privacy.CheckRenamed(all, all)
		if test.doubted == nil {
			require.NoError(t, err, test.privacy)
			continue
		}
		var errs config.Errors
		require.ErrorAs(t, err, &errs, test.privacy)
		var doubted []string
		for _, e := range errs {
			doubted = append(doubted, e.Table)
			require.Contains(t, e.What, "public.clients")
			require.Contains(t, e.What, e.Table)
			require.Contains(t, e.Try, e.Table)
		}
		require.Equal(t, test.doubted, doubted, test.privacy)
	}
	var none *config.Privacy
	require.NoError(t, none.CheckRenamed(all, all))
}

func TestOpenModeNeedsNoNames(t *testing.T) {
	require.NoError(t, parse(t, with("")).Privacy.Check(relations()))
	require.NoError(t, parse(t, with("privacy: {mode: open}")).Privacy.Check(relations()))
	require.Error(t, parse(t, with("privacy: {}")).Privacy.Check(relations()), "allowlist is the default of a section")
}

func TestPolicyLookup(t *testing.T) {
	allow := parse(t, with(`privacy: {columns: {public.a: {x: hash, "*": mask}, public.b: {x: zip3}}, hash: {domains: {d: [public.a.x, public.c.d.y]}}}`)).Privacy
	open := parse(t, with(`privacy: {mode: open, columns: {public.b: {x: drop}}}`)).Privacy
	var none *config.Privacy
	tests := []struct {
		privacy       *config.Privacy
		table, column string
		want          config.Policy
		named         bool
	}{
		{allow, "a", "x", config.HashValue, true},
		{allow, "a", "other", config.Mask, true},
		{allow, "b", "x", config.Zip3, true},
		{allow, "b", "y", config.Drop, false},
		{allow, "c", "x", config.Drop, false},
		{open, "b", "x", config.Drop, true},
		{open, "b", "y", config.Keep, false},
		{none, "a", "x", config.Keep, false},
	}
	for _, test := range tests {
		policy, named := test.privacy.For("public", test.table, test.column)
		require.Equal(t, test.want, policy, test)
		require.Equal(t, test.named, named, test)
	}
	require.Equal(t, "d", allow.Domain("public", "a", "x"))
	require.Equal(t, "d", allow.Domain("public", "c.d", "y"))
	require.Equal(t, "x", allow.Domain("public", "b", "x"))
	require.Equal(t, "x", none.Domain("public", "b", "x"))
	require.True(t, allow.Hashes())
	require.False(t, open.Hashes())
	require.False(t, none.Hashes())
}

func TestPoliciesAreListed(t *testing.T) {
	require.Equal(t, []string{"keep", "drop", "mask", "hash", "zip3", "year"}, config.Policy("").Values())
}

// TestNothingTwice: what is proposed for a name that is gone is not in the file already, where it would be there twice.
func TestNothingTwice(t *testing.T) {
	c := parse(t, `source: {url: "postgres://u@h/d", tables: [sales.orders, sales.order], keys: {sales.orders: [id, nr], sales.order: [id]}}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
privacy: {columns: {sales.orders: {id: keep, idd: keep, nr: keep}, sales.order_items: {id: keep}, salez.customers: {id: keep}}, hash: {domains: {d: [sales.orders.nr, sales.order.nr, sales.orders.nrr]}}}`)
	relations := []config.Relation{
		{TableName: config.TableName{Schema: "sales", Table: "orders"}, Columns: []string{"id", "nr"}}, {TableName: config.TableName{Schema: "sales", Table: "customers"}, Columns: []string{"id"}},
	}
	names := []config.TableName{relations[0].TableName, relations[1].TableName}
	var said []string
	for _, err := range []error{c.Source.CheckGlobs(names), c.Source.CheckKeys(relations), c.Privacy.Check(relations)} {
		var problems config.Errors
		require.ErrorAs(t, err, &problems)
		for _, p := range problems {
			said = append(said, p.Key+": "+p.What+". Try: "+p.Try)
		}
	}
	require.ElementsMatch(t, []string{
		`source.tables[1]: "sales.order" matches no table of the database. Try: create the table first, or remove the glob`,
		`source.keys.sales.order: there is no table "sales.order". Try: remove it`,
		`privacy.columns.sales.orders.idd: table sales.orders has no column "idd". Try: remove it`,
		`privacy.columns.sales.order_items: there is no table "sales.order_items". Try: remove it`,
		`privacy.columns.salez.customers: there is no table "salez.customers". Try: "sales.customers"`,
		`privacy.hash.domains.d[1]: there is no table "sales.order". Try: remove it`,
		`privacy.hash.domains.d[2]: table sales.orders has no column "nrr". Try: remove it`,
	}, said)
}
