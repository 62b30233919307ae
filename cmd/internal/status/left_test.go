package status

import (
	"context"
	"net/url"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"dirtbike/cdc"
)

// writeLog makes the server write about so many megabytes of log a second, until the test ends.
func writeLog(t *testing.T, pool *pgxpool.Pool, megabytes int) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		pace := time.NewTicker(time.Second / time.Duration(megabytes))
		defer pace.Stop()
		for ctx.Err() == nil {
			_, _ = pool.Exec(ctx, "SELECT pg_logical_emit_message(false, 'test', repeat('x', 1000000))") // the test sees it if none comes
			select {
			case <-pace.C:
			case <-ctx.Done():
			}
		}
	}()
	t.Cleanup(func() { cancel(); <-ended })
}

// TestHoursLeftAreTrue: what one sample says is within a factor of two of when the limits are really met, on a server
// that is asked by a user without any right.
func TestHoursLeftAreTrue(t *testing.T) {
	c, stack := collector(t, "96MB")
	ctx := t.Context()
	owner := c.Postgres.(*pgxpool.Pool)
	for _, sql := range []string{
		"CREATE ROLE looker LOGIN PASSWORD 'looker'",
		"SELECT pg_create_logical_replication_slot('dirtbike', 'pgoutput')",
	} {
		_, err := owner.Exec(ctx, sql)
		require.NoError(t, err, sql)
	}
	at, err := url.Parse(stack.Postgres.URL())
	require.NoError(t, err)
	at.User = url.UserPassword("looker", "looker")
	looker, err := pgxpool.New(ctx, at.String())
	require.NoError(t, err)
	t.Cleanup(looker.Close)
	c.Postgres = looker

	writeLog(t, owner, 8)
	requireLoadAloneSaysHours(t, c)
	limit := measured(t, c)
	require.Equal(t, "max_slot_wal_keep_size", limit.WALLimit)
	limitAt := time.Now()
	disk := NewCollector(c.Sources)
	disk.WALDisk = *limit.RetainedWALBytes + 40_000_000
	first := measured(t, disk)
	require.Equal(t, "source.wal_disk", first.WALLimit)
	diskAt := time.Now()
	metrics := gather(t, disk)
	require.InDelta(t, *first.WALLeftHours*3600, metrics["dirtbike_slot_left_seconds"], 2)
	require.InEpsilon(t, *first.WALLeftBytes, metrics["dirtbike_slot_left_wal_bytes"], 0.5)
	require.EqualValues(t, disk.WALDisk, metrics["dirtbike_slot_limit_wal_bytes"])

	when := func(met func(slotFacts) bool) (at time.Time) {
		require.Eventually(t, func() bool {
			f, err := readSlot(ctx, looker, "dirtbike")
			at = time.Now()
			return err == nil && met(f)
		}, time.Minute, 50*time.Millisecond)
		return at
	}
	full := when(func(f slotFacts) bool { return f.retained >= disk.WALDisk || f.walStatus == "lost" }).Sub(diskAt)
	lost := when(func(f slotFacts) bool { return f.walStatus == "unreserved" || f.walStatus == "lost" }).Sub(limitAt)
	t.Logf("disk: said %.1f s, was %.1f s; slot: said %.1f s, was %.1f s", *first.WALLeftHours*3600, full.Seconds(), *limit.WALLeftHours*3600, lost.Seconds())
	for _, ratio := range []float64{*first.WALLeftHours * 3600 / full.Seconds(), *limit.WALLeftHours * 3600 / lost.Seconds()} {
		require.Greater(t, ratio, 0.5)
		require.Less(t, ratio, 2.0)
	}
	require.Contains(t, limit.headroomText(), " seconds until max_slot_wal_keep_size")
}

// requireLoadAloneSaysHours: the first answer of /readyz of a process that only loads names the time left while no one
// captures.
func requireLoadAloneSaysHours(t *testing.T, c *Collector) {
	t.Helper()
	for _, sql := range []string{
		"CREATE DATABASE clinic ENGINE = Atomic",
		"CREATE VIEW clinic.complete_up_to AS SELECT '' AS table, toUInt32(1) AS epoch, toUInt64(100) AS lsn, now64(6) AS commit_time, toUInt8(0) AS exact, toUInt64(0) AS dead_letters SETTINGS limit = 0, log_comment = 'dirtbike complete_up_to of a test'",
	} {
		require.NoError(t, c.ClickHouse.Exec(t.Context(), sql), sql)
	}
	began := time.Now()
	err := NewCollector(c.Sources).slotCheck().Func(t.Context())
	require.Less(t, time.Since(began), CheckTime)
	require.Len(t, cdc.Explain(err).Try, 2, "run, or capture")
	require.Contains(t, cdc.Explain(err).What, "max_slot_wal_keep_size is reached in")
}

// measured asks once, as the verb does.
func measured(t *testing.T, c *Collector) Status {
	t.Helper()
	began := time.Now()
	s, err := c.Measured(t.Context())
	require.NoError(t, err)
	require.Less(t, time.Since(began), measureTime+5*time.Second)
	require.NotNil(t, s.WALLeftBytes)
	require.NotNil(t, s.WALLeftHours, "%d bytes left", *s.WALLeftBytes)
	return s
}
