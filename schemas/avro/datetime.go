package avro

import (
	"encoding/binary"
	"math"

	"dirtbike/schemas/pgtext"
)

// appendDate appends an Avro date (days since 1970) from Postgres' days since 2000.
func appendDate(dst []byte, days int32) ([]byte, error) {
	if days == math.MaxInt32 || days == math.MinInt32 {
		return dst, errInexact
	}
	if days > math.MaxInt32-pgtext.EpochDays { // Avro's int could not count them from 1970; Postgres' own limit lies below
		return dst, errRange
	}
	return appendLong(dst, int64(days)+pgtext.EpochDays), nil
}

// appendTimestamp appends an Avro timestamp (microseconds since 1970) from Postgres' microseconds since 2000.
func appendTimestamp(dst []byte, micros int64) ([]byte, error) {
	if micros == math.MinInt64 || micros > math.MaxInt64-pgtext.EpochMicros { // infinity is the largest of these
		return dst, errInexact
	}
	return appendLong(dst, micros+pgtext.EpochMicros), nil
}

func dateText(dst, src []byte) ([]byte, error) {
	days, err := pgtext.ParseDate(src)
	if err != nil {
		return dst, err
	}
	return appendDate(dst, days)
}

func dateBinary(dst, src []byte) ([]byte, error) {
	return appendDate(dst, int32(binary.BigEndian.Uint32(src))) //nolint:gosec // the sign bit is meant
}

func timestampText(dst, src []byte) ([]byte, error) {
	micros, err := pgtext.ParseTimestamp(src)
	if err != nil {
		return dst, err
	}
	return appendTimestamp(dst, micros)
}

func timestampBinary(dst, src []byte) ([]byte, error) {
	return appendTimestamp(dst, int64(binary.BigEndian.Uint64(src))) //nolint:gosec // the sign bit is meant
}

// keyDateText and keyTimestampText write Postgres' own integer, infinities as the extremes (rule 31). For the binary
// form int4Binary and int8Binary do this.
func keyDateText(dst, src []byte) ([]byte, error) {
	days, err := pgtext.ParseDate(src)
	if err != nil {
		return dst, err
	}
	return appendLong(dst, int64(days)), nil
}

func keyTimestampText(dst, src []byte) ([]byte, error) {
	micros, err := pgtext.ParseTimestamp(src)
	if err != nil {
		return dst, err
	}
	return appendLong(dst, micros), nil
}
