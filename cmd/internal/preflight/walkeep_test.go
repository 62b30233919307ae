package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"

	"dirtbike/cdc/postgres"
)

// TestKeepFitsTheDisk: what is proposed for the log fits its disk where that is known, and the log that is there.
func TestKeepFitsTheDisk(t *testing.T) {
	asked := func(wal, held, disk int64) server { return server{postgres.Server{MaxWALMB: wal, HeldMB: held}, disk} }
	for _, c := range []struct {
		server
		size, says string
	}{
		{asked(1024, 0, 0), "4GB", "below the disk's free space"},
		{asked(1024, 9000, 0), "18000MB", "the longest time that dirtbike may be down"},
		{asked(1024, 0, 200<<10), "50GB", "a quarter of source.wal_disk"},
		{asked(16384, 0, 20<<10), "5GB", "a quarter of source.wal_disk"},
		{asked(80, 0, 2000), "1GB", "a quarter of source.wal_disk"},
		{asked(80, 0, 0), "1GB", "a few times max_wal_size"},
	} {
		for _, keep := range []int64{-1, 64} {
			p := &part{name: partPostgres}
			c.KeepMB = keep
			c.judgeKeep(p)
			found := p.close()
			require.Len(t, found, 1)
			require.Equal(t, LevelWarning, found[0].Level)
			require.Equal(t, "ALTER SYSTEM SET max_slot_wal_keep_size = '"+c.size+"';\nSELECT pg_reload_conf();", found[0].Command)
			require.Contains(t, found[0].Message, c.says)
		}
	}
}

// TestRestartIsSaid: a setting that waits for a restart has that as its way out.
func TestRestartIsSaid(t *testing.T) {
	p := &part{name: partPostgres}
	(&server{Server: postgres.Server{Version: newestPostgres * 10000, WALLevel: "replica", WALPending: true}}).judgeServer(p)
	report := Report{Checks: p.close()}
	c, is := bad(report, "postgres-wal-level")
	require.True(t, is)
	require.Equal(t, "restart Postgres", c.Command)
	require.Contains(t, textOf(report), "dirtbike explain postgres-wal-level\n  Try: restart Postgres\n")
}
