package main

import (
	"fmt"
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/docker/oracle"
)

// typesSchema has every kind of the type table, nullable and not.
const typesSchema = `
CREATE TYPE mood AS ENUM ('sad', 'ok', 'it''s "fine"');
CREATE DOMAIN zip5 AS text CHECK (value ~ '^[0-9]{5}$');
CREATE DOMAIN cents AS numeric(14,2);
CREATE TABLE kinds (
  id bigint PRIMARY KEY,
  b bool, i2 smallint, i4 integer, i8 bigint, f4 real, f8 double precision,
  n numeric(12,2), nw numeric(76,30), nt numeric, neg numeric(5,-2), d date, ts timestamp, tz timestamptz(3), u uuid, by bytea,
  t text, vc varchar(20), ch char(6), nm name, qc "char", j json, jb jsonb, m mood, z zip5, c cents,
  ai int[], at text[], an numeric(10,3)[], ad date[], am mood[], ab bool[], au uuid[], af float8[],
  "Ünï code-1" text, "_versions" int);
CREATE TABLE required (
  id int PRIMARY KEY, b bool NOT NULL, n numeric(12,2) NOT NULL, d date NOT NULL, ts timestamp NOT NULL, t text NOT NULL,
  a int[] NOT NULL, m mood NOT NULL, u uuid NOT NULL, f float4 NOT NULL);
CREATE TABLE dated (d date, at timestamptz, v int, PRIMARY KEY (d, at));
CREATE TABLE worded (w text, m mood, n numeric(8,2), u uuid, b bytea, c char(4), v int, PRIMARY KEY (w, m, n, u, b, c));
CREATE TABLE "Odd.Name x" (id int PRIMARY KEY, v text);
CREATE TABLE named_alike ("_version" date, "_row_exists" text, "_part" int, "_deleted" bool, "_partition" text, "_offset" int, "_leaf" text, s text, size int,
  "a.b" int[], "a.c" int[], PRIMARY KEY ("_version", "_part"));
COMMENT ON TABLE named_alike IS 'it''s \ odd';
COMMENT ON COLUMN named_alike."_deleted" IS 'not dirtbike''s';
CREATE SCHEMA billing;
CREATE TABLE billing.claims (id int PRIMARY KEY, v text);
CREATE TABLE nothing_in_it (id int PRIMARY KEY);`

// typesRows are edges of every kind; each is inserted once before the copy and once while following.
var typesRows = []string{
	`INSERT INTO kinds (id) VALUES (%[1]d1)`,
	`INSERT INTO kinds VALUES (%[1]d2, true, -32768, -2147483648, -9223372036854775808, 'NaN', '-Infinity', -9999999999.99, 1.000000000000000000000000000001, 'NaN', 12300,
	  '2024-02-29', '2024-02-29 23:59:59.999999', '2024-02-29 12:00:00.123+02', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00ff', '', 'x', 'ab', 'n', 'q', '{"a" : 1}', '{"b":[1,2,null]}', 'it''s "fine"', '01234', 0.01,
	  '{1,NULL,-3}', ARRAY['a','',NULL,'NULL','"q"','{}',E'b\\c',' '], '{1.5,NULL}', '{2024-01-01,infinity}', '{sad,ok}', '{t,f,NULL}', ARRAY['a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::uuid], '{1.5,NaN}', 'ünï', 7)`,
	`INSERT INTO kinds (id, f4, f8, n, nw, nt, d, ts, tz, t, ch, ai, at) VALUES (%[1]d3, 1e-45, 1.7976931348623157e308, 'NaN', 'NaN', 1e100, 'infinity', '-infinity', 'infinity', E'tab\tnl\n', '', '{}', '{{a,b},{c,d}}')`,
	`INSERT INTO kinds (id, f4, f8, n, nw, nt, d, ts, tz, ai, ad) VALUES (%[1]d4, 0.1, 0.1, 0, -0.5, 0.00, '0044-03-15 BC', '4713-01-01 00:00:00 BC', '0001-01-01 00:00:00+00', '[0:2]={1,2,3}', '{}')`,
	`INSERT INTO kinds (id, f4, f8, d, ts, tz) VALUES (%[1]d5, '-0', '-0', '5874897-12-31', '294276-12-31 23:59:59.999999', '294246-01-01 00:00:00+00')`,
	`INSERT INTO kinds (id, d, ts, tz) VALUES (%[1]d6, '1900-01-01', '1900-01-01', '2299-12-31 23:59:59.999+00'), (%[1]d7, '1899-12-31', '1899-12-31 23:59:59.999999', '2300-01-01 00:00:00+00'), (%[1]d8, '9999-12-31', '9999-12-31', '9999-12-31 00:00:00+00')`,
	`INSERT INTO required VALUES (%[1]d1, false, 0, '2020-01-01', '2020-01-01', '', '{}', 'sad', '00000000-0000-0000-0000-000000000000', 0), (%[1]d2, true, 'NaN', 'infinity', '-infinity', 'x', '{NULL}', 'ok', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'NaN')`,
	`INSERT INTO dated VALUES ('2024-0%[1]d-01', 'infinity', 1), ('infinity', '2024-0%[1]d-01', 2), ('-infinity', '0001-0%[1]d-01 00:00:00+00 BC', 3), ('9999-12-31', '9999-1%[1]d-01', 4)`,
	`INSERT INTO worded VALUES ('', 'sad', %[1]d.00, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11', '\x', 'a', 1), ('ä''"\', 'ok', -0.0%[1]d, 'ffffffff-9c0b-4ef8-bb6d-6bb9bd380a11', '\x00', '', 2)`,
	`INSERT INTO "Odd.Name x" VALUES (%[1]d, 'odd')`,
	`INSERT INTO named_alike VALUES ('infinity', 'r', %[1]d, true, 'p', 1, 'l', 'hello', 7, '{1}', '{1,2}'), ('2024-01-01', NULL, %[1]d, false, NULL, 2, NULL, NULL, NULL, NULL, '{}')`,
	`INSERT INTO billing.claims VALUES (%[1]d, 'claim')`,
}

// typesChanges update, move and delete what typesRows inserted.
const typesChanges = `
UPDATE kinds SET t = 'changed', n = NULL, ai = NULL WHERE id = 12;
UPDATE kinds SET d = '2024-01-01', tz = now(), _versions = 8 WHERE id IN (13, 23);
UPDATE required SET n = 1, d = '2020-01-02' WHERE id = 12;
UPDATE dated SET v = v + 10 WHERE d = 'infinity';
UPDATE dated SET d = '2025-01-01' WHERE d = '-infinity' AND at = '0001-01-01 00:00:00+00 BC';
UPDATE worded SET w = 'moved' WHERE m = 'ok' AND n = -0.01;
DELETE FROM kinds WHERE id IN (14, 25);
DELETE FROM dated WHERE d = '9999-12-31';
UPDATE named_alike SET "_deleted" = true, size = 8 WHERE "_version" = '2024-01-01';
DELETE FROM named_alike WHERE "_version" = 'infinity' AND "_part" = 1;
DELETE FROM worded WHERE n = 2.00;`

// TestTypes carries every kind of the type table, at its edges, through copy and stream, and compares cell by cell.
func TestTypes(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{tables: `["public.*", "billing.*"]`}, typesSchema)
	for _, row := range typesRows {
		r.exec(fmt.Sprintf(row, 1))
	}
	l := r.start("run")
	r.wait()
	r.equal(oracle.Options{Schemas: []string{"public", "billing"}})
	for _, row := range typesRows {
		r.exec(fmt.Sprintf(row, 2))
	}
	r.exec(typesChanges)
	r.wait()
	r.equal(oracle.Options{Schemas: []string{"public", "billing"}})
	var table, column string
	require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT comment FROM system.tables WHERE database = ? AND name = 'named_alike'", r.name).Scan(&table))
	require.NoError(t, r.ch().QueryRow(t.Context(), "SELECT comment FROM system.columns WHERE database = ? AND table = 'named_alike' AND name = '_deleted'", r.name).Scan(&column))
	require.Equal(t, []string{`it's \ odd`, "not dirtbike's"}, []string{table, column})
	l.stop()
}

// TestTextSession captures a type without a binary decoder, so that the whole session runs in text.
func TestTextSession(t *testing.T) {
	t.Parallel()
	r := newRig(t, rigOptions{}, typesSchema+`
CREATE TABLE others (id int PRIMARY KEY, i interval, ip inet, p point, r int4range, ts tsvector, ti time, c billing.claims, ii interval[]);`)
	r.exec(`INSERT INTO others VALUES (1, '1 year 2 days 03:04:05.6', '127.0.0.1', '(1,2)', '[1,5)', 'a b', '12:00', ROW(1,NULL), '{1 day}'), (2, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL), (3, NULL, '::1/64', NULL, 'empty', '', '24:00', ROW(NULL,NULL), '{}')`)
	for _, row := range typesRows[:10] {
		r.exec(fmt.Sprintf(row, 1))
	}
	l := r.start("run")
	r.wait()
	r.equal(oracle.Options{})
	r.exec(`INSERT INTO others SELECT id + 10, i, ip, p, r, ts, ti, c, ii FROM others; UPDATE others SET ip = '10.0.0.1' WHERE id = 11`)
	for _, row := range typesRows[:10] {
		r.exec(fmt.Sprintf(row, 2))
	}
	r.exec(typesChanges)
	r.wait()
	r.equal(oracle.Options{})
	l.stop()
}
