package privacy

import (
	"bytes"
	"errors"
	"strconv"

	"dirtbike/cdc"
	"dirtbike/schemas"
)

// errDate says that a text is no date; it never has the text.
var errDate = errors.New("policy year: the value is not a date in Postgres' ISO form")

// year replaces a date or timestamp by its year, or by [schemas.EarliestYear] of the record's time if that is later:
// an earlier year of birth would tell an age over 89. The view caps again, as time passes (rule 29). Years are
// astronomical, so that they are one line of numbers: 1 BC is 0. infinity and -infinity, which are nobody's birth, go
// through as they are; the encoder makes them inexact (rule 31). A timestamptz has its year in UTC.
func year(t schemas.Type) (*transform, error) {
	if t.Kind != schemas.KindDate && t.Kind != schemas.KindTimestamp && t.Kind != schemas.KindTimestampTZ {
		return nil, cdc.Failed("policy year needs a date or timestamp column, not %s", t.Name).Fix("drop or mask")
	}
	return &transform{"year", schemas.Type{Kind: schemas.KindYear, Name: "year", Mod: -1}, yearPrint, appendYear}, nil
}

// yearPrint names the cap in Print: before it was applied here, topics and storage held earlier years, too.
const yearPrint = "year of the last 90"

func appendYear(dst, text []byte, at int64) ([]byte, error) {
	if string(text) == "infinity" || string(text) == "-infinity" {
		return append(dst, text...), nil
	}
	n := bytes.IndexByte(text, '-') // 7 at most: dates reach the year 5874897
	if n < 4 || n > 7 || !digits(text[:n]) || len(text) < n+6 {
		return dst, errDate
	}
	var y int64
	for _, c := range text[:n] {
		y = y*10 + int64(c-'0')
	}
	if bytes.HasSuffix(text, []byte(" BC")) {
		y = 1 - y
	}
	return strconv.AppendInt(dst, max(y, schemas.EarliestYear(at)), 10), nil
}
