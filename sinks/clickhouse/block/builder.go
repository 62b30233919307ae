package block

import (
	"bytes"
	"errors"
	"math"

	"github.com/google/uuid"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
	"dirtbike/schemas/pgtext"
)

// builder appends Avro fields to one column. It is compiled once per block of a storage table; blocks are reused.
type builder struct {
	Column
	source *schemas.TableColumn
	union  bool                                    // union says that the Avro field is a union [null, T]
	value  func(b []byte) (rest []byte, err error) // value appends one non-null Avro value and returns the rest
	// absent appends what a null field becomes: text is its exact Postgres text, exact says that there is one (rule
	// 31).
	absent func(text []byte, exact bool)
	// keyInteger appends the value of a column that has a key integer, too (rule 31); nil for other kinds.
	keyInteger func(v int64)
}

var (
	errUnion = errors.New("union branch out of range")
	errWidth = errors.New("decimal is too large for its precision")
	errUUID  = errors.New("malformed uuid")
)

// newBuilder compiles the builder of a column; exact takes the texts of values that the column cannot hold.
func newBuilder(c *schemas.TableColumn, exact *texts) *builder {
	b := &builder{source: c, union: avro.Nullable(c)}
	b.Name = schemas.ClickHouseStorageColumn(c.Name)
	b.wire = wireType(c.Type)
	b.absent = func([]byte, bool) { b.null() }
	b.compile(c.Type, []byte(c.Name), exact)
	return b
}

// wireType is the column's type without Nullable, and without LowCardinality, which the server adds on insert.
func wireType(t schemas.Type) string {
	if t.Kind == schemas.KindArray {
		return "Array(Nullable(" + wireType(*t.Elem) + "))"
	}
	if t.Kind == schemas.KindEnum {
		t.Kind = schemas.KindText
	}
	return schemas.ClickHouseType(t, false)
}

func (b *builder) compile(t schemas.Type, name []byte, exact *texts) {
	switch t.Kind {
	case schemas.KindBool:
		compileFixed(b, 1, avro.ReadBool, func(f *fixed, v bool) {
			f.zero()
			if v {
				f.data[len(f.data)-1] = 1
			}
		})
	case schemas.KindInt2:
		b.compileInt(2)
	case schemas.KindInt4:
		b.compileInt(4)
	case schemas.KindInt8:
		b.compileInt(8)
	case schemas.KindYear:
		b.compileInt(4)
		b.absentAsNull(name, exact)
	case schemas.KindFloat4:
		compileFixed(b, 4, avro.ReadFloat, func(f *fixed, v float32) { f.put32(math.Float32bits(v)) })
	case schemas.KindFloat8:
		compileFixed(b, 8, avro.ReadDouble, func(f *fixed, v float64) { f.put64(math.Float64bits(v)) })
	case schemas.KindNumeric:
		b.compileDecimal(t.Precision)
		b.absentAsNull(name, exact)
	case schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ:
		b.compileTemporal(temporalOf(t.Kind), name, exact)
	case schemas.KindUUID:
		b.compileUUID()
	case schemas.KindNumericText, schemas.KindBytea, schemas.KindText, schemas.KindJSON, schemas.KindJSONB, schemas.KindEnum, schemas.KindOther:
		b.compileText()
	case schemas.KindArray:
		b.compileArray(*t.Elem, name, exact)
	case schemas.KindInvalid:
		panic("block: builder of " + t.Kind.String())
	}
}

// field appends one field of a Value record.
func (b *builder) field(in []byte, text []byte, exact bool) (rest []byte, err error) {
	if b.union {
		if len(in) == 0 {
			return nil, errUnion
		}
		switch in[0] {
		case 0:
			b.absent(text, exact)
			return in[1:], nil
		case 2:
			in = in[1:]
		default:
			return nil, errUnion
		}
	}
	return b.value(in)
}

// absentAsNull is for kinds whose inexact values are NULL in ClickHouse: NaN, and infinity as a year.
func (b *builder) absentAsNull(name []byte, exact *texts) {
	b.absent = func(text []byte, is bool) {
		if is {
			exact.put(name, text)
		}
		b.null()
	}
}

func (b *builder) fixed(width int) *fixed {
	f := &fixed{width: width}
	b.vals = f
	return f
}

// compileFixed is for kinds that are not frequent: it costs two calls more per value.
func compileFixed[T any](b *builder, width int, read func([]byte) (T, []byte, error), put func(*fixed, T)) {
	f := b.fixed(width)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := read(in)
		if err == nil {
			put(f, v)
		}
		return rest, err
	}
}

func (b *builder) compileInt(width int) {
	f := b.fixed(width)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadLong(in)
		if err != nil {
			return nil, err
		}
		f.put(v)
		return rest, nil
	}
}

func (b *builder) compileText() {
	t := &text{}
	b.vals = t
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadBytes(in)
		if err != nil {
			return nil, err
		}
		t.put(v)
		return rest, nil
	}
}

// compileDecimal turns two's complement big-endian into the little-endian integer of the precision's width.
func (b *builder) compileDecimal(precision int) {
	f := b.fixed(decimalWidth(precision))
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadBytes(in)
		if err != nil {
			return nil, err
		}
		var sign byte
		if len(v) > 0 && v[0]&0x80 != 0 {
			sign = 0xff
		}
		for len(v) > f.width && v[0] == sign && v[1]&0x80 == sign&0x80 {
			v = v[1:]
		}
		if len(v) > f.width {
			return nil, errWidth
		}
		for i := len(v) - 1; i >= 0; i-- {
			f.data = append(f.data, v[i])
		}
		for range f.width - len(v) {
			f.data = append(f.data, sign)
		}
		return rest, nil
	}
}

func decimalWidth(precision int) int {
	switch {
	case precision <= 9:
		return 4
	case precision <= 18:
		return 8
	case precision <= 38:
		return 16
	}
	return 32
}

// compileUUID parses the text form; ClickHouse stores each half as a little-endian integer.
func (b *builder) compileUUID() {
	f := b.fixed(16)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadBytes(in)
		if err != nil {
			return nil, err
		}
		id, err := uuid.ParseBytes(v)
		if err != nil || len(v) != 36 { // it takes other forms, too
			return nil, errUUID
		}
		for _, last := range []int{7, 15} {
			for i := range 8 {
				f.data = append(f.data, id[last-i])
			}
		}
		return rest, nil
	}
}

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
