package verify

import (
	"bytes"
	"errors"
	"math"
	"strconv"
	"strings"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// form says how ClickHouse holds a value (rule 31).
type form uint8

const (
	held    form = iota // exactly
	clamped             // at the type's bound, with the exact text; Avro holds it exactly
	unheld              // likewise, but Avro cannot hold it either, nor an array of it
	nulled              // as NULL, with the exact text; Avro cannot hold it
)

// canonical appends the canonical text of a value, given as Postgres' text, to dst. kinds.go has the same text in
// ClickHouse. Its errors name no value.
type canonical func(dst, text []byte) ([]byte, form, error)

// errForm says that a text does not have its type's form.
var errForm = errors.New("a value does not have the form of its type")

func canonicalText(dst, text []byte) ([]byte, form, error) { return append(dst, text...), held, nil }

func canonicalBool(dst, text []byte) ([]byte, form, error) {
	switch string(text) {
	case "t":
		return append(dst, '1'), held, nil
	case "f":
		return append(dst, '0'), held, nil
	}
	return dst, held, errForm
}

// canonicalFloat gives the bits of a float of that size.
func canonicalFloat(size int) canonical {
	return func(dst, text []byte) ([]byte, form, error) {
		f, err := strconv.ParseFloat(string(text), size)
		switch {
		case err != nil:
			return dst, held, errForm
		case math.IsNaN(f):
			return append(dst, "NaN"...), held, nil
		case size == 32:
			return strconv.AppendUint(dst, uint64(math.Float32bits(float32(f))), 10), held, nil
		}
		return strconv.AppendUint(dst, math.Float64bits(f), 10), held, nil
	}
}

func canonicalNumeric(dst, text []byte) ([]byte, form, error) {
	if string(text) == "NaN" {
		return dst, nulled, nil
	}
	return append(dst, text...), held, nil
}

// canonicalDate gives days since 1970-01-01.
func canonicalDate(dst, text []byte) ([]byte, form, error) {
	days, err := pgtext.ParseDate(text)
	if err != nil {
		return dst, held, errForm
	}
	day, how := clamp(int64(days)+pgtext.EpochDays, schemas.MinDay, schemas.MaxDay)
	if days == math.MinInt32 || days == math.MaxInt32 {
		how = unheld
	}
	return strconv.AppendInt(dst, day, 10), how, nil
}

// canonicalTimestamp gives microseconds since 1970-01-01 UTC.
func canonicalTimestamp(dst, text []byte) ([]byte, form, error) {
	micros, err := pgtext.ParseTimestamp(text)
	if err != nil {
		return dst, held, errForm
	}
	shown, how := clamp(micros, schemas.MinMicro-pgtext.EpochMicros, schemas.MaxMicro-pgtext.EpochMicros)
	if micros == math.MinInt64 || micros > math.MaxInt64-pgtext.EpochMicros { // infinities, or past Avro's int64
		how = unheld
	}
	return strconv.AppendInt(dst, shown+pgtext.EpochMicros, 10), how, nil
}

func clamp(n, least, most int64) (int64, form) {
	if n < least || n > most {
		return min(max(n, least), most), clamped
	}
	return n, held
}

func canonicalBytea(dst, text []byte) ([]byte, form, error) {
	hex, ok := bytes.CutPrefix(text, []byte(`\x`))
	if !ok {
		return dst, held, errForm
	}
	return append(dst, hex...), held, nil
}

// canonicalYear is what the policy gave: it caps as the view does.
func canonicalYear(dst, text []byte) ([]byte, form, error) {
	if bytes.HasSuffix(text, []byte("infinity")) {
		return dst, nulled, nil
	}
	return append(dst, text...), held, nil
}

// canonicalArray gives the number of elements, ';' and each element as a field.
func canonicalArray(elem canonical) canonical {
	var array pgtext.TextArray
	var value, body []byte
	return func(dst, text []byte) ([]byte, form, error) {
		flat, err := array.Open(text)
		if err != nil {
			return dst, held, errForm
		}
		n, how := 0, held
		for body = body[:0]; flat; n++ {
			text, null, ok, err := array.Next()
			if err != nil {
				return dst, held, errForm
			}
			if !ok {
				break
			}
			if null {
				body = append(body, 'N')
				continue
			}
			var is form
			if value, is, err = elem(value[:0], text); err != nil {
				return dst, held, err
			}
			flat = is == held || is == clamped
			how = max(how, is)
			body = appendField(body, value)
		}
		if !flat {
			return append(dst, "0;"...), unheld, nil
		}
		dst = append(strconv.AppendInt(dst, int64(n), 10), ';')
		return append(dst, body...), how, nil
	}
}

// appendField writes a text so that what follows cannot be taken for a part of it: its length, ':' and itself.
func appendField(dst, text []byte) []byte {
	dst = append(strconv.AppendInt(dst, int64(len(text)), 10), ':')
	return append(dst, text...)
}

// field is one field of a canonical key.
type field struct {
	value string
	exact string // the exact Postgres text if the value is inexact, otherwise empty
}

// fields takes a canonical key apart.
func fields(key string) (out []field, err error) {
	for key != "" {
		rest, exact := strings.CutPrefix(key, "!")
		length, rest, ok := strings.Cut(rest, ":")
		n, err := strconv.Atoi(length)
		if !ok || err != nil || n < 0 || n > len(rest) || exact && len(out) == 0 {
			return nil, errForm
		}
		if exact {
			out[len(out)-1].exact = rest[:n]
		} else {
			out = append(out, field{value: rest[:n]})
		}
		key = rest[n:]
	}
	return out, nil
}
