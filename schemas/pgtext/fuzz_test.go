package pgtext

import (
	"testing"

	"github.com/stretchr/testify/require"

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

// FuzzTextArray: no text makes the walk panic, as many elements come as were counted, and written as array_out does
// they come back.
func FuzzTextArray(f *testing.F) {
	f.Fuzz(func(t *testing.T, text []byte) {
		elements, nulls, err := walk(t, text)
		if err != nil {
			return
		}
		written := []byte{'{'}
		for i, element := range elements {
			if i > 0 {
				written = append(written, ',')
			}
			if start := len(written); nulls[i] {
				written = append(written, "NULL"...)
			} else {
				written = quote(append(written, element...), start)
			}
		}
		again, nullsAgain, err := walk(t, append(written, '}'))
		require.NoError(t, err)
		require.Equal(t, elements, again)
		require.Equal(t, nulls, nullsAgain)
	})
}

// walk gives the elements of a flat array; of another one none.
func walk(t *testing.T, text []byte) (elements []string, nulls []bool, err error) {
	t.Helper()
	var a TextArray
	flat, err := a.Open(text)
	if err != nil || !flat {
		return nil, nil, err
	}
	count, errCount := a.Len()
	for {
		element, null, ok, err := a.Next()
		if err != nil {
			return nil, nil, err
		}
		if !ok {
			require.NoError(t, errCount)
			require.Len(t, elements, count)
			return elements, nulls, nil
		}
		elements, nulls = append(elements, string(element)), append(nulls, null)
	}
}
