package bench

import (
	"context"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// table is a synthetic table with the same rows in every run. It has a database of its own, of the same name.
type table struct {
	name    string
	share   int64 // it has 1/share of the rows asked for
	batch   int   // rows in a transaction
	prepare string
	columns []synthetic
}

// synthetic is a column: the first one of a table is its key, and expr makes its value from i, the row's number from 1.
type synthetic struct{ name, kind, expr string }

// tables are the tables that every measure runs on.
func tables() []*table { return []*table{claims(), wide()} }

// claims has 9 columns and rows of about 100 bytes, like the clinic's claims.
func claims() *table {
	return &table{
		name: "claims", share: 1, batch: 1000, prepare: "CREATE TYPE public.claim_status AS ENUM ('pending', 'paid', 'denied')",
		columns: []synthetic{
			{"id", "bigint PRIMARY KEY", "i"},
			{"patient_id", "bigint NOT NULL", "i * 7919 % 200000 + 1"},
			{"clinic_id", "int NOT NULL", "i * 31 % 120 + 1"},
			{"plan", "text NOT NULL", "(ARRAY['Bluewater PPO', 'Harbor HMO Silver', 'Harbor HMO Gold', 'Medicare Part B', 'Self pay'])[i % 5 + 1]"},
			{"service_date", "date NOT NULL", "date '2021-01-01' + (i * 13 % 1500)::int"},
			{"status", "public.claim_status NOT NULL", "(ARRAY['pending', 'paid', 'denied'])[i % 3 + 1]::public.claim_status"},
			{"billed", "numeric(12,2) NOT NULL", "(i * 104729 % 4500000 + 500) / 100.0"},
			{"paid", "numeric(12,2) NOT NULL", "(i * 15485863 % 2500000) / 100.0"},
			{"denied", "numeric(12,2) NOT NULL", "(i * 1299709 % 900) / 100.0"},
		},
	}
}

// wide has 60 columns of mixed types; every second kind is nullable, with NULLs.
func wide() *table {
	t := &table{
		name: "wide", share: 8, batch: 250, prepare: "CREATE TYPE public.wide_state AS ENUM ('draft', 'open', 'in review', 'closed')",
		columns: []synthetic{{"id", "bigint PRIMARY KEY", "i"}},
	}
	for _, g := range []struct {
		count            int
		name, kind, expr string
	}{
		{3, "small", "smallint NOT NULL", "(i * %d %% 30000)::smallint"},
		{6, "number", "int", "nullif(i * %d %% 1000003, i %% 11)"},
		{3, "big", "bigint NOT NULL", "i * 1000000007 * %d"},
		{9, "amount", "numeric(12,2) NOT NULL", "(i * 104729 * %d %% 4500000) / 100.0"},
		{2, "rate", "numeric(18,6)", "CASE WHEN i %% 7 <> %d THEN (i * 7919 %% 100000000) / 1000000.0 END"},
		{1, "free_number", "numeric", "(i * %d) / 8.0"},
		{1, "ratio_small", "real NOT NULL", "(i * %d %% 1000)::real / 16"},
		{2, "ratio", "double precision", "CASE WHEN i %% 5 <> %d THEN (i %% 100003) / 3.0::float8 END"},
		{4, "flag", "boolean NOT NULL", "i * %d %% 3 = 1"},
		{3, "day", "date", "date '1999-01-01' + (i * 13 * %d %% 9000)::int"},
		{1, "local_time", "timestamp", "timestamp '2020-01-01 00:00:00.5' + i * %d * interval '61 seconds'"},
		{3, "moment", "timestamptz NOT NULL", "timestamptz '2020-01-01 12:34:56.789012Z' + i * %d * interval '67 seconds'"},
		{8, "code", "text", "CASE WHEN i %% 9 <> %[1]d THEN 'C' || (i * %[1]d %% 100000) END"},
		{1, "note", "text NOT NULL", "repeat('a short sentence of words. ', (i %% 8 + %d)::int)"},
		{2, "label", "varchar(40) NOT NULL", "'label ' || (i * %d %% 500)"},
		{1, "padded", "char(8) NOT NULL", "'P' || (i * %d %% 10000)"},
		{2, "ref", "uuid NOT NULL", "md5((i * %d)::text)::uuid"},
		{2, "state", "public.wide_state NOT NULL", "(ARRAY['draft', 'open', 'in review', 'closed'])[(i * %d) %% 4 + 1]::public.wide_state"},
		{1, "doc_b", "jsonb NOT NULL", "jsonb_build_object('a', i, 'b', ARRAY[i %% 7, %d], 'c', 'text')"},
		{1, "doc", "json", "CASE WHEN i %% 4 > 0 THEN json_build_object('n', i * %d, 'ok', true) END"},
		{1, "raw", "bytea", "decode(md5((i * %d)::text), 'hex')"},
		{1, "numbers", "int[] NOT NULL", "ARRAY[i %% 100, i %% 17, %d]::int[]"},
		{1, "words", "text[] NOT NULL", "ARRAY['w' || i %% 50, NULL, 'x%d']"},
	} {
		for n := range g.count {
			t.columns = append(t.columns, synthetic{fmt.Sprintf("%s_%d", g.name, n+1), g.kind, fmt.Sprintf(g.expr, n+1)})
		}
	}
	return t
}

// rows is its number of rows in a run of that many.
func (t *table) rows(asked int64) int64 { return max(asked/t.share, 1) }

// inPostgres is its name there.
func (t *table) inPostgres() string { return "public." + t.name }

// create makes the empty table and a publication of its name.
func (t *table) create() string {
	var list []string
	for _, c := range t.columns {
		list = append(list, c.name+" "+c.kind)
	}
	return t.prepare + "; CREATE TABLE " + t.inPostgres() + " (" + strings.Join(list, ", ") + "); CREATE PUBLICATION " + t.name + " FOR TABLE " + t.inPostgres()
}

// values is the list of expressions, in the columns' order.
func (t *table) values() string {
	var list []string
	for _, c := range t.columns {
		list = append(list, c.expr)
	}
	return strings.Join(list, ", ")
}

// fill inserts that many rows in transactions of batch rows, and leaves no vacuum or checkpoint for the passes.
func (t *table) fill(ctx context.Context, conn *pgx.Conn, rows int64) error {
	insert := fmt.Sprintf(`DO $$ BEGIN FOR batch IN 1..%[1]d BY %[2]d LOOP
	INSERT INTO %[3]s SELECT %[4]s FROM generate_series(batch::bigint, least(batch + %[2]d - 1, %[1]d)) i;
	COMMIT;
END LOOP; END $$`, rows, t.batch, t.inPostgres(), t.values())
	for _, sql := range []string{"SET synchronous_commit = off", insert, "VACUUM (FREEZE, ANALYZE) " + t.inPostgres(), "CHECKPOINT", "RESET synchronous_commit"} {
		if _, err := conn.Exec(ctx, sql); err != nil {
			return fmt.Errorf("fill table %s: %w", t.name, err)
		}
	}
	return nil
}
