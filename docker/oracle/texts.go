package oracle

import (
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// plainCell makes a cell of the text that f makes.
func plainCell(f func(string) (string, error)) func(string) (cell, error) {
	return func(s string) (cell, error) {
		text, err := f(s)
		return cell{text: text}, err
	}
}

// boolCell takes Postgres' t and f.
func boolCell(s string) (cell, error) {
	return cell{text: map[string]string{"t": "true", "f": "false"}[s]}, nil
}

func float32Text(s string) (string, error) { return floatText(s, 32) }
func float64Text(s string) (string, error) { return floatText(s, 64) }

// floatText parses and prints, so that "1e+20" and "100000000000000000000" are one number and 0 and -0 are two.
func floatText(s string, bits int) (string, error) {
	if strings.HasSuffix(s, "nan") { // ClickHouse may print a NaN's sign
		s = "nan"
	}
	f, err := strconv.ParseFloat(s, bits)
	if err != nil {
		return "", fmt.Errorf("parse float: %w", err)
	}
	return strconv.FormatFloat(f, 'g', -1, bits), nil
}

// byteaBytes decodes Postgres' hex text of a bytea into a string of its bytes.
func byteaBytes(s string) (string, error) {
	digits, ok := strings.CutPrefix(s, `\x`)
	if !ok {
		return "", errors.New("oracle: bytea text is not hex; bytea_output is not set")
	}
	raw, err := hex.DecodeString(digits)
	return string(raw), err
}

// decimalCell: a Decimal holds neither NaN nor infinity.
func decimalCell(s string) (cell, error) {
	if s == "NaN" || strings.HasSuffix(s, "Infinity") {
		return cell{null: true, inexact: true, exact: s}, nil
	}
	return cell{text: decimalText(s)}, nil
}

// decimalText leaves out the trailing zeros, which ClickHouse does not print.
func decimalText(s string) string {
	if strings.Contains(s, ".") {
		s = strings.TrimSuffix(strings.TrimRight(s, "0"), ".")
	}
	return s
}

// dateCell and timestampCell have the bounds of rule 31. DateTime64(6) itself reaches from year 0 to 9999 in ClickHouse
// 26.7, but its documented range, and Date32's, is this one.
func dateCell(s string) (cell, error) { return saturated(s, s, "1900-01-01", "2299-12-31"), nil }

func timestampCell(s string) (cell, error) {
	whole, fraction, _ := strings.Cut(strings.TrimSuffix(s, "+00"), ".")
	canonical := whole + "." + (fraction + "000000")[:6]
	return saturated(s, canonical, "1900-01-01 00:00:00.000000", "2299-12-31 23:59:59.999999"), nil
}

// saturated puts a date or timestamp (canonical, of fixed width within four-digit years) inside its type's bounds.
func saturated(exact, canonical, low, high string) cell {
	year, _, _ := strings.Cut(canonical, "-")
	switch {
	case exact == "-infinity", strings.HasSuffix(exact, " BC"):
		return cell{text: low, inexact: true, exact: exact}
	case exact == "infinity", len(year) > 4, canonical > high:
		return cell{text: high, inexact: true, exact: exact}
	case canonical < low:
		return cell{text: low, inexact: true, exact: exact}
	}
	return cell{text: canonical}
}

// epoch is where Postgres' dates and timestamps count from, and with them their key columns (rule 31).
var epoch = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

// days is a date as topics' keys hold it, the infinities as the type's extremes.
func days(s string) (string, error) {
	return countFrom(s, math.MinInt32, math.MaxInt32, func(t time.Time) int64 { return (t.Unix() - epoch.Unix()) / 86400 })
}

// microseconds is days for a timestamp.
func microseconds(s string) (string, error) {
	return countFrom(s, math.MinInt64, math.MaxInt64, func(t time.Time) int64 { return t.UnixMicro() - epoch.UnixMicro() })
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
	yearText, rest, _ := strings.Cut(strings.TrimSuffix(moment, "+00"), "-")
	year, err := strconv.Atoi(yearText)
	if err != nil {
		return "", fmt.Errorf("parse year: %w", err)
	}
	if bc {
		year = 1 - year // 1 BC is year 0
	}
	rest = "2000-" + rest // a leap year, so that the 29th of February parses
	t, err := time.Parse(time.DateTime[:min(len(time.DateTime), len(rest))], rest)
	if err != nil {
		return "", fmt.Errorf("parse date: %w", err)
	}
	return strconv.FormatInt(count(time.Date(year, t.Month(), t.Day(), t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), time.UTC)), 10), nil
}

var errArray = errors.New("oracle: Postgres' text of an array does not parse")

// parseArray reads array_out's form: {1,NULL,"a\"b"}, with [0:1]= before it if a bound is not 1. NULL is nil. An array
// that is not plain (one dimension or none, counting from 1) has no elements here: an Array cannot hold it.
func parseArray(s string, delim byte) (elems [][]byte, plain bool, err error) {
	if strings.HasPrefix(s, "[") || strings.HasPrefix(s, "{{") {
		return nil, false, nil
	}
	if len(s) < 2 || s[0] != '{' || s[len(s)-1] != '}' {
		return nil, false, errArray
	}
	s = s[1 : len(s)-1]
	for more := s != ""; more; {
		var elem []byte
		if elem, s, err = nextElement(s, delim); err != nil {
			return nil, false, err
		}
		elems = append(elems, elem)
		if s, more = strings.CutPrefix(s, string(delim)); !more && s != "" {
			return nil, false, errArray
		}
	}
	return elems, true, nil
}

// nextElement takes one element off the front: quoted with backslashes, or bare up to the delimiter.
func nextElement(s string, delim byte) (elem []byte, rest string, err error) {
	if !strings.HasPrefix(s, `"`) {
		end := strings.IndexByte(s, delim)
		if end < 0 {
			end = len(s)
		}
		if s[:end] == "NULL" {
			return nil, s[end:], nil
		}
		return []byte(s[:end]), s[end:], nil
	}
	elem = []byte{}
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return elem, s[i+1:], nil
		case s[i] == '\\' && i+1 < len(s):
			i++
		}
		elem = append(elem, s[i])
	}
	return nil, "", errArray
}
