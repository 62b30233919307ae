package block

import (
	"bytes"
	"math"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/schemas/pgtext"
)

// temporal is how dates (days) or timestamps (microseconds), both since 1970, become Date32 or DateTime64(6,'UTC').
type temporal struct {
	width       int
	least, most int64                            // The type's bounds, at which values saturate (rule 31)
	epoch       int64                            // Postgres', from which key integers count
	text        func(dst []byte, v int64) []byte // text appends a value as Postgres writes it, with time zone UTC
}

func temporalOf(kind schemas.Kind) *temporal {
	if kind == schemas.KindDate {
		return &temporal{4, schemas.MinDay, schemas.MaxDay, pgtext.EpochDays, func(dst []byte, day int64) []byte {
			return pgtext.AppendDate(dst, int32(day-pgtext.EpochDays)) //nolint:gosec // a date of Postgres
		}}
	}
	return &temporal{8, schemas.MinMicro, schemas.MaxMicro, pgtext.EpochMicros, func(dst []byte, micro int64) []byte {
		return pgtext.AppendTimestamp(dst, micro-pgtext.EpochMicros, kind == schemas.KindTimestampTZ)
	}}
}

func (b *builder) compileTemporal(t *temporal, name []byte, exact *texts) {
	f := b.fixed(t.width)
	put := func(v int64) { f.put(min(max(v, t.least), t.most)) }
	var scratch []byte
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadLong(in)
		if err != nil {
			return nil, err
		}
		if v < t.least || v > t.most {
			scratch = t.text(scratch[:0], v)
			exact.put(name, scratch)
		}
		put(v)
		return rest, nil
	}
	b.absent = func(text []byte, is bool) {
		if !is {
			b.null()
			return
		}
		exact.put(name, text)
		put(beyond(text))
	}
	b.keyInteger = func(v int64) {
		if v <= math.MaxInt64-t.epoch { // else, and for a date's extremes, it is far beyond every bound already
			v += t.epoch
		}
		put(v)
	}
}

// beyond says whether a value that Avro could not hold lies above or below all bounds, by its text.
func beyond(text []byte) int64 {
	if bytes.HasPrefix(text, []byte("-")) || bytes.HasSuffix(text, []byte("BC")) {
		return math.MinInt64
	}
	return math.MaxInt64
}
