package pipeline

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"testing"
	"time"

	"dirtbike/config"
	"dirtbike/docker/embedded"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// TestObstacles: whoever asks why a table is not captured is told what capture would say, and the statement that mends it; after
// it nothing keeps the table out.
func TestObstacles(t *testing.T) {
	if _, err := exec.LookPath("npm"); err != nil {
		if os.Getenv("DIRTBIKE_REQUIRE_ALL") == "1" {
			t.Fatal("npm is missing. Try: apt-get install npm")
		}
		t.Skip("npm is missing. Try: apt-get install npm")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	stack, err := embedded.Start(ctx, embedded.Options{Dir: t.TempDir(), Parts: embedded.Parts{Postgres: true}})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, stack.Stop(context.Background())) })
	owner, err := pgx.Connect(ctx, stack.Postgres.URL())
	require.NoError(t, err)
	defer owner.Close(ctx)
	exec := func(statements ...string) {
		for _, sql := range statements {
			_, err := owner.Exec(ctx, sql)
			require.NoError(t, err, sql)
		}
	}
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
		"public.keyless": "it has no primary key. Try: ALTER TABLE public.keyless ADD PRIMARY KEY (…)",
		"public.coded":   "different encodings",
		"public.dropped": "key",
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
