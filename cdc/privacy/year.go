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

// year replaces a date or timestamp by its year. Years are astronomical, so that they are one line of numbers: 1 BC is
// 0, 44 BC is -43. infinity and -infinity go through as they are; the encoder makes them inexact (rule 31). A
// timestamptz has its year in UTC. Ages over 89 are capped in the view, at read time (rule 29).
func year(t schemas.Type) (*transform, error) {
	if t.Kind != schemas.KindDate && t.Kind != schemas.KindTimestamp && t.Kind != schemas.KindTimestampTZ {
		return nil, cdc.Failed("policy year needs a date or timestamp column, not %s", t.Name).Fix("drop or mask")
	}
	return &transform{"year", schemas.Type{Kind: schemas.KindYear, Name: "year", Mod: -1}, "year", appendYear}, nil
}

func appendYear(dst, text []byte) ([]byte, error) {
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
	return strconv.AppendInt(dst, y, 10), nil
}
