package preflight

import (
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/stretchr/testify/require"
)

// onceSQL makes tables of every kind: first those that can be captured or fixed, then those that can only be left out.
const onceSQL = `
GRANT CREATE ON SCHEMA public TO "Clinic Owner"; GRANT CREATE ON DATABASE once TO "Clinic Owner";
SET ROLE "Clinic Owner";
CREATE TABLE public.patients (patient_id bigint PRIMARY KEY, mrn text, ssn text, name text, note text); CREATE TABLE public.masked (id int PRIMARY KEY);
CREATE SCHEMA "Odd Schema"; CREATE TABLE "Odd Schema"."O'Hara ""x""" ("Id" int PRIMARY KEY, v text);
CREATE UNLOGGED TABLE public.unlogged (id int PRIMARY KEY); CREATE UNLOGGED TABLE public.unlogged_index (id int NOT NULL UNIQUE);
CREATE TABLE public.deferred (a int, CONSTRAINT "the Key" PRIMARY KEY (a) DEFERRABLE);
CREATE TABLE public.deferred_nothing (a int PRIMARY KEY DEFERRABLE); ALTER TABLE public.deferred_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE public.nothing (a int PRIMARY KEY); ALTER TABLE public.nothing REPLICA IDENTITY NOTHING;
CREATE TABLE public.nothing_index (a int NOT NULL UNIQUE); ALTER TABLE public.nothing_index REPLICA IDENTITY NOTHING;
CREATE TABLE public.lost_index (a int PRIMARY KEY, b int NOT NULL); CREATE UNIQUE INDEX lost ON public.lost_index (b);
ALTER TABLE public.lost_index REPLICA IDENTITY USING INDEX lost; DROP INDEX public.lost;
ALTER TABLE public.masked ENABLE ROW LEVEL SECURITY;
CREATE SCHEMA clash; CREATE TABLE clash.a_b (id int PRIMARY KEY);

CREATE SCHEMA clash_a; CREATE TABLE clash_a.b (id int PRIMARY KEY); CREATE TABLE public.clash_a_b (id int PRIMARY KEY);
CREATE TABLE public.out_nokey (a int); CREATE UNLOGGED TABLE public.out_unlogged (a int);
CREATE TABLE public.out_nothing (a int); ALTER TABLE public.out_nothing REPLICA IDENTITY NOTHING;
CREATE TABLE public.out_parts (a int PRIMARY KEY) PARTITION BY RANGE (a);
CREATE TABLE public.out_float (x float8 PRIMARY KEY);
CREATE UNLOGGED TABLE public.out_float_unlogged (x float8 PRIMARY KEY);
CREATE TABLE public.pair (a int, b int, area int, PRIMARY KEY (a, b));
CREATE UNLOGGED TABLE public.later (a int, b int, v text, PRIMARY KEY (a, b)); CREATE TABLE public.later_index (a int NOT NULL, b int NOT NULL, v int, UNIQUE (a, b));
ALTER TABLE public.out_nokey ENABLE ROW LEVEL SECURITY;
CREATE SCHEMA out; CREATE TABLE out.nokey (a int);
RESET ROLE;`

// onceConfig names them all but later; the policies of masked, pair, later and later_index have to be fixed.
const onceConfig = `
source: {tables: ["public.*", "Odd Schema.*", "clash*.*", "out.*"]}
privacy:
  columns:
    public.masked: {id: mask}
    public.unlogged: {"*": keep}
    public.unlogged_index: {"*": keep}
    public.deferred: {"*": keep}
    public.deferred_nothing: {"*": keep}
    public.nothing: {"*": keep}
    public.nothing_index: {"*": keep}
    public.lost_index: {"*": keep}
    clash.a_b: {"*": keep}
    clash_a.b: {"*": keep}
    public.clash_a_b: {"*": keep}
    public.out_float: {"*": keep}
    public.out_float_unlogged: {"*": keep}
    public.pair: {area: zip3}
    public.later_index: {v: zip3}
`

// onceFixed: of many things that are wrong at once, each printed command is run once, in the printed order and as the
// role that is named, and everything is good then. No list names what is to be left out, and Postgres takes updates of
// whatever is published.
func onceFixed(r *rig) {
	defer r.exec(`ALTER ROLE "dirt-bike" REPLICATION NOBYPASSRLS`)
	text := onceConfig
	owner := `"Clinic Owner"` + orSuperuser
	for _, c := range []struct{ name, sql, publisher string }{
		{"no publication", "", owner},
		{"its owner may not make one", `REVOKE CREATE ON DATABASE once FROM "Clinic Owner"`, ""},
		{"two owners", `ALTER TABLE public.patients OWNER TO CURRENT_USER`, ""},
		{"a publication that is wrong in every way", `SET ROLE "Clinic Owner"; CREATE PUBLICATION dirtbike FOR TABLE public.masked (id), public.out_nokey WHERE (a > 0), public.nothing WITH (publish = 'insert', publish_via_partition_root)`, owner},
		{"another role's publication", `CREATE PUBLICATION dirtbike FOR TABLE public.patients`, ""},
	} {
		r.Run(c.name, func(t *testing.T) {
			r := r.as(t)
			r.kept()
			r.exec("CREATE DATABASE once", `ALTER ROLE "dirt-bike" NOREPLICATION NOBYPASSRLS`)
			defer r.exec("DROP DATABASE once WITH (FORCE)")
			r.set(text)
			r.set("source: {url: '" + loginTo(t, r.stack, "once") + "'}")
			once := *r
			once.database = "once"
			once.exec(onceSQL)
			once.exec(c.sql)
			once.fixedOnce(c.publisher)
		})
	}
}

// fixedOnce runs every printed command of config and Postgres once, and sees all of them good.
func (r *rig) fixedOnce(publisher string) {
	r.Helper()
	done, policies := map[string]bool{}, map[string]string{}
	for _, c := range r.check().Checks {
		if c.OK || c.Part != partConfig && c.Part != partPostgres || done[c.Command] {
			continue
		}
		done[c.Command] = true
		for line := range strings.Lines(c.Command) {
			if kind(c.Command) == "sql" && !strings.Contains(line, " DROP TABLE ") {
				require.NotRegexp(r, `\bout\b|out_|clash_a`, line, "it is left out")
			}
		}
		if c.Slug == "postgres-publication" {
			require.Equal(r, publisher, c.by())
			require.Contains(r, c.Message, "public.deferred, public.deferred_nothing, ", "what must be done first")
		}
		if c.Slug == "config-policies" {
			policies[c.Subject] = c.Command
		}
		r.apply(c)
	}
	require.Equal(r, map[string]string{
		"public.masked":      `privacy: {columns: {"public.masked": {"id": keep}}}`,
		"public.pair":        `privacy: {columns: {"public.pair": {"a": keep, "b": keep, "area": drop}}}`,
		"public.later":       `privacy: {columns: {"public.later": {"a": keep, "b": keep}}}`,
		"public.later_index": `privacy: {columns: {"public.later_index": {"a": keep, "b": keep, "v": drop}}}`,
		"public.out_float":   policies["public.out_float"], // it is left out
	}, policies)
	for _, c := range r.check().Checks {
		require.True(r, c.OK || c.Part != partConfig && c.Part != partPostgres, "%+v", c)
	}
	conn := r.superuser()
	defer conn.Close(r.Context()) // nothing is open on it
	rows, err := conn.Query(r.Context(), `SELECT format('UPDATE %I.%I SET %I = %3$I', schemaname, tablename, attnames[1]) FROM pg_publication_tables`)
	require.NoError(r, err)
	updates, err := pgx.CollectRows(rows, pgx.RowTo[string])
	require.NoError(r, err)
	require.Len(r, updates, 14)
	for _, sql := range updates {
		_, err := conn.Exec(r.Context(), sql)
		require.NoError(r, err, sql)
	}
}
