package main

import (
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"

	"dirtbike/docker/embedded/embeddedtest"
)

// environmentSchema has values whose text depends on a session's settings, keys that verify looks up, and a value that
// only a re-read gives.
const environmentSchema = `
CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a int, of mood);
CREATE TABLE things (id bigint PRIMARY KEY, mood mood, moods mood[], pair pair, c regclass, t regtype, p regprocedure, m money, iv interval,
  at timestamptz, day date, f float8, r real, b bytea, ip inet, ch "char", x xml, n numeric, span daterange);
INSERT INTO things SELECT i, 'bad', '{good,NULL}', '(1,good)'::pair, 'things', 'mood', 'pg_catalog.now()', 1234.5, '1 year 2 days -3:04:05.6',
  '2024-02-03 04:05:06.789+00', '2024-02-03', 0.1 + 0.2, 1.0 / 3, '\x00ff27', '127.0.0.1', 'x', '<a/>', 1.50, '[2024-02-03,2024-03-04)' FROM generate_series(1, 300) i;
CREATE TABLE moods (mood mood PRIMARY KEY, v text); INSERT INTO moods VALUES ('good', 'x'), ('bad', 'y');
CREATE TABLE docs (k text, n int, v text, mood mood, PRIMARY KEY (k, n)); ALTER TABLE docs ALTER v SET STORAGE EXTERNAL;
INSERT INTO docs SELECT 'k' || i, i, repeat('doc', 1000), 'good' FROM generate_series(1, 50) i;`

// TestEnvironment runs every verb as a role whose settings, and those of its database, change what SQL means, how
// values print, and how long a session lasts, in a database where somebody has made functions and operators that fit
// our SQL better than Postgres' own, and as a user of ClickHouse whose profile changes what SQL means, how values
// print, what is stored and how long a statement may take: the rows are equal, and no function of somebody's has run.
func TestEnvironment(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, environmentSchema)
	house := r.privateClickHouse()
	profile := maps.Clone(embeddedtest.HostileClickHouse)
	delete(profile, "limit") // these two are refused (sinks/clickhouse, TestProfiles)
	delete(profile, "offset")
	r.extra.clickHouse = embeddedtest.AddClickHouseUser(t, house, "hostile", profile)
	r.exec("ALTER DATABASE " + r.name + " SET track_functions = 'all'") // counts calls, also of what is rolled back
	planted := plant(r)
	r.asHostileRole()
	l := r.start("run")
	r.wait()
	r.exec(`SET search_path = pg_catalog, public; UPDATE docs SET k = 'moved' WHERE n = 7; UPDATE things SET mood = 'good' WHERE id < 10;
		INSERT INTO things (id, c, m) VALUES (1000, 'docs', '-2.25'); DELETE FROM docs WHERE n = 9; TRUNCATE docs; INSERT INTO docs VALUES ('a', 1, 'b', 'bad')`)
	r.verbsSucceed()
	l.stop()
	code, out, errs := r.verb("resnapshot", "public.moods")
	require.Zero(t, code, out+errs)
	r.exec("CREATE TABLE public.later (id int PRIMARY KEY, c pg_catalog.regclass); INSERT INTO public.later VALUES (1, 'public.later')")
	l = r.start("run") // it adds the table to the publication, though the role's transactions are read only
	r.wait()
	r.exec("INSERT INTO public.docs VALUES ('large', 2, pg_catalog.repeat('x', 9000), 'good')")
	r.exec("UPDATE public.docs SET k = 'moved' WHERE n = 2") // the log has neither the former row nor the large value
	r.verbsSucceed()
	l.stop()
	embeddedtest.AddClickHouseUser(t, house, "hostile", nil) // its profile counts in the views that others read
	r.equalAll()
	require.Empty(t, r.called(planted, 0), "functions of somebody's have run")

	r.exec("SET search_path = public, pg_catalog; SELECT format('%s', 'x'::text)")
	require.Equal(t, []string{"format"}, r.called(planted, 1), "one that runs is noticed")
}

// asHostileRole makes the config log in as a superuser whose settings, and whose database's, are hostile.
func (r *rig) asHostileRole() {
	r.Helper()
	role := r.name + "_role"
	conn := r.pg()
	server, err := url.Parse(r.url)
	require.NoError(r, err)
	admin := pgx.Identifier{conn.Config().User}.Sanitize()
	embeddedtest.ExecOn(r, conn, "CREATE ROLE "+role+" SUPERUSER LOGIN PASSWORD 'pw'")
	for name := range embeddedtest.HostileSettings { // the test's own sessions stay as they are
		embeddedtest.ExecOn(r, conn, "ALTER ROLE "+admin+" IN DATABASE "+r.name+" SET "+name+" FROM CURRENT")
	}
	embeddedtest.ExecOn(r, conn, "ALTER ROLE "+admin+" IN DATABASE "+r.name+" SET search_path = pg_catalog, public")
	for _, whose := range []string{"ROLE " + role, "DATABASE " + r.name, "ROLE " + role + " IN DATABASE " + r.name} {
		embeddedtest.MakeHostile(r, conn, whose)
	}
	own := r.url
	server.User = url.UserPassword(role, "pw")
	r.url = server.String()
	r.writeConfig()
	r.url = own
}

// verbsSucceed asks every verb that asks Postgres.
func (r *rig) verbsSucceed() {
	r.Helper()
	r.wait()
	config, err := os.ReadFile(r.config)
	require.NoError(r, err)
	source := regexp.MustCompile(`url: "(postgres[^"]+)"`).FindStringSubmatch(string(config))[1]
	for _, verb := range [][]string{{"verify"}, {"status"}, {"check"}, {"inventory"}, {"purge", "public.things"}} {
		code, out, errs := r.verb(verb...)
		require.Zero(r, code, "%v: %s%s", verb, out, errs)
	}
	var out strings.Builder
	file := filepath.Join(r.dir, "drafted.yaml")
	code := execute(r.Context(), []string{"init", "--source", source, "--out", file, "--force"}, &out, &out, nil)
	require.Zero(r, code, out.String())
	drafted, err := os.ReadFile(file)
	require.NoError(r, err)
	require.Contains(r, string(drafted), `- "public.things"`)
}

// called gives the planted functions that have run at least so often, once that many are known: a session reports its
// calls when it ends.
func (r *rig) called(planted []string, least int) (names []string) {
	r.Helper()
	conn := r.pg()
	ask := func() bool {
		rows, _ := conn.Query(r.Context(), `SELECT DISTINCT funcname::text FROM pg_stat_user_functions WHERE schemaname = 'public' AND calls > 0`)
		all, err := pgx.CollectRows(rows, pgx.RowTo[string])
		require.NoError(r, err)
		names = slices.DeleteFunc(all, func(name string) bool { return !slices.Contains(planted, name) })
		return len(names) >= least
	}
	require.Eventually(r, ask, 10*time.Second, 50*time.Millisecond)
	return names
}

// ourFunction is how our SQL calls a function; that it calls none without its schema is a rule of the project.
var ourFunction = regexp.MustCompile(`pg_catalog\.([a-z_0-9]+)\(`)

// ourFunctions are those that our SQL calls, whichever they are by now.
func ourFunctions(t *testing.T) (names []string) {
	t.Helper()
	for _, root := range []string{"../../cdc", "../internal"} {
		require.NoError(t, filepath.WalkDir(root, func(path string, _ fs.DirEntry, err error) error {
			if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			text, err := os.ReadFile(path)
			for _, m := range ourFunction.FindAllStringSubmatch(string(text), -1) {
				names = append(names, m[1])
			}
			return err
		}))
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// plant makes, in public, functions with the names of ours: with the arguments of Postgres' own, and, where those take
// any type, with types that fit better; and operators with the names of all of Postgres' comparisons and of those in
// our SQL, with the same operands. It gives the names of the functions.
func plant(r *rig) []string {
	r.Helper()
	names := append(ourFunctions(r.T), "planted")
	require.Contains(r, names, "format")
	conn := r.pg()
	_, err := conn.Exec(r.Context(), "SELECT set_config('plant.names', $1, false)", strings.Join(names, ","))
	require.NoError(r, err)
	embeddedtest.ExecOn(r, conn, "SET search_path = pg_catalog", plantSQL) // or it would call what it has planted
	embeddedtest.ExecOn(r, conn, "CREATE FUNCTION public.planted(public.mood) RETURNS text LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END'",
		"CREATE CAST (public.mood AS text) WITH FUNCTION public.planted(public.mood)") // which no search_path keeps out
	var functions, operators int
	require.NoError(r, conn.QueryRow(r.Context(), `SELECT (SELECT count(*) FROM pg_proc WHERE pronamespace = 'public'::regnamespace)::int,
		(SELECT count(*) FROM pg_operator WHERE oprnamespace = 'public'::regnamespace)::int`).Scan(&functions, &operators))
	require.Greater(r, functions, 3*len(names))
	require.Greater(r, operators, 100)
	return names
}

// plantSQL replaces pseudo-types: "any" by what our SQL gives, up to three of them where there may be more. What cannot
// be made (an operator that needs the same type twice, a name that is a type's) is passed over.
const plantSQL = `DO $$
DECLARE
  body text := ' RETURNS text LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END''';
  types text[] := '{text,name,int2,int4,oid,xid,inet,regclass,bool}';
  one record; list text;
BEGIN
  FOR one IN
    SELECT DISTINCT p.proname, p.provariadic <> 0 AS more, array_length(p.proargtypes::oid[], 1) AS n,
      ARRAY(SELECT format_type(a.type, NULL) FROM unnest(p.proargtypes::oid[]) WITH ORDINALITY a(type, at) ORDER BY at) AS arguments
    FROM pg_proc p WHERE p.pronamespace = 'pg_catalog'::regnamespace AND p.proname = ANY (string_to_array(current_setting('plant.names'), ','))
  LOOP
    FOR list IN
      SELECT array_to_string(one.arguments, ',') WHERE NOT '"any"' = ANY (one.arguments)
      UNION SELECT array_to_string(array_replace(one.arguments, 'anyarray', t || '[]'), ',') FROM unnest(types) t WHERE 'anyarray' = ANY (one.arguments)
      UNION SELECT array_to_string(array_replace(one.arguments, '"any"', t), ',') FROM unnest(types) t WHERE '"any"' = ANY (one.arguments)
      UNION SELECT array_to_string(array_replace(one.arguments, 'anynonarray', t), ',') FROM unnest(types) t WHERE 'anynonarray' = ANY (one.arguments)
      UNION SELECT array_to_string(array_replace(one.arguments, 'text', 'name'), ',') WHERE 'text' = ANY (one.arguments)
      UNION SELECT array_to_string(one.arguments[:one.n - 1] || ARRAY[a, b], ',') FROM unnest(types) a, unnest(types) b WHERE one.more
      UNION SELECT array_to_string(one.arguments[:one.n - 1] || ARRAY[a, b, c], ',') FROM unnest(types) a, unnest(types) b, unnest(types) c WHERE one.more
    LOOP
      BEGIN
        EXECUTE format('CREATE FUNCTION public.%I(%s)', one.proname, list) || body;
      EXCEPTION WHEN OTHERS THEN NULL;
      END;
    END LOOP;
  END LOOP;
  FOR one IN
    SELECT o.oprname, format_type(o.oprleft, NULL) AS l, format_type(o.oprright, NULL) AS r FROM pg_operator o
    WHERE o.oprnamespace = 'pg_catalog'::regnamespace AND o.oprkind = 'b' AND o.oprname IN ('=', '<>', '<', '>', '<=', '>=', '||', '->>', '!~', '>>', '-', '+', '*', '/')
  LOOP
    BEGIN
      EXECUTE format('CREATE OR REPLACE FUNCTION public.planted(%s, %s) RETURNS bool LANGUAGE plpgsql AS ''BEGIN RETURN NULL; END''', one.l, one.r);
      EXECUTE format('CREATE OPERATOR public.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = public.planted)', one.oprname, one.l, one.r);
    EXCEPTION WHEN OTHERS THEN NULL;
    END;
  END LOOP;
END $$`
