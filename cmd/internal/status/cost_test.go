package status

import (
	"context"
	"fmt"
	"strings"
	"testing"

	chgo "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"
	"github.com/stretchr/testify/require"
)

// watchedConn notes what is asked of ClickHouse.
type watchedConn struct {
	driver.Conn
	queries     []string
	rows, bytes uint64
}

func (a *watchedConn) Query(ctx context.Context, sql string, args ...any) (driver.Rows, error) {
	a.queries = append(a.queries, sql)
	return a.Conn.Query(a.watched(ctx), sql, args...)
}

func (a *watchedConn) QueryRow(ctx context.Context, sql string, args ...any) driver.Row {
	a.queries = append(a.queries, sql)
	return a.Conn.QueryRow(a.watched(ctx), sql, args...)
}

func (a *watchedConn) watched(ctx context.Context) context.Context {
	return chgo.Context(ctx, chgo.WithProgress(func(p *chgo.Progress) { a.rows, a.bytes = a.rows+p.Rows, a.bytes+p.Bytes }))
}

// requireCheap: the status, the checks and the metrics ask as often for a hundred tables as for three, and read no row
// of a table; a view without its storage changes nothing for the others.
func requireCheap(t *testing.T, c *Collector, fresh func()) {
	t.Helper()
	conn := c.ClickHouse
	defer func() { c.ClickHouse = conn; fresh() }()
	ask := func() *watchedConn {
		a := &watchedConn{Conn: conn}
		c.ClickHouse = a
		fresh()
		_, err := c.Status(t.Context())
		require.NoError(t, err)
		fresh()
		gather(t, c)
		fresh()
		for _, check := range c.Checks()[1:] {
			_ = check.Func(t.Context()) // some fail: what they ask counts
		}
		return a
	}
	few := ask()
	exec := func(sql string) { require.NoError(t, conn.Exec(t.Context(), sql), sql) }
	var complete []string
	for i := range 100 {
		table := fmt.Sprintf("many%d", i)
		exec("CREATE TABLE clinic_raw." + table + "__g1 (id Int64) ENGINE = ReplacingMergeTree ORDER BY id")
		exec("CREATE VIEW clinic." + table + " AS SELECT id FROM clinic_raw." + table + "__g1 FINAL")
		complete = append(complete, "('public."+table+"', 1, 100, now64(6), 1, 0)")
	}
	exec("INSERT INTO clinic_raw.many0__g1 SELECT number FROM numbers(1000000)")
	exec("DROP TABLE clinic_raw.many1__g1")
	exec("INSERT INTO clinic_raw.complete VALUES " + strings.Join(complete, ", "))
	many := ask()
	require.Len(t, many.queries, len(few.queries))
	require.Less(t, many.rows, uint64(10_000))
	require.Less(t, many.bytes, uint64(4<<20))
	s, err := c.Status(t.Context())
	require.NoError(t, err)
	require.Len(t, s.Tables, 104)
	for _, table := range s.Tables {
		if strings.HasPrefix(table.Table, "public.many") {
			require.Equal(t, "streaming", table.Phase)
			require.Equal(t, table.Table == "public.many0", table.Rows == 1_000_000)
		}
	}
	exec("TRUNCATE TABLE clinic_raw.complete")
	exec(claimsComplete)
}
