package block

import "dirtbike/schemas/pgtext"

// appendDate writes days since 1970-01-01 as Postgres does.
func appendDate(dst []byte, day int64) []byte {
	return pgtext.AppendDate(dst, int32(day-pgtext.EpochDays)) //nolint:gosec // a date of Postgres
}

// appendTimestamp writes microseconds since 1970-01-01 UTC as Postgres does with time zone UTC.
func appendTimestamp(dst []byte, micro int64, zone bool) []byte {
	return pgtext.AppendTimestamp(dst, micro-pgtext.EpochMicros, zone)
}
