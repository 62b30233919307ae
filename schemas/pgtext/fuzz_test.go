package pgtext

import (
	"testing"

	"dirtbike/schemas"
)

// FuzzAppendText: with any bytes, nothing panics, and a refused value leaves dst as it was.
func FuzzAppendText(f *testing.F) {
	eachGolden(f, func(typ schemas.Type, _ string, binary []byte) {
		elem := schemas.KindInvalid
		if typ.Elem != nil {
			elem = typ.Elem.Kind
		}
		f.Add(uint8(typ.Kind), uint8(elem), binary)
	})
	f.Fuzz(func(t *testing.T, kind, elem uint8, binary []byte) {
		typ := schemas.Type{Kind: schemas.Kind(kind), Elem: &schemas.Type{Kind: schemas.Kind(elem)}}
		dst, err := AppendText([]byte("x"), typ, binary)
		if err != nil && string(dst) != "x" {
			t.Fatalf("an error left %q", dst)
		}
	})
}

// FuzzParse: with any text, nothing panics, and what is read is written and read as the same number.
func FuzzParse(f *testing.F) {
	eachGolden(f, func(typ schemas.Type, text string, _ []byte) {
		if schemas.KeyInteger(typ) {
			f.Add([]byte(text))
		}
	})
	f.Fuzz(func(t *testing.T, text []byte) {
		if days, err := ParseDate(text); err == nil {
			if again, err := ParseDate(AppendDate(nil, days)); err != nil || again != days {
				t.Fatalf("%q: %d is read back as %d, %v", text, days, again, err)
			}
		}
		if micros, err := ParseTimestamp(text); err == nil {
			if again, err := ParseTimestamp(AppendTimestamp(nil, micros, true)); err != nil || again != micros {
				t.Fatalf("%q: %d is read back as %d, %v", text, micros, again, err)
			}
		}
	})
}
