package block

import (
	"testing"
	"time"

	chcolumn "github.com/ClickHouse/clickhouse-go/v2/lib/column"
	"github.com/stretchr/testify/require"
)

// TestClickHouseGoCannotHoldTheBound is why rows travel over ch-go, the layer beneath clickhouse-go, and not through
// its batches: clickhouse-go's DateTime64 goes through nanoseconds in an int64, which end in 2262, and rule 31 puts
// infinity at 2299-12-31 23:59:59.999999. Once this test fails, clickhouse-go's own batches will do.
func TestClickHouseGoCannotHoldTheBound(t *testing.T) {
	bound := time.Date(2299, 12, 31, 23, 59, 59, 999_999_000, time.UTC)
	c, err := chcolumn.Type("DateTime64(6, 'UTC')").Column("at", &chcolumn.ServerContext{Timezone: time.UTC})
	require.NoError(t, err)
	_, err = c.Append([]time.Time{bound})
	require.NoError(t, err)
	require.NotEqual(t, bound, c.Row(0, false))
}
