package preflight

import (
	"testing"

	"github.com/stretchr/testify/require"
)

// TestKeepFitsTheDisk: what is proposed for the log fits its disk where that is known, and the log that is there.
func TestKeepFitsTheDisk(t *testing.T) {
	for _, c := range []struct {
		server
		size, says string
	}{
		{server{maxWALMB: 1024}, "4GB", "less than the disk's free space"},
		{server{maxWALMB: 1024, heldMB: 9000}, "18000MB", "as many hours as dirtbike may be down"},
		{server{maxWALMB: 1024, diskMB: 200 << 10}, "50GB", "a quarter of source.wal_disk"},
		{server{maxWALMB: 16384, diskMB: 20 << 10}, "5GB", "a quarter of source.wal_disk"},
		{server{maxWALMB: 80, diskMB: 2000}, "1GB", "a quarter of source.wal_disk"},
		{server{maxWALMB: 80}, "1GB", "a few times max_wal_size"},
	} {
		for _, keep := range []int64{-1, 64} {
			p := &part{name: partPostgres}
			c.keepMB = keep
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
	(&server{version: newestPostgres * 10000, walLevel: "replica", walPending: true}).judgeServer(p)
	report := Report{Checks: p.close()}
	c, is := bad(report, "postgres-wal-level")
	require.True(t, is)
	require.Equal(t, "restart Postgres", c.Command)
	require.Contains(t, textOf(report), "dirtbike explain postgres-wal-level\n  Try: restart Postgres\n")
}
