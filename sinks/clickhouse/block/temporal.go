package block

import (
	"bytes"
	"math"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/schemas/pgtext"
)

// compileDate builds Date32, saturating at its bounds (rule 31).
func (b *builder) compileDate(name string, exact *texts) {
	f := b.fixed(4)
	var scratch []byte
	put := func(day int64) { f.put32(uint32(int32(min(max(day, schemas.MinDay), schemas.MaxDay)))) } //nolint:gosec // clamped
	b.value = func(in []byte) ([]byte, error) {
		day, rest, err := avro.ReadLong(in)
		if err != nil {
			return nil, err
		}
		if day < schemas.MinDay || day > schemas.MaxDay {
			scratch = appendDate(scratch[:0], day)
			exact.put(name, scratch)
		}
		put(day)
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
		switch v {
		case math.MinInt32, math.MaxInt32:
			put(v)
		default:
			put(v + pgtext.EpochDays)
		}
	}
}

// compileTimestamp builds DateTime64(6,'UTC'), saturating at its bounds (rule 31).
func (b *builder) compileTimestamp(name string, exact *texts, zone bool) {
	f := b.fixed(8)
	var scratch []byte
	put := func(micro int64) { f.put64(uint64(min(max(micro, schemas.MinMicro), schemas.MaxMicro))) } //nolint:gosec // bits
	b.value = func(in []byte) ([]byte, error) {
		micro, rest, err := avro.ReadLong(in)
		if err != nil {
			return nil, err
		}
		if micro < schemas.MinMicro || micro > schemas.MaxMicro {
			scratch = appendTimestamp(scratch[:0], micro, zone)
			exact.put(name, scratch)
		}
		put(micro)
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
		if v <= math.MaxInt64-pgtext.EpochMicros {
			v += pgtext.EpochMicros // the lower extreme stays far below every bound
		}
		put(v)
	}
}

// beyond says on which side of all bounds the text of a value lies that Avro could not hold.
func beyond(text []byte) int64 {
	if bytes.HasPrefix(text, []byte("-")) || bytes.HasSuffix(text, []byte("BC")) {
		return math.MinInt64
	}
	return math.MaxInt64
}
