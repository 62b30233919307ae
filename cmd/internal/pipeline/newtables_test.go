package pipeline

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
	"dirtbike/cdc/postgres"
	"dirtbike/config"
	"dirtbike/docker/embedded/embeddedtest"
)

// TestObstacles: why a table is not captured is what capture would say, with the statement that fixes it; after that
// nothing keeps the table out.
func TestObstacles(t *testing.T) {
	ctx, stack, exec := postgresAlone(t)
	exec("CREATE ROLE clerk LOGIN PASSWORD 'clerk'", "CREATE SCHEMA ward", "CREATE TABLE good (id int PRIMARY KEY)", "GRANT SELECT ON good TO clerk",
		"CREATE TABLE keyless (id int)", "CREATE TABLE coded (id float8 PRIMARY KEY)", "CREATE TABLE dropped (id int PRIMARY KEY, ssn text)",
		`CREATE TABLE ward."Unread" (id int PRIMARY KEY)`, "CREATE TABLE secured (id int PRIMARY KEY)", "ALTER TABLE secured ENABLE ROW LEVEL SECURITY",
		"GRANT SELECT ON keyless, coded, dropped, secured TO clerk", "CREATE PUBLICATION dirtbike FOR TABLE good, keyless, coded, dropped, secured")
	at, err := url.Parse(stack.Postgres.URL())
	require.NoError(t, err)
	at.User = url.UserPassword("clerk", "clerk")
	c, err := config.Parse("a.yaml", fmt.Appendf(nil, `source: {url: %q, tables: ["*.*"]}
kafka: {brokers: ["k:9092"]}
registry: {url: "http://r:8081"}
clickhouse: {url: "clickhouse://c:9000"}
privacy: {mode: open, columns: {public.dropped: {id: drop, ssn: hash}}}
`, at.String()))
	require.NoError(t, err)
	var state cdc.State
	stored := func(context.Context) (*cdc.State, error) { return &state, nil }
	found, err := obstacles(ctx, c, stored)
	require.NoError(t, err)
	require.NoFileExists(t, c.HashKeyFile())
	require.Len(t, found, 5, "%v", found)
	for table, way := range map[string]cdc.Remedy{
		"public.keyless": {Command: `give public.keyless a primary key, or ALTER TABLE public.keyless REPLICA IDENTITY USING INDEX with a unique index on NOT NULL columns, ` +
			`or ALTER TABLE public.keyless REPLICA IDENTITY FULL, and name NOT NULL columns that have a unique index in source.keys, ` +
			`or exclude it with "!public.keyless" under source.tables`},
		"public.dropped": {Command: "in the config: keep or hash"},
		"ward.Unread": {By: "the tables' owner", Command: `ALTER PUBLICATION dirtbike ADD TABLE ONLY ward."Unread"; GRANT USAGE ON SCHEMA ward TO clerk; ` +
			`GRANT SELECT ON TABLE ward."Unread" TO clerk`},
		"public.secured": {By: "a superuser", Command: "ALTER ROLE clerk BYPASSRLS"},
	} {
		require.Equal(t, []cdc.Remedy{way}, found[table].Try, table)
	}
	require.Len(t, found["public.coded"].Try, 1)
	exec("ALTER TABLE keyless ADD PRIMARY KEY (id)", "GRANT USAGE ON SCHEMA ward TO clerk", `GRANT SELECT ON TABLE ward."Unread" TO clerk`,
		`ALTER PUBLICATION dirtbike ADD TABLE ONLY ward."Unread"`, "ALTER ROLE clerk BYPASSRLS", "DROP TABLE coded")
	found, err = obstacles(ctx, c, stored)
	require.NoError(t, err)
	require.Len(t, found, 1, "%v", found)
	require.Contains(t, found, "public.dropped", "only the config fixes it")
	var oid uint32
	require.NoError(t, embeddedtest.Connect(t, stack.Postgres.URL()).QueryRow(ctx, "SELECT 'public.good'::regclass::oid").Scan(&oid))
	state.Tables = map[string]cdc.TableState{"public.before": {OID: oid, PolicyPrint: "another"}}
	found, err = obstacles(ctx, c, stored)
	require.NoError(t, err)
	require.Equal(t, `name public.good under privacy.columns, if only by "*": keep`, found["public.good"].Try[0].Command, "in mode open it would leave as it is")
}

// TestWhoFixes: each statement is said to be a role's that may run it, apart from what is to be written in the config.
func TestWhoFixes(t *testing.T) {
	unnamed := &config.Error{What: `column "id" belongs to the key of public.t and is not named`, Try: "keep or hash"}
	other := &config.Error{What: `column "nr" belongs to the key of public.t and is not named`, Try: "keep or hash"}
	refused := &cdc.Table{Schema: "public", Name: "t", Refused: cdc.OneLine(unnamed, other), RefusedByConfig: true}
	both := &cdc.Table{Schema: "public", Name: "t", Refused: cdc.OneLine(unnamed, errors.New("table public.t cannot be captured: it has no primary key. Try: give public.t a primary key"))}
	fine := &cdc.Table{Schema: "public", Name: "t"}
	publication := &postgres.Publication{Name: "dirtbike", SQLName: "dirtbike", Found: true}
	none := &postgres.Publication{Name: "dirtbike"}
	with := func(change func(*postgres.Rights)) *postgres.Rights {
		r := &postgres.Rights{Role: "dirt", Schema: "public", Table: "public.t", Uses: true}
		change(r)
		return r
	}
	const add, read = "ALTER PUBLICATION dirtbike ADD TABLE ONLY public.t", "GRANT SELECT ON TABLE public.t TO dirt"
	for _, c := range []struct {
		table       *cdc.Table
		rights      *postgres.Rights
		publication *postgres.Publication
		way         cdc.Remedy
	}{
		{fine, with(func(r *postgres.Rights) { r.OwnerJoins = true }), publication, cdc.Remedy{By: tablesOwner, Command: add + "; " + read}},
		{fine, with(func(r *postgres.Rights) { r.Publisher = "boss" }), publication,
			cdc.Remedy{By: "boss, the publication's owner, or a superuser", Command: add + "; as the tables' owner: " + read}},
		{fine, with(func(*postgres.Rights) {}), publication, cdc.Remedy{By: superuser, Command: add + "; " + read}},
		{fine, with(func(r *postgres.Rights) { r.Hidden, r.OwnerJoins = true, true }), publication,
			cdc.Remedy{By: superuser, Command: "ALTER ROLE dirt BYPASSRLS; " + add + "; " + read}},
		{fine, with(func(r *postgres.Rights) { r.Uses = false }), none,
			cdc.Remedy{By: schemaOwner, Command: "GRANT USAGE ON SCHEMA public TO dirt; as the tables' owner: " + read}},
		{refused, with(func(*postgres.Rights) {}), publication, cdc.Remedy{Command: "in the config: keep or hash; as a superuser: " + add + "; " + read}},
		{refused, nil, publication, cdc.Remedy{Command: "in the config: keep or hash"}},
		{both, with(func(r *postgres.Rights) { r.Selects, r.Publisher = true, "boss" }), publication,
			cdc.Remedy{Command: "give public.t a primary key; in the config: keep or hash; as boss, the publication's owner, or a superuser: " + add}},
	} {
		o := obstaclesOf(c.table, c.rights, c.publication)
		require.Equal(t, []cdc.Remedy{c.way}, o.problem().Try)
	}
}
