package verify

import (
	"bytes"
	"errors"
	"math"
	"strconv"

	"dirtbike/schemas"
	"dirtbike/schemas/pgtext"
)

// form says how ClickHouse holds a value (rule 31).
type form uint8

const (
	held    form = iota // exactly
	clamped             // at the type's bound, with the exact text beside it; Avro holds it exactly
	unheld              // likewise, but Avro cannot hold it either, nor an array of it
	nulled              // as NULL, with the exact text beside it; Avro cannot hold it
)

// canonical appends the canonical text of a value, given as Postgres' text, to dst. expression.go makes the same text
// in ClickHouse. Its errors name no value.
type canonical func(dst, text []byte) ([]byte, form, error)

// errForm says that a text does not have its type's form.
var errForm = errors.New("a value does not have the form of its type")

func canonicalOf(t *schemas.Type) canonical {
	switch t.Kind {
	case schemas.KindBool:
		return canonicalBool
	case schemas.KindFloat4:
		return canonicalFloat4
	case schemas.KindFloat8:
		return canonicalFloat8
	case schemas.KindNumeric:
		return canonicalNumeric
	case schemas.KindDate:
		return canonicalDate
	case schemas.KindTimestamp, schemas.KindTimestampTZ:
		return canonicalTimestamp
	case schemas.KindBytea:
		return canonicalBytea
	case schemas.KindYear:
		return canonicalYear
	case schemas.KindArray:
		return canonicalArray(canonicalOf(t.Elem))
	case schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindNumericText, schemas.KindUUID, schemas.KindText,
		schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindOther:
		return canonicalText
	case schemas.KindInvalid:
	}
	panic("verify: canonical text of " + t.Kind.String())
}

func canonicalText(dst, text []byte) ([]byte, form, error) { return append(dst, text...), held, nil }

func canonicalBool(dst, text []byte) ([]byte, form, error) {
	if len(text) != 1 || text[0] != 't' && text[0] != 'f' {
		return dst, held, errForm
	}
	if text[0] == 't' {
		return append(dst, '1'), held, nil
	}
	return append(dst, '0'), held, nil
}

func canonicalFloat4(dst, text []byte) ([]byte, form, error) {
	f, err := strconv.ParseFloat(string(text), 32)
	if err != nil {
		return dst, held, errForm
	}
	if math.IsNaN(f) {
		return append(dst, "NaN"...), held, nil
	}
	return strconv.AppendUint(dst, uint64(math.Float32bits(float32(f))), 10), held, nil
}

func canonicalFloat8(dst, text []byte) ([]byte, form, error) {
	f, err := strconv.ParseFloat(string(text), 64)
	if err != nil {
		return dst, held, errForm
	}
	if math.IsNaN(f) {
		return append(dst, "NaN"...), held, nil
	}
	return strconv.AppendUint(dst, math.Float64bits(f), 10), held, nil
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
	how := held
	day := int64(days) + pgtext.EpochDays
	switch {
	case days == math.MinInt32, days == math.MaxInt32:
		how = unheld
	case day < schemas.MinDay, day > schemas.MaxDay:
		how = clamped
	}
	return strconv.AppendInt(dst, min(max(day, schemas.MinDay), schemas.MaxDay), 10), how, nil
}

// canonicalTimestamp gives microseconds since 1970-01-01 UTC.
func canonicalTimestamp(dst, text []byte) ([]byte, form, error) {
	micros, err := pgtext.ParseTimestamp(text)
	if err != nil {
		return dst, held, errForm
	}
	how := held
	switch {
	case micros == math.MinInt64, micros > math.MaxInt64-pgtext.EpochMicros: // infinities, or past Avro's int64
		how = unheld
	case micros < schemas.MinMicro-pgtext.EpochMicros, micros > schemas.MaxMicro-pgtext.EpochMicros:
		how = clamped
	}
	micros = min(max(micros, schemas.MinMicro-pgtext.EpochMicros), schemas.MaxMicro-pgtext.EpochMicros)
	return strconv.AppendInt(dst, micros+pgtext.EpochMicros, 10), how, nil
}

func canonicalBytea(dst, text []byte) ([]byte, form, error) {
	hex, ok := bytes.CutPrefix(text, []byte(`\x`))
	if !ok {
		return dst, held, errForm
	}
	return append(dst, hex...), held, nil
}

// canonicalYear is without the view's cap, which moves with the calendar: see column.capYear.
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
		none := func() ([]byte, form, error) { return append(dst, "0;"...), unheld, nil }
		flat, err := array.Open(text)
		if err != nil {
			return dst, held, errForm
		}
		if !flat {
			return none()
		}
		n, how := 0, held
		for body = body[:0]; ; n++ {
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
			if is == unheld || is == nulled {
				return none()
			}
			how = max(how, is)
			body = appendField(body, value)
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
	for len(key) > 0 {
		exact := key[0] == '!'
		if exact {
			key = key[1:]
		}
		colon := 0
		for colon < len(key) && key[colon] != ':' {
			colon++
		}
		n, err := strconv.Atoi(key[:colon])
		if err != nil || n < 0 || colon+1+n > len(key) || exact && len(out) == 0 {
			return nil, errForm
		}
		text := key[colon+1 : colon+1+n]
		if exact {
			out[len(out)-1].exact = text
		} else {
			out = append(out, field{value: text})
		}
		key = key[colon+1+n:]
	}
	return out, nil
}
