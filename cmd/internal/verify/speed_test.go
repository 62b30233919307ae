package verify

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// BenchmarkVerify compares a million rows of nine narrow columns, once by an integer key and once by a uuid.
func BenchmarkVerify(b *testing.B) {
	for name, key := range map[string][2]string{"int": {"bigint", "number"}, "uuid": {"uuid", "toUUID(concat(leftPad(lower(hex(toUInt32(number * 2654435761))), 8, '0'), '-0000-0000-0000-', leftPad(toString(number), 12, '0')))"}} {
		b.Run(name, func(b *testing.B) {
			c := newClinic(b)
			id := "n"
			if name == "uuid" {
				id = "(lpad(to_hex(n * 2654435761 % 4294967296), 8, '0') || '-0000-0000-0000-' || lpad(n::text, 12, '0'))::uuid"
			}
			c.source("CREATE TABLE claims (id " + key[0] + " PRIMARY KEY, clinic int, plan smallint, day date, at timestamptz, paid numeric(10,2), denied numeric(10,2), code text, note text)")
			c.source("INSERT INTO claims SELECT " + id + ", n % 100, n % 7, date '2020-01-01' + (n % 1000)::int, timestamptz '2020-01-01 00:00:00+00' + n * interval '1 second', n % 1000, NULL, 'code ' || n % 50, 'note' FROM generate_series(0, 999999) n")
			c.source("VACUUM ANALYZE claims")
			c.storage("claims")
			c.sink("INSERT INTO DB_raw.claims__g2 SELECT " + key[1] + ", number % 100, number % 7, toDate32('2020-01-01') + number % 1000, toDateTime64('2020-01-01 00:00:00', 6, 'UTC') + number, number % 1000, NULL, concat('code ', toString(number % 50)), 'note', map(), " + version(100, 0) + ", 0 FROM numbers(1000000)")
			for b.Loop() {
				report, err := c.verify(func(o *Options) { o.ChunkRows = 0 })
				require.NoError(b, err)
				require.True(b, report.Equal)
				require.EqualValues(b, 1_000_000, report.Tables[0].RowsSink)
			}
		})
	}
}
