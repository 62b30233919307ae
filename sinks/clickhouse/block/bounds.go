package block

import "dirtbike/schemas/pgtext"

// Bounds of Date32 (days) and DateTime64(6) (microseconds), since 1970-01-01 UTC: 1900-01-01 up to the end of 2299.
const (
	minDay, maxDay     = -25567, 120529
	minMicro, maxMicro = minDay * dayMicros, (maxDay+1)*dayMicros - 1
	dayMicros          = 86_400_000_000
	// pgEpochDay is 2000-01-01, from which Postgres and key integers count.
	pgEpochDay   = 10957
	pgEpochMicro = pgEpochDay * dayMicros
)

// appendDate writes days since 1970-01-01 as Postgres does.
func appendDate(dst []byte, day int64) []byte {
	return pgtext.AppendDate(dst, int32(day-pgEpochDay)) //nolint:gosec // a date of Postgres
}

// appendTimestamp writes microseconds since 1970-01-01 UTC as Postgres does with time zone UTC.
func appendTimestamp(dst []byte, micro int64, zone bool) []byte {
	return pgtext.AppendTimestamp(dst, micro-pgEpochMicro, zone)
}
