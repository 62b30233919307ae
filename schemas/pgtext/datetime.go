package pgtext

import (
	"math"
	"strconv"
)

// EpochDays and EpochMicros are the distance from 1970-01-01 (Avro's and Unix' epoch) to 2000-01-01 (Postgres').
const (
	EpochDays   = 10_957
	EpochMicros = EpochDays * microsPerDay
)

const (
	microsPerSecond = 1_000_000
	microsPerDay    = 86_400 * microsPerSecond
)

// AppendDate writes a date as date_out does; days count from 2000-01-01, the extremes are the infinities.
func AppendDate(dst []byte, days int32) []byte {
	switch days {
	case math.MaxInt32:
		return append(dst, "infinity"...)
	case math.MinInt32:
		return append(dst, "-infinity"...)
	}
	year, month, day := civil(int64(days) + EpochDays)
	dst = appendCivil(dst, year, month, day)
	return appendEra(dst, year)
}

// AppendTimestamp writes a timestamp as timestamp_out and, with zone (in UTC), timestamptz_out do; micros count from
// 2000-01-01 00:00 UTC, the extremes are the infinities.
func AppendTimestamp(dst []byte, micros int64, zone bool) []byte {
	switch micros {
	case math.MaxInt64:
		return append(dst, "infinity"...)
	case math.MinInt64:
		return append(dst, "-infinity"...)
	}
	days, rest := micros/microsPerDay, micros%microsPerDay
	if rest < 0 {
		days, rest = days-1, rest+microsPerDay
	}
	year, month, day := civil(days + EpochDays)
	dst = append(appendCivil(dst, year, month, day), ' ')
	dst = appendClock(dst, rest)
	if zone {
		dst = append(dst, "+00"...)
	}
	return appendEra(dst, year)
}

func appendCivil(dst []byte, year, month, day int64) []byte {
	if year <= 0 {
		year = 1 - year
	}
	if year < 10_000 {
		dst = appendTwo(appendTwo(dst, year/100), year%100)
	} else {
		dst = strconv.AppendInt(dst, year, 10)
	}
	return appendTwo(append(appendTwo(append(dst, '-'), month), '-'), day)
}

func appendEra(dst []byte, year int64) []byte {
	if year <= 0 {
		return append(dst, " BC"...)
	}
	return dst
}

// appendClock writes hh:mm:ss and the fraction without its trailing zeros.
func appendClock(dst []byte, micros int64) []byte {
	seconds, fraction := micros/microsPerSecond, micros%microsPerSecond
	dst = append(appendTwo(dst, seconds/3600), ':')
	dst = append(appendTwo(dst, seconds/60%60), ':')
	dst = appendTwo(dst, seconds%60)
	if fraction == 0 {
		return dst
	}
	dst = append(dst, '.')
	for digit := int64(100_000); fraction > 0; digit /= 10 {
		dst = append(dst, byte('0'+fraction/digit)) //nolint:gosec // one digit
		fraction %= digit
	}
	return dst
}

// appendTwo writes n, 0 to 99, with two digits.
func appendTwo(dst []byte, n int64) []byte {
	return append(dst, byte('0'+n/10), byte('0'+n%10)) //nolint:gosec // two digits
}

// civil turns days since 1970-01-01 into the proleptic Gregorian date; year 0 is 1 BC. The calendar is cut into eras of
// 400 years that begin on 1 March, so that the leap day comes last.
func civil(days int64) (year, month, day int64) {
	days += 719_468
	era := floorDiv(days, 146_097)
	dayOfEra := days - era*146_097
	yearOfEra := (dayOfEra - dayOfEra/1460 + dayOfEra/36_524 - dayOfEra/146_096) / 365
	dayOfYear := dayOfEra - (365*yearOfEra + yearOfEra/4 - yearOfEra/100)
	shifted := (5*dayOfYear + 2) / 153
	day = dayOfYear - (153*shifted+2)/5 + 1
	month, year = shifted+3, yearOfEra+era*400
	if month > 12 {
		month, year = month-12, year+1
	}
	return year, month, day
}

// daysFromCivil is the inverse of civil.
func daysFromCivil(year, month, day int64) int64 {
	if month <= 2 {
		year, month = year-1, month+12
	}
	era := floorDiv(year, 400)
	yearOfEra := year - era*400
	dayOfYear := (153*(month-3)+2)/5 + day - 1
	dayOfEra := yearOfEra*365 + yearOfEra/4 - yearOfEra/100 + dayOfYear
	return era*146_097 + dayOfEra - 719_468
}

func floorDiv(a, b int64) int64 {
	if a < 0 {
		return (a - b + 1) / b
	}
	return a / b
}
