package pipeline

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"dirtbike/cdc"
	"dirtbike/config"

	"github.com/stretchr/testify/require"
)

// TestObstacles: whoever asks why a table is not captured is told what capture would say, and the statement that mends it; after
// it nothing keeps the table out.
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
	found, err := obstacles(ctx, c)
	require.NoError(t, err)
	require.NoFileExists(t, c.HashKeyFile())
	require.Len(t, found, 5, "%v", found)
	for table, says := range map[string]string{
		"public.keyless": "it has no primary key. Try: give public.keyless a primary key",
		"public.coded":   "different encodings",
		"public.dropped": "Try, in the config: keep or hash",
		"ward.Unread": `it is not in publication dirtbike and clerk may not add it; clerk may not use schema ward; clerk may not read it. ` +
			`Try, as the tables' owner: ALTER PUBLICATION dirtbike ADD TABLE ONLY ward."Unread"; GRANT USAGE ON SCHEMA ward TO clerk; GRANT SELECT ON TABLE ward."Unread" TO clerk`,
		"public.secured": "row-level security hides rows of it from clerk. Try, as a superuser: ALTER ROLE clerk BYPASSRLS",
	} {
		require.Contains(t, found[table], says, table)
		require.Regexp(t, `\. Try[^:]*: `, found[table], table)
	}
	exec("ALTER TABLE keyless ADD PRIMARY KEY (id)", "GRANT USAGE ON SCHEMA ward TO clerk", `GRANT SELECT ON TABLE ward."Unread" TO clerk`,
		`ALTER PUBLICATION dirtbike ADD TABLE ONLY ward."Unread"`, "ALTER ROLE clerk BYPASSRLS", "DROP TABLE coded")
	found, err = obstacles(ctx, c)
	require.NoError(t, err)
	require.Len(t, found, 1, "%v", found)
	require.Contains(t, found, "public.dropped", "only the config mends it")
}

// TestWhoMends: each statement is said to be a role's that may run it, and what stands in the config is told apart.
func TestWhoMends(t *testing.T) {
	unnamed := &config.Error{Problem: `column "id" belongs to the key of public.t and is not named. Try: keep or hash`}
	other := &config.Error{Problem: `column "nr" belongs to the key of public.t and is not named. Try: keep or hash`}
	refused := &cdc.Table{Schema: "public", Name: "t", Refused: cdc.OneLine(unnamed, other), RefusedByConfig: true}
	both := &cdc.Table{Schema: "public", Name: "t", Refused: cdc.OneLine(unnamed, errors.New("table public.t cannot be captured: it has no primary key. Try: give public.t a primary key"))}
	fine := &cdc.Table{Schema: "public", Name: "t"}
	lacks := right{role: "dirt", schema: "public", table: "public.t", publication: "dirtbike", usage: true}
	with := func(change func(*right)) right {
		r := lacks
		change(&r)
		return r
	}
	const add, read = "ALTER PUBLICATION dirtbike ADD TABLE ONLY public.t", "GRANT SELECT ON TABLE public.t TO dirt"
	for _, c := range []struct {
		table *cdc.Table
		right right
		try   string
	}{
		{fine, with(func(r *right) { r.ownerJoins = true }), ", as the tables' owner: " + add + "; " + read},
		{fine, with(func(r *right) { r.publisher = "boss" }), ", as boss, the publication's owner, or a superuser: " + add + "; as the tables' owner: " + read},
		{fine, lacks, ", as a superuser: " + add + "; " + read},
		{fine, with(func(r *right) { r.hidden, r.ownerJoins = true, true }), ", as a superuser: ALTER ROLE dirt BYPASSRLS; " + add + "; " + read},
		{fine, with(func(r *right) { r.published, r.usage = true, false }), ", as the schema's owner: GRANT USAGE ON SCHEMA public TO dirt; as the tables' owner: " + read},
		{refused, lacks, ", in the config: keep or hash; as a superuser: " + add + "; " + read},
		{refused, right{}, ", in the config: keep or hash"},
		{both, with(func(r *right) { r.selects, r.publisher = true, "boss" }), ": give public.t a primary key; in the config: keep or hash; as boss, the publication's owner, or a superuser: " + add},
	} {
		o := obstaclesOf(c.table, c.right)
		_, try, found := strings.Cut(o.String(), ". Try")
		require.True(t, found, o.String())
		require.Equal(t, c.try, try)
		require.NotContains(t, try, "Try")
	}
}
