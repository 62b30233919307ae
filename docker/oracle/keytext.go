package oracle

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// epoch is where Postgres' dates and timestamps count from, and with them their key columns (rule 31).
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// keyValue gives the canonical text of a key column, from Postgres' text: bytes for a bytea, an exact integer of days
// or microseconds since 2000-01-01 for a date or timestamp with the infinities as its type's extremes (rule 31),
// otherwise the text itself.
func keyValue(t pgType, text string) (string, error) {
	switch t.kind {
	case kindBytea:
		return byteaBytes(text)
	case kindFloat4:
		c, err := floatCell(text, 32)
		return c.text, err
	case kindFloat8:
		c, err := floatCell(text, 64)
		return c.text, err
	case kindDate:
		return countFrom(text, math.MinInt32, math.MaxInt32, func(t time.Time) int64 { return (t.Unix() - epoch.Unix()) / 86400 })
	case kindTimestamp, kindTimestampTZ:
		return countFrom(text, math.MinInt64, math.MaxInt64, func(t time.Time) int64 { return t.UnixMicro() - epoch.UnixMicro() })
	case kindBool, kindInt2, kindInt4, kindInt8, kindNumeric, kindUUID, kindArray, kindOther:
		return text, nil
	}
	return "", fmt.Errorf("oracle: kind %q has no key text", t.kind)
}

// countFrom parses Postgres' ISO text in UTC, any year and BC included, and counts.
func countFrom(text string, low, high int64, count func(time.Time) int64) (string, error) {
	switch text {
	case "-infinity":
		return strconv.FormatInt(low, 10), nil
	case "infinity":
		return strconv.FormatInt(high, 10), nil
	}
	moment, bc := strings.CutSuffix(text, " BC")
	moment = strings.TrimSuffix(moment, "+00")
	yearText, rest, _ := strings.Cut(moment, "-")
	year, err := strconv.Atoi(yearText)
	if err != nil {
		return "", fmt.Errorf("parse year: %w", err)
	}
	if bc {
		year = 1 - year // 1 BC is year 0
	}
	// A leap year replaces the year, so that the 29th of February parses.
	t, err := time.Parse("2006-01-02 15:04:05.999999", withTime("2000-"+rest))
	if err != nil {
		return "", fmt.Errorf("parse date: %w", err)
	}
	return strconv.FormatInt(count(time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)), 10), nil
}

// withTime gives a date midnight.
func withTime(s string) string {
	if strings.Contains(s, " ") {
		return s
	}
	return s + " 00:00:00"
}
