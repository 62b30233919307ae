package clinic

import (
	"testing"
	"time"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/require"
)

func TestDigestDistinguishesAnswers(t *testing.T) {
	line := func(clinic string, month time.Month, claims int64, paid, denied string) row {
		return row{
			Clinic: clinic, Month: time.Date(2024, month, 1, 0, 0, 0, 0, time.UTC), Plan: "Medicare", Claims: claims,
			Paid: decimal.RequireFromString(paid), Denied: decimal.RequireFromString(denied),
		}
	}
	one := []row{line("A", 1, 2, "10.10", "0"), line("A", 2, 1, "99.00", "1"), line("B", 1, 7, "50", "0.00")}
	base := summarise(one, time.Second)
	require.Equal(t, 3, base.Rows)
	require.Equal(t, time.Second, base.Elapsed)

	sameValues := []row{line("A", 1, 2, "10.1", "0.0"), line("A", 2, 1, "99", "1.00"), line("B", 1, 7, "50.00", "0")}
	require.Equal(t, base.Digest, summarise(sameValues, 0).Digest)

	for name, other := range map[string][]row{
		"a cent":        {line("A", 1, 2, "10.11", "0"), one[1], one[2]},
		"a claim":       {line("A", 1, 3, "10.10", "0"), one[1], one[2]},
		"a month":       {line("A", 3, 2, "10.10", "0"), one[1], one[2]},
		"order":         {one[1], one[0], one[2]},
		"a row missing": {one[0], one[1]},
		"a row more":    {one[0], one[1], one[2], one[2]},
		"nothing":       nil,
	} {
		require.NotEqual(t, base.Digest, summarise(other, 0).Digest, name)
	}
}
