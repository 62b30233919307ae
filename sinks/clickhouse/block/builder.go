package block

import (
	"errors"
	"math"

	"dirtbike/schemas"
	"dirtbike/schemas/avro"
)

// builder appends Avro fields to one column. It is compiled once per block of a storage table; blocks are reused.
type builder struct {
	Column
	source *schemas.TableColumn
	// union says that the Avro field is a union [null, T].
	union bool
	// value appends one non-null Avro value and returns the rest.
	value func(b []byte) (rest []byte, err error)
	// absent appends what stands for a null field: text is its exact Postgres text, exact says that there is one (rule
	// 31).
	absent func(text []byte, exact bool)
	// keyInteger appends the value that stands beside a key integer (rule 31); nil for other kinds.
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
	b.Name = schemas.ClickHouseColumn(c.Name)
	b.wire = wireType(c.Type)
	b.absent = func([]byte, bool) { b.null() }
	b.compile(c.Type, c.Name, exact)
	return b
}

// wireType is the column's type without Nullable, and without LowCardinality, which the server adds on insert.
func wireType(t schemas.Type) string {
	switch t.Kind {
	case schemas.KindEnum:
		return "String"
	case schemas.KindArray:
		return "Array(Nullable(" + wireType(*t.Elem) + "))"
	case schemas.KindBool, schemas.KindInt2, schemas.KindInt4, schemas.KindInt8, schemas.KindFloat4, schemas.KindFloat8,
		schemas.KindNumeric, schemas.KindNumericText, schemas.KindDate, schemas.KindTimestamp, schemas.KindTimestampTZ,
		schemas.KindUUID, schemas.KindBytea, schemas.KindText, schemas.KindJSON, schemas.KindJSONB, schemas.KindOther, schemas.KindYear:
		return schemas.ClickHouseType(t, false)
	case schemas.KindInvalid:
	}
	panic("block: wire type of " + t.Kind.String())
}

func (b *builder) compile(t schemas.Type, name string, exact *texts) {
	switch t.Kind {
	case schemas.KindBool:
		b.compileBool()
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
		b.compileFloat4()
	case schemas.KindFloat8:
		b.compileFloat8()
	case schemas.KindNumeric:
		b.compileDecimal(t.Precision)
		b.absentAsNull(name, exact)
	case schemas.KindDate:
		b.compileDate(name, exact)
	case schemas.KindTimestamp:
		b.compileTimestamp(name, exact, false)
	case schemas.KindTimestampTZ:
		b.compileTimestamp(name, exact, true)
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
func (b *builder) absentAsNull(name string, exact *texts) {
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

func (b *builder) compileBool() {
	f := b.fixed(1)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadBool(in)
		if err != nil {
			return nil, err
		}
		f.put8(0)
		if v {
			f.data[len(f.data)-1] = 1
		}
		return rest, nil
	}
}

func (b *builder) compileInt(width int) {
	f := b.fixed(width)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadLong(in)
		if err != nil {
			return nil, err
		}
		switch width {
		case 2:
			f.put16(uint16(v)) //nolint:gosec // the registered type bounds it
		case 4:
			f.put32(uint32(v)) //nolint:gosec // the registered type bounds it
		case 8:
			f.put64(uint64(v)) //nolint:gosec // bits
		}
		return rest, nil
	}
}

func (b *builder) compileFloat4() {
	f := b.fixed(4)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadFloat(in)
		if err != nil {
			return nil, err
		}
		f.put32(math.Float32bits(v))
		return rest, nil
	}
}

func (b *builder) compileFloat8() {
	f := b.fixed(8)
	b.value = func(in []byte) ([]byte, error) {
		v, rest, err := avro.ReadDouble(in)
		if err != nil {
			return nil, err
		}
		f.put64(math.Float64bits(v))
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
		var raw [16]byte
		if !parseUUID(&raw, v) {
			return nil, errUUID
		}
		for i := 7; i >= 0; i-- {
			f.data = append(f.data, raw[i])
		}
		for i := 15; i >= 8; i-- {
			f.data = append(f.data, raw[i])
		}
		return rest, nil
	}
}

func parseUUID(dst *[16]byte, s []byte) bool {
	if len(s) != 36 {
		return false
	}
	n := 0
	for i := 0; i < 36; {
		if i == 8 || i == 13 || i == 18 || i == 23 {
			if s[i] != '-' {
				return false
			}
			i++
			continue
		}
		high, low := hexDigit(s[i]), hexDigit(s[i+1])
		if high > 15 || low > 15 {
			return false
		}
		dst[n] = high<<4 | low
		n, i = n+1, i+2
	}
	return true
}

func hexDigit(c byte) byte {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	case c >= 'A' && c <= 'F':
		return c - 'A' + 10
	}
	return 0xff
}
